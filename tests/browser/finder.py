"""The widget in a page, as a person sees it."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.waiting import MILLISECONDS, SECONDS, await_result

if TYPE_CHECKING:
    import re

    from playwright.sync_api import FloatRect, Locator, Page

_POINTS = "path => (path.getAttribute('d') || '').split(/[ML]/).length - 1"
_MIDDLE = """path => {
  const middle = path.getPointAtLength(path.getTotalLength() / 2);
  const place = middle.matrixTransform(path.getScreenCTM());
  return [place.x, place.y];
}"""
_NAME_OF_FOCUSED = """() => {
  const { activeElement: part } = document;
  const label = part.id && document.querySelector(`label[for="${part.id}"]`);
  const named = part.getAttribute("aria-label") || (label || part).textContent.trim();
  return named || part.parentElement.textContent.trim();
}"""
_RING = """() => {
  const part = document.activeElement;
  const { outlineStyle, outlineWidth, outlineOffset } = getComputedStyle(part);
  const around = parseFloat(outlineWidth) + parseFloat(outlineOffset);
  const { left, right, top, bottom } = part.getBoundingClientRect();
  let whole = outlineStyle === "solid" && parseFloat(outlineWidth) >= 2;
  let box = part.parentElement;
  for (; whole && box.closest(".lrwidget"); box = box.parentElement) {
    const { overflowX, overflowY } = getComputedStyle(box);
    if (overflowX === "visible" && overflowY === "visible") continue;
    const edge = box.getBoundingClientRect();
    const beyond = Math.max(
      edge.left - left, right - edge.right, edge.top - top, bottom - edge.bottom
    );
    whole = beyond + around < 0.5;
  }
  return [whole, top, bottom];
}"""
_TICKS = """chart => {
  const ticks = [...chart.querySelector(".axis").querySelectorAll(".tick text")];
  return [ticks[0], ticks.at(-1)].map((text) => {
    const { left, width } = text.getBoundingClientRect();
    return [Number(text.textContent), left + width / 2];
  });
}"""
_DRAG_STEPS = 8
_DECADES_OFF = 0.02


class Finder:
    """
    A display of a widget in a page, with methods to look at it and to use it.

    Parameters
    ----------
    page:
        Page of the display.
    nth:
        Index of the display in the page, from 0.
    """

    def __init__(self, page: Page, nth: int = 0) -> None:
        self._page = page
        self.root = page.locator(".lrwidget").nth(nth)
        self.button = self.root.locator("button.lrwidget-toggle")
        self.check = self.root.get_by_role("button", name="Check by training")
        self.lanes = self.root.locator(".lrwidget-lanes")
        self.final = self.root.locator(".lrwidget-final")
        self.everything = self.root.get_by_role("button", name="Show all", exact=True)
        self.undo = self.root.locator(".lrwidget-undo")
        self.edges = self.root.locator(".lrwidget-brush .noUi-handle")
        self.status = self.root.locator(".lrwidget-status")
        self.chart = self.root.get_by_role("slider", name="Learning rate")
        self.field = self.root.get_by_role("spinbutton", name="Learning rate")
        self.slider = self.root.get_by_role("slider", name="Smoothing")
        self.runs = self.root.locator(".lrwidget-runs")
        self.menu = self.root.get_by_label("Rule", exact=True)
        self.hint = self.root.get_by_text("Click in the chart to choose a rate.")
        self.band = self.root.locator('path.area[style*="--lrwidget-suggestion"]').first
        # A mark without points has no path, so an index would not identify a mark;
        # its style does. The mark of the trend is its lower edge, itself, and its upper
        # edge.
        trend, self.line = (
            self.root.locator(f'path.line[style*="{looks}"]')
            for looks in ("stroke-width: 3;", "--lrwidget-choice")
        )
        self.lower_edge, self.trend = trend.nth(0), trend.nth(1)
        self.former = self.root.locator('path.line[style*="stroke-width: 1.5;"]')
        # not those of the batches
        dots = self.root.locator(".lrwidget-chart .object_grp path.dot")
        self.suggestion, self.handle = dots.first, dots.last
        self.card = self.root.locator(".lrwidget-card")
        self.tip = self.root.locator(".lrwidget-tip")

    def show_all(self) -> None:
        """Show all rates, unless they are shown."""
        if self.everything.is_enabled():
            self.everything.click()
        expect(self.everything).to_be_disabled(timeout=MILLISECONDS)

    def await_display(self) -> None:
        """Wait until the chart is drawn and accepts keys."""
        self.button.wait_for()
        # The script in the page is ready once it has named the chart.
        self.root.locator('[role="slider"][aria-label="Learning rate"]').wait_for(
            state="attached"
        )

    def await_points(self, count: int) -> int:
        """Wait until the curve is drawn with more points than this."""
        self._page.wait_for_function(
            f"([path, count]) => ({_POINTS})(path) > count",
            arg=[self.trend.element_handle(), count],
            timeout=MILLISECONDS,
        )
        return self.points()

    def points(self) -> int:
        """Return the number of points that are drawn of the curve."""
        count: int = self.trend.evaluate(_POINTS)
        return count

    def shape(self) -> str:
        """Return the path of the drawn curve, empty before the curve is drawn."""
        return self.trend.get_attribute("d") or ""

    def await_other_shape(self, shape: str) -> str:
        """Wait until the path of the drawn curve differs from this one; return it."""
        # An empty curve gets a new path element, so the locator finds it again.
        return await_result(
            self.shape, lambda seen: seen != shape, lambda _: "the curve stays as it is"
        )

    def await_answer(self) -> None:
        """Wait until a run has ended with a suggestion."""
        # The one in the room of the headline before is not seen.
        aside = self.root.locator(":not(.lrwidget-room) > * > .lrwidget-aside")
        expect(aside).not_to_be_empty(timeout=MILLISECONDS)
        expect(self.button).to_have_text("Run again")

    def await_status(self, said: str | re.Pattern[str]) -> None:
        """Wait until the status contains this text."""
        expect(self.status).to_contain_text(said, timeout=MILLISECONDS)

    def click(self, rate: float, height: float = 0.5) -> None:
        """Click in the chart at a rate, and at a share of the height from below."""
        self._show_plot()
        self._page.mouse.click(*self._place(rate, height))

    def click_on(self, mark: Locator) -> float:
        """Click on the middle of a mark's path, and return the rate there."""
        self._show_plot()
        x, y = self.place_on(mark)
        self._page.mouse.click(x, y)
        return self._rate_at(x)

    def hover(self, mark: Locator) -> tuple[float, float]:
        """Point at the middle of a mark's path; return its rate, and y in pixels."""
        self._show_plot()
        x, y = self.place_on(mark)
        self._page.mouse.move(x - 1, y)
        self._page.mouse.move(x, y)
        return self._rate_at(x), y

    def place_on(self, mark: Locator) -> tuple[float, float]:
        """Return the place in the page, in pixels, of the middle of a mark's path."""
        x, y = mark.evaluate(_MIDDLE)
        return x, y

    def focused(self) -> str:
        """Return the name of the part of the page that has the focus."""
        said: str = self._page.evaluate(_NAME_OF_FOCUSED)
        return said

    def ring(self) -> tuple[bool, float, float]:
        """
        Return how a person sees the part that has the focus.

        These are whether it has a whole focus ring, and where it begins and ends in the
        widget, in pixels from above.
        """
        whole, top, bottom = self._page.evaluate(_RING)
        above = _box(self.root)["y"]
        return whole, top - above, bottom - above

    def places(self) -> list[tuple[float, ...]]:
        """Return the places and sizes, in pixels, of the parts that always exist."""
        root = _box(self.root)
        parts = self.button, self.chart, self.menu
        boxes = [_box(part) for part in parts]
        return [
            (box["x"] - root["x"], box["y"] - root["y"], box["width"], box["height"])
            for box in boxes
        ]

    def click_lanes(self, across: float, height: float) -> None:
        """Click in the chart of lanes, at shares of its width and height."""
        self.lanes.scroll_into_view_if_needed()
        plot = _box(self.lanes.locator("rect.plotarea_events"))
        x = plot["x"] + across * plot["width"]
        self._page.mouse.click(x, plot["y"] + (1 - height) * plot["height"])

    def drag(self, *rates: float) -> None:
        """Drag the handle over some rates, and release it."""
        self.take_handle()
        for rate in rates:
            self.move_to(rate, steps=_DRAG_STEPS)
        self._page.mouse.up()

    def drag_edge(self, nth: int, pixels: float) -> None:
        """Drag the lower edge of the brush, 0, or its upper edge, 1."""
        self.edges.nth(nth).scroll_into_view_if_needed()
        box, mouse = _box(self.edges.nth(nth)), self._page.mouse
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        mouse.move(x, y)
        mouse.down()
        mouse.move(x + pixels, y, steps=_DRAG_STEPS)
        mouse.up()

    def take_handle(self) -> None:
        """Press the mouse button on the handle."""
        self.card.wait_for()
        self._show_plot()
        box = _box(self.handle)
        mouse = self._page.mouse
        mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        mouse.down()

    def move_to(self, rate: float, steps: int = 1) -> None:
        """Move the mouse to a rate."""
        self._page.mouse.move(*self._place(rate, 0.5), steps=steps)

    def await_at(self, mark: Locator, rate: float) -> None:
        """Wait until a mark is at a rate, within a pixel or two."""
        deadline = time.monotonic() + SECONDS
        while True:
            box = _box(mark)
            shown = self._rate_at(box["x"] + box["width"] / 2)
            if abs(math.log10(shown / rate)) < _DECADES_OFF:
                return
            assert time.monotonic() < deadline, f"stands at {shown}, not at {rate}"

    def _rate_at(self, across: float) -> float:
        (low, left), (high, right) = self._ticks()
        share = (across - left) / (right - left)
        return float(low * (high / low) ** share)

    def _ticks(self) -> list[tuple[float, float]]:
        """Return the rates of the first and the last tick, and their places."""
        ticks: list[tuple[float, float]] = self.chart.evaluate(_TICKS)
        return ticks

    def _show_plot(self) -> None:
        self.root.locator(".bqplot").first.scroll_into_view_if_needed()

    def plot(self) -> FloatRect:
        """Return the place of the plot in the page, in pixels."""
        return _box(self.root.locator("rect.plotarea_events").first)

    def _place(self, rate: float, height: float) -> tuple[float, float]:
        plot, ((low, left), (high, right)) = self.plot(), self._ticks()
        across = left + math.log(rate / low, high / low) * (right - left)
        return across, plot["y"] + (1 - height) * plot["height"]


def _box(part: Locator) -> FloatRect:
    box = part.bounding_box()
    assert box is not None
    return box
