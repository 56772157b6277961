"""
Take a picture of the widget in each of its states, in both themes and three widths.

The pictures go to a folder, to be looked at one by one:

    python -m tests.browser.gallery FOLDER [STATE ...]
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, sync_playwright

from tests.browser.chromium import launch
from tests.browser.lab import DarkLab, Lab
from tests.browser.states import SETUP, STATES

_WIDTHS = (1600, 1000, 480)
_THEMES = {"light": Lab, "dark": DarkLab}
_DRAWN_AFTER = 1500  # milliseconds


def _take(browser: Browser, folder: Path, theme: str, states: list[str]) -> None:
    with TemporaryDirectory() as files, _THEMES[theme](Path(files)) as lab:
        page = browser.new_page(viewport={"width": _WIDTHS[0], "height": 2000})
        book = lab.open(page, [SETUP, *(STATES[state] for state in states)])
        book.execute_all()
        cells = page.locator(".jp-CodeCell")
        for width in _WIDTHS:
            page.set_viewport_size({"width": width, "height": 2000})
            for number, state in enumerate(states, 1):
                widget = cells.nth(number).locator(".lrwidget")
                widget.scroll_into_view_if_needed()
                page.mouse.move(0, 0)
                page.wait_for_timeout(_DRAWN_AFTER)
                name = f"{state.replace(' ', '-')}-{theme}-{width}.png"
                widget.screenshot(path=folder / name)
        book.close()
        page.close()


def main() -> None:
    """Take the pictures of some states, or of all."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, launch(playwright) as browser:
        for theme in _THEMES:
            _take(browser, folder, theme, sys.argv[2:] or [*STATES])


if __name__ == "__main__":
    main()
