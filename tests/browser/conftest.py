"""Fixtures of all tests here: one browser, one server per front end, and pages."""

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
# Notebook 7.6 reports this at its start if other settings load before its shortcuts.
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
    """Return a function that returns a front end's server, started at first use."""
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
    """Yield a context that caches the compiled scripts; their compilation is slow."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(MILLISECONDS)
    yield context
    context.close()


@pytest.fixture
def context(profile: BrowserContext) -> Iterator[BrowserContext]:
    """Yield the browser context; the test fails if a page in it reports an error."""
    errors: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        # Voila requests fonts from another host, and works without these fonts.
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
    """Return a function that opens a new notebook of these cells, or a named one."""
    opened: list[Notebook] = []

    def notebook(*cells: str, name: str | None = None) -> Notebook:
        opened.append(lab.show(page, name) if name else lab.open(page, list(cells)))
        return opened[-1]

    yield notebook
    lab.take_back(*opened)
