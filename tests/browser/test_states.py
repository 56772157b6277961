"""The widget in each of its states: nothing is cut off, and axe finds nothing."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.lab import DarkLab, Lab
from tests.browser.states import SETUP, STATES

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

_WIDTHS = (1600, 480)
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


def _problems(page: Page) -> list[Any]:
    """Return what axe finds in the widgets."""
    found = Axe().run(page, context=".lrwidget").response["violations"]
    return [
        (problem["id"], node["html"][:200])
        for problem in found
        for node in problem["nodes"]
    ]


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
        page.emulate_media(forced_colors="active")
        assert _problems(page) == []
        page.emulate_media(forced_colors="none")
        for width in _WIDTHS:
            page.set_viewport_size({"width": width, "height": 1000})
            outside = {
                state: widgets.nth(number).evaluate(_OUTSIDE)
                for number, state in enumerate(STATES)
            }
            assert {state: parts for state, parts in outside.items() if parts} == {}
        page.set_viewport_size({"width": 1400, "height": 1000})
