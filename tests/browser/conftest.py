"""One browser and one server of each front end for all tests here, and their pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.browser.chromium import launch
from tests.browser.lab import Lab
from tests.browser.waiting import MILLISECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import (
        Browser,
        BrowserContext,
        ConsoleMessage,
        Page,
        WebError,
    )

    from tests.browser.lab import Notebook
    from tests.browser.server import Server

_LOOPBACK = "http://127.0.0.1:"
# Notebook 7.6 says this as it starts, if other settings come before its shortcuts.
_NOT_OURS = "Cannot read properties of undefined (reading 'schema')"

expect.set_options(timeout=MILLISECONDS)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, launch(playwright) as browser:
        yield browser


@pytest.fixture(scope="session")
def serve(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[type[Server[Any]]], Server[Any]]]:
    """Return what gives the server of a front end, and starts it if need be."""
    servers: dict[type[Server[Any]], Server[Any]] = {}

    def serve(kind: type[Server[Any]]) -> Server[Any]:
        if kind not in servers:
            servers[kind] = kind(tmp_path_factory.mktemp(kind.__name__))
        return servers[kind]

    yield serve
    for server in servers.values():
        server.terminate()
    for server in servers.values():
        server.wait()


@pytest.fixture
def lab(serve: Callable[[type[Lab]], Lab]) -> Lab:
    return serve(Lab)


@pytest.fixture(scope="session")
def profile(browser: Browser) -> Iterator[BrowserContext]:
    """Yield what keeps the scripts of the front ends, which take long to compile."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(MILLISECONDS)
    yield context
    context.close()


@pytest.fixture
def context(profile: BrowserContext) -> Iterator[BrowserContext]:
    """Yield a person's browser, in whose pages nothing of ours may go wrong."""
    errors: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        # Voila asks for fonts from elsewhere, and does without.
        if message.type == "error" and message.location["url"].startswith(_LOOPBACK):
            errors.append(f"{message.location}: {message.text}")

    def fail(failure: WebError) -> None:
        errors.append(str(failure.error))

    profile.on("console", hear)
    profile.on("weberror", fail)
    yield profile
    for page in profile.pages:
        page.close()
    profile.remove_listener("console", hear)
    profile.remove_listener("weberror", fail)
    profile.clear_permissions()
    assert not [error for error in errors if _NOT_OURS not in error]


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


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
