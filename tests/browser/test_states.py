"""The widget in each of its states: nothing is cut off, and axe finds nothing."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.lab import DarkLab, Lab
from tests.browser.states import SETUP, STATES
from tests.browser.waiting import await_result

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator, Page

_WIDTHS = (1600, 480)
# Whether a chart is as wide as its place: bqplot lays it out after it comes into view.
_LAID_OUT = """(chart) => {
  const plot = chart.querySelector(".plotarea_events").getBoundingClientRect();
  const { left, right } = chart.getBoundingClientRect();
  return plot.right <= right && plot.width > (right - left) / 2;
}"""
# The texts of the charts that are cut off.
_CUT = """(root) => {
  const cut = (text) => {
    const chart = text.closest("svg") ?? text.closest(".lrwidget-chart");
    const [inner, outer] = [text, chart].map((part) => part.getBoundingClientRect());
    const { visibility, opacity } = getComputedStyle(text);
    if (!inner.width || visibility === "hidden" || opacity === "0") return false;
    const across = inner.left < outer.left - 1 || inner.right > outer.right + 1;
    return across || inner.top < outer.top - 1 || inner.bottom > outer.bottom + 1;
  };
  const texts = root.querySelectorAll(".bqplot text, .lrwidget-overlay *");
  const parts = [...texts].filter((part) => !part.children.length && part.textContent);
  return parts.filter(cut).map(({ textContent }) => textContent);
}"""
# The parts that reach over the edge of the widget. What scrolls in a part is inside it.
_OUTSIDE = """(root) => {
  const { left, right } = root.getBoundingClientRect();
  const hidden = (part) => {
    for (let above = part.parentElement; above !== root; above = above.parentElement) {
      if (getComputedStyle(above).overflowX !== "visible") return true;
    }
    return false;
  };
  return [...root.querySelectorAll("*")].filter((part) => {
    const box = part.getBoundingClientRect();
    if (!box.width || !box.height || hidden(part)) return false;
    return box.right > right + 1 || box.left < left - 1;
  }).map((part) => part.outerHTML.slice(0, 200));
}"""

# What is too small for a finger; a press on the label of a box is one on the box.
_SMALL = """(root) => {
  const parts = "button, input, select, label:has(input), .noUi-touch-area";
  return [...root.querySelectorAll(parts)].filter((part) => {
    const { width, height } = part.getBoundingClientRect();
    const seen = width && getComputedStyle(part).visibility !== "hidden";
    return seen && part.type !== "checkbox" && (width < 44 || height < 44);
  }).map((part) => part.outerHTML.slice(0, 200));
}"""
# The texts of the charts in other colours than the system's.
_OFF_COLOUR = """(root) => {
  const other = (text) => getComputedStyle(text).fill !== getComputedStyle(root).color;
  const texts = root.querySelectorAll(".bqplot text");
  const seen = [...texts].filter((text) => text.checkVisibility());
  return seen.filter(other).map(({ textContent }) => textContent);
}"""


def _problems(page: Page) -> list[Any]:
    """Return what axe finds in the widgets."""
    found = Axe().run(page, context=".lrwidget").response["violations"]
    return [
        (problem["id"], node["html"][:200])
        for problem in found
        for node in problem["nodes"]
    ]


def _check_nothing_cut_off(page: Page, widget: Locator) -> None:
    """Check that all parts of a widget are inside it, once its charts are laid out."""
    for chart in widget.locator(".bqplot:visible").all():
        chart.scroll_into_view_if_needed()
        page.wait_for_function(_LAID_OUT, arg=chart.element_handle())
    await_result(
        lambda: [*widget.evaluate(_OUTSIDE), *widget.evaluate(_CUT)],
        lambda parts: not parts,
        "cut off: {}".format,
    )


def _check_forced_colours(page: Page, scheme: Literal["light", "dark"]) -> None:
    """Check the colours of the system, of which the theme of the page knows nothing."""
    page.emulate_media(forced_colors="active", color_scheme=scheme)
    assert _problems(page) == []
    for widget in page.locator(".lrwidget").all():
        assert widget.evaluate(_OFF_COLOUR) == []
    page.emulate_media(forced_colors="none", color_scheme="null")


def _check_coarse_pointer(page: Page) -> None:
    """Check that a finger can press each button and field."""
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    for widget in page.locator(".lrwidget").all():
        assert widget.evaluate(_SMALL) == []
    session.send("Emulation.setTouchEmulationEnabled", {"enabled": False})
    session.detach()


@pytest.mark.parametrize("kind", [Lab, DarkLab], ids=["light", "dark"])
def test_every_state(
    kind: type[Lab], serve: Callable[[type[Lab]], Lab], page: Page
) -> None:
    cells = [SETUP, *STATES.values()]
    with closing(serve(kind).open(page, cells)) as book:
        book.execute_all()
        widgets = page.locator(".lrwidget")
        assert widgets.count() == len(STATES)
        assert _problems(page) == []
        _check_forced_colours(page, scheme="dark" if kind is Lab else "light")
        _check_coarse_pointer(page)
        for width in _WIDTHS:
            page.set_viewport_size({"width": width, "height": 1000})
            for number in range(len(STATES)):
                _check_nothing_cut_off(page, widgets.nth(number))
        page.set_viewport_size({"width": 1400, "height": 1000})
