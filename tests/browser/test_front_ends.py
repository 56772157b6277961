"""The widget in each front end that it supports."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.browser.cells import LONG, SETUP
from tests.browser.finder import Finder
from tests.browser.lab import Lab, Notebook7
from tests.browser.voila import Voila

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.browser.document import Document
    from tests.browser.server import Server

_OBSERVED = "values = []\nw.observe(lambda change: values.append(change.new), 'value')"


@pytest.fixture(params=[Lab, Notebook7, Voila])
def front_end(
    request: pytest.FixtureRequest, serve: Callable[[type[Server[Any]]], Server[Any]]
) -> Server[Any]:
    return serve(request.param)


@pytest.fixture(params=[Lab, pytest.param(Notebook7, marks=pytest.mark.exhaustive)])
def editor(request: pytest.FixtureRequest, serve: Callable[[type[Lab]], Lab]) -> Lab:
    """Return a front end that can save a notebook and open it again."""
    return serve(request.param)


def _start(finder: Finder) -> None:
    finder.button.click()
    _await_drawing(finder)


def _await_drawing(finder: Finder) -> None:
    shape = finder.shape()
    for _ in range(5):
        shape = finder.await_other_shape(shape)
    expect(finder.button).to_have_text("Stop")


def _stop(document: Document, finder: Finder) -> None:
    finder.button.click()
    finder.await_status("Stopped after")
    expect(finder.button).to_have_text("Run again")
    assert document.value("w.wait().stop_reason") == "stopped"


def _await_picked(document: Document, rate: float, *finders: Finder) -> None:
    value = document.await_value(
        "w.value", lambda value: value == pytest.approx(rate, rel=0.05)
    )
    for finder in finders:
        finder.await_at(finder.handle, value)
        finder.await_at(finder.line, value)
        expect(finder.field).to_have_value(f"{value:.3g}")


def test_run_it_pick_a_rate_and_stop_it(front_end: Server[Any], page: Page) -> None:
    with closing(front_end.open(page, [SETUP, LONG, _OBSERVED])) as document:
        document.execute_all()
        finder = Finder(page)
        finder.await_display()
        _start(finder)
        document.value("pause.set()")
        finder.await_answer()
        expect(finder.button).to_have_text("Run again")
        suggestion = document.value("w.wait().suggest()")
        _await_picked(document, suggestion, finder)

        finder.show_all()
        finder.drag(suggestion / 100, 2e-3)
        _await_picked(document, 2e-3, finder)
        assert document.value("min(values)") < suggestion / 2
        finder.click(0.3)
        _await_picked(document, 0.3, finder)
        finder.field.fill("0.00025")
        finder.field.press("Enter")
        _await_picked(document, 2.5e-4, finder)

        smooth = finder.shape()
        finder.slider.focus()
        page.keyboard.press("End")
        finder.await_other_shape(smooth)

        document.value("pause.clear()")
        _start(finder)
        _stop(document, finder)


def test_two_displays_stay_in_step(editor: Lab, page: Page) -> None:
    with closing(editor.open(page, [SETUP, LONG, "w"])) as document:
        document.execute_all()
        first, second = (Finder(page, nth=nth) for nth in range(2))
        first.await_display()
        second.await_display()
        _start(second)
        _await_drawing(first)
        _stop(document, first)
        expect(second.button).to_have_text("Run again")

        first.click(0.05)
        _await_picked(document, 0.05, first, second)
        first.drag(2e-3)
        _await_picked(document, 2e-3, first, second)
        second.drag(0.3)
        _await_picked(document, 0.3, first, second)


def test_a_notebook_opened_again_shows_what_runs(editor: Lab, page: Page) -> None:
    name = editor.write([SETUP, LONG])
    with closing(editor.show(page, name)) as document:
        document.execute_all()
        finder = Finder(page)
        finder.await_display()
        document.save()
        _start(finder)
        page.close()

    again = page.context.new_page()
    with closing(editor.show(again, name)) as document:
        finder = Finder(again)
        finder.await_display()
        _await_drawing(finder)
        _stop(document, finder)
        finder.show_all()
        finder.click(2e-3)
        _await_picked(document, 2e-3, finder)
