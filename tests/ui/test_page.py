from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import bqplot
import pytest
from bqscales import LinearScale, LogScale

from lrwidget.ui.page import Page
from lrwidget.ui.widgets import close_with_parts
from tests.ui.front_end import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def done() -> list[Any]:
    """Return where the page is to note what it was told to do."""
    return []


@pytest.fixture
def answers() -> list[Any]:
    """Return where the page is to note that it has answered."""
    return []


@pytest.fixture
def make(
    done: list[Any], answers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Page]]:
    """Return what makes a page."""
    made: list[Page] = []

    def make() -> Page:
        page = Page(lambda: done.append("home"))
        monkeypatch.setattr(page, "send", answers.append)
        made.append(page)
        return page

    yield make
    for page in made:
        close_with_parts(page)


def test_it_has_its_script_and_its_style_sheet(make: Callable[..., Page]) -> None:
    state = make().get_state()
    assert "export default" in state["_esm"]
    assert ".lrwidget" in state["_css"]


def test_colab_is_told_to_load_it() -> None:
    # In a process of its own, since it is told once.
    code = """
import sys, types
asked = []
output = types.ModuleType("google.colab.output")
output.enable_custom_widget_manager = lambda: asked.append(True)
sys.modules["google.colab.output"] = output
from lrwidget.ui.page import Page
for _ in range(2):
    Page(print)
assert asked == [True]
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_home(make: Callable[..., Page], done: list[Any]) -> None:
    tell(make(), do="home")
    assert done == ["home"]


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"do": ["home"]},
        {"do": "something else"},
    ],
)
def test_what_it_does_not_know_does_nothing(
    make: Callable[..., Page],
    done: list[Any],
    answers: list[Any],
    message: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    page = make()
    tell(page, **message)
    assert done == []
    assert caplog.records == []  # as ipywidgets tells what a callback raises
    assert len(answers) == 1


def test_every_message_is_answered(
    make: Callable[..., Page], answers: list[Any]
) -> None:
    page = make()
    messages: list[dict[str, Any]] = [{"do": "home"}, {"do": "something else"}]
    for number, message in enumerate(messages):
        assert len(answers) == number
        tell(page, **message)
    page.answer()
    assert len(answers) == 3


def test_a_command_is_answered_before_it_is_done(
    make: Callable[..., Page], done: list[Any], answers: list[Any]
) -> None:
    page = make()
    command = page.answered(lambda *what: (len(answers), *what))
    assert command("a", 2) == (1, "a", 2)
    assert done == []


def test_it_knows_nothing_at_first(make: Callable[..., Page]) -> None:
    page = make()
    assert (page.suggestion, page.said) == (None, "")


def test_keys_and_clicks_move_the_handle(make: Callable[..., Page]) -> None:
    page = make()
    scales = {"x": LogScale(), "y": LinearScale()}
    page.handle = bqplot.Scatter(x=[], y=[], scales=scales)
    assert page.get_state()["handle"] == f"IPY_MODEL_{page.handle.model_id}"
