"""One browser and one JupyterLab for all tests here, and a page for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import sync_playwright

from tests.browser.lab import MILLISECONDS, Lab, launch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

    from tests.browser.lab import Notebook


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, launch(playwright) as browser:
        yield browser


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(MILLISECONDS)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.close()
    assert not errors


@pytest.fixture
def notebook(page: Page, lab: Lab) -> Iterator[Callable[..., Notebook]]:
    """Return what opens a notebook: one of these cells, or of this name."""
    opened: list[Notebook] = []

    def notebook(*cells: str, name: str | None = None) -> Notebook:
        opened.append(lab.show(page, name) if name else lab.open(page, list(cells)))
        return opened[-1]

    yield notebook
    for book in opened:
        book.close()
