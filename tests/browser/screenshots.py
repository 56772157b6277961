"""
Take the pictures of the README and of a notebook from the running widget.

`make screenshots` runs this module, which writes the pictures to notebooks/images.
"""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import nbformat
from PIL import Image
from playwright.sync_api import sync_playwright

from tests.browser.chromium import launch
from tests.browser.finder import Finder
from tests.browser.lab import DarkLab, Lab

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
_IMAGES = _NOTEBOOKS / "images"
_DISPLAY = 4  # the quickstart's first cells, up to the one that shows the widget
_PADDING = 6
_SLOPE = 0.005
_SHOWN = re.compile(r"\]\((images/[\w-]+\.png)\)")
_DRAWN_AFTER = 1000  # milliseconds
_COLOURS = 256


def take_dark(browser: Browser, picture: Path) -> None:
    """Run the quickstart's test in a dark theme, and take a picture of the widget."""
    book = nbformat.read(_NOTEBOOKS / "01-quickstart.ipynb", 4)
    cells = [cell.source for cell in book.cells if cell.cell_type == "code"]
    with TemporaryDirectory() as folder, DarkLab(Path(folder)) as lab:
        page = browser.new_page(
            viewport={"width": 1100, "height": 2200}, device_scale_factor=2
        )
        *before, display = cells[:_DISPLAY]
        notebook = lab.open(page, ["\n".join(before), display])
        notebook.execute(0)
        notebook.execute(1)
        finder = Finder(page)
        finder.await_display()
        finder.button.click()
        finder.await_answer()
        notebook.value("widget.wait() and None")
        finder.drag(_SLOPE)
        notebook.await_value(
            "widget.value", lambda value: abs(value / _SLOPE - 1) < 0.1
        )
        # The picture must not show the button as hovered or focused.
        page.mouse.move(0, 0)
        notebook.prompt(1).click()
        box = finder.root.bounding_box()
        assert box is not None
        taken = page.screenshot(
            clip={
                "x": box["x"] - _PADDING,
                "y": box["y"] - _PADDING,
                "width": box["width"] + 2 * _PADDING,
                "height": box["height"] + 2 * _PADDING,
            },
        )
        _save(taken, picture)
        notebook.close()
        page.close()


def take_each(browser: Browser, name: str) -> None:
    """Run a notebook; take each picture in its text from the widget above the text."""
    book = nbformat.read(_NOTEBOOKS / name, 4)
    with TemporaryDirectory() as folder, Lab(Path(folder)) as lab:
        page = browser.new_page(viewport={"width": 1100, "height": 1600})
        codes = [cell.source for cell in book.cells if cell.cell_type == "code"]
        notebook = lab.open(page, codes)
        count = 0
        for cell in book.cells:
            if cell.cell_type == "code":
                notebook.execute(count)
                count += 1
            elif shown := _SHOWN.search(cell.source):
                root = page.locator(".jp-CodeCell").nth(count - 1).locator(".lrwidget")
                root.locator(".bqplot .axislabel").first.wait_for()
                page.wait_for_timeout(_DRAWN_AFTER)
                _save(root.screenshot(), _NOTEBOOKS / shown[1])
        notebook.close()
        page.close()


def _save(taken: bytes, picture: Path) -> None:
    """Save a picture in few colours, which needs much less room."""
    with Image.open(BytesIO(taken)) as whole:
        few_colours = whole.convert("RGB").quantize(
            _COLOURS, Image.Quantize.MEDIANCUT, kmeans=3, dither=Image.Dither.NONE
        )
    few_colours.save(picture, optimize=True)


def main() -> None:
    """Take all pictures."""
    _IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright, launch(playwright) as browser:
        take_dark(browser, _IMAGES / "widget-dark.png")
        take_each(browser, "03-reading-the-curve.ipynb")


if __name__ == "__main__":
    main()
