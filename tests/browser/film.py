"""
Film a session with the widget in JupyterLab, for the top of the README.

`make screenshots` runs this module, which writes notebooks/images/session.gif.
"""

from __future__ import annotations

import base64
import math
import time
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import nbformat
from PIL import Image
from playwright.sync_api import expect, sync_playwright

from tests.browser.chromium import launch
from tests.browser.finder import Finder
from tests.browser.lab import Lab

if TYPE_CHECKING:
    from playwright.sync_api import FloatRect, Locator, Page

_NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
_FILM = _NOTEBOOKS / "images" / "session.gif"
_DISPLAY = 4  # the quickstart's first cells, up to the one that shows the widget
_WIDTH = 860
_COLOURS = 256
_PADDING = 6
_BETWEEN = 25  # milliseconds
_LAST = 1500  # milliseconds
_SHORTEST = 70  # milliseconds of a frame
# Else the test would end after three frames.
_SLOWER = """
import time

class Slower:
    '''Batches that take as long as those of a larger data set.'''

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        for batch in self.batches:
            time.sleep(0.025)
            yield batch

dataloader = Slower(dataloader)
"""
_LAST_CELL_ALONE = ".jp-Notebook .jp-Cell:has(~ .jp-Cell) { display: none; }"
_POINTER = """() => {
  const pointer = document.createElement("div");
  pointer.innerHTML = `<svg width="20" height="28" viewBox="0 0 20 28"><path
    d="M2 2v20l5-5 4 9 4-2-4-8h7z" fill="#222" stroke="#fff"/></svg>`;
  pointer.style = "position:fixed;pointer-events:none;z-index:99999;left:0;top:0";
  document.body.append(pointer);
  document.addEventListener("pointermove", ({ clientX, clientY }) => {
    pointer.style.transform = `translate(${clientX - 2}px, ${clientY - 2}px)`;
  }, { capture: true });
}"""


class _Hand:
    """A mouse that moves smoothly, as if a hand moved it."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._place = (900.0, 700.0)

    def go(self, x: float, y: float, seconds: float = 0.5) -> None:
        (from_x, from_y), self._place = self._place, (x, y)
        start, done = time.monotonic(), 0.0
        while done < 1:
            self._page.wait_for_timeout(_BETWEEN)
            done = min((time.monotonic() - start) / seconds, 1.0)
            share = (1 - math.cos(math.pi * done)) / 2
            at = from_x + share * (x - from_x), from_y + share * (y - from_y)
            self._page.mouse.move(*at)

    def go_to(self, part: Locator) -> None:
        x, y = _middle(part)
        self.go(x, y)

    def press(self, part: Locator) -> None:
        self.go_to(part)
        self._page.mouse.down()
        self._page.wait_for_timeout(80)
        self._page.mouse.up()


def _middle(part: Locator) -> tuple[float, float]:
    box = part.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def _play(page: Page, finder: Finder) -> None:
    """Run a test, look at the curve, drag the handle, and apply its rate."""
    hand = _Hand(page)
    hand.press(finder.button)
    finder.await_answer()
    page.wait_for_timeout(1000)
    hand.go(*finder.place_on(finder.trend))
    page.wait_for_timeout(500)
    hand.go_to(finder.handle)
    page.mouse.down()
    x, y = _middle(finder.handle)
    hand.go(x - 130, y, 0.9)
    hand.go(x - 40, y, 0.7)
    page.mouse.up()
    page.wait_for_timeout(300)
    hand.press(finder.root.get_by_role("button", name="Apply"))
    expect(finder.root.locator(".lrwidget-applied")).to_contain_text("Applied")


def _recorded(page: Page, finder: Finder) -> list[tuple[float, Image.Image]]:
    """Play the session; return the pictures of the page with their times in seconds."""
    frames: list[tuple[float, Image.Image]] = []
    client = page.context.new_cdp_session(page)

    def keep(event: dict[str, Any]) -> None:
        picture = Image.open(BytesIO(base64.b64decode(event["data"])))
        frames.append((event["metadata"]["timestamp"], picture.convert("RGB")))
        client.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})

    client.on("Page.screencastFrame", keep)
    client.send("Page.startScreencast", {"format": "png"})
    _play(page, finder)
    page.wait_for_timeout(800)
    client.send("Page.stopScreencast")
    return frames


def _spaced(
    frames: list[tuple[float, Image.Image]],
) -> list[tuple[float, Image.Image]]:
    """Return the frames without those that come too soon before the next one."""
    kept = frames[-1:]
    for frame in reversed(frames[:-1]):
        if 1000 * (kept[-1][0] - frame[0]) >= _SHORTEST:
            kept.append(frame)
    return kept[::-1]


def _write(frames: list[tuple[float, Image.Image]], box: FloatRect) -> None:
    edges = (
        box["x"] - _PADDING,
        box["y"] - _PADDING,
        box["x"] + box["width"] + _PADDING,
        box["y"] + box["height"] + _PADDING,
    )
    height = round(_WIDTH * (edges[3] - edges[1]) / (edges[2] - edges[0]))
    small = [
        picture.crop(edges).resize((_WIDTH, height), Image.Resampling.LANCZOS)
        for _, picture in frames
    ]
    # The colours of the thin lines cover few pixels, but the palette must have them.
    palette = small[-1].quantize(_COLOURS, Image.Quantize.MAXCOVERAGE)
    flat = [x.quantize(palette=palette, dither=Image.Dither.NONE) for x in small]
    times = [taken for taken, _ in frames]
    spans = [1000 * (b - a) for a, b in pairwise(times)]
    flat[0].save(
        _FILM,
        save_all=True,
        append_images=flat[1:],
        duration=[*map(round, spans), _LAST],
        loop=0,
        optimize=True,
    )


def main() -> None:
    """Film the quickstart's test."""
    book = nbformat.read(_NOTEBOOKS / "01-quickstart.ipynb", 4)
    cells = [cell.source for cell in book.cells if cell.cell_type == "code"]
    *before, display = cells[:_DISPLAY]
    with (
        sync_playwright() as playwright,
        launch(playwright) as browser,
        TemporaryDirectory() as folder,
        Lab(Path(folder)) as lab,
    ):
        page = browser.new_page(viewport={"width": 1100, "height": 1100})
        notebook = lab.open(page, ["\n".join([*before, _SLOWER]), display])
        notebook.execute(0)
        notebook.execute(1)
        finder = Finder(page)
        finder.await_display()
        page.add_style_tag(content=_LAST_CELL_ALONE)
        page.evaluate(_POINTER)
        frames = _recorded(page, finder)
        box = finder.root.bounding_box()  # which grows as the test begins
        assert box is not None
        _write(_spaced(frames), box)
        notebook.close()


if __name__ == "__main__":
    main()
