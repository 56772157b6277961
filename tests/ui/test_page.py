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
    """Return what makes a page with some contents for all files."""
    made: list[Page] = []

    def make(export: Callable[[str], bytes] = str.encode) -> Page:
        page = Page(lambda: done.append("home"), export)

        def send(content: dict[str, Any], buffers: tuple[bytes, ...] = ()) -> None:
            if content == {"answered": True}:
                answers.append(content)
            else:
                done.append((content, *buffers))

        monkeypatch.setattr(page, "send", send)
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
    Page(print, print)
assert asked == [True]
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_home(make: Callable[..., Page], done: list[Any]) -> None:
    tell(make(), do="home")
    assert done == ["home"]


@pytest.mark.parametrize(
    ("kind", "media_type"),
    [
        ("json", "application/json"),
        ("csv", "text/csv"),
        ("png", "image/png"),
        ("svg", "image/svg+xml"),
    ],
)
def test_a_file_goes_to_the_view_that_asked(
    make: Callable[..., Page], done: list[Any], kind: str, media_type: str
) -> None:
    tell(make(), do="export", format=kind, view=0.5)
    answer = {"view": 0.5, "name": f"learning-rates.{kind}", "type": media_type}
    assert done == [(answer, kind.encode())]


def test_what_keeps_a_file_from_being_made_is_told(
    make: Callable[..., Page], done: list[Any]
) -> None:
    def export(_kind: str) -> bytes:
        msg = "there is no matplotlib"
        raise ImportError(msg)

    tell(make(export), do="export", format="json", view=0.5)
    ((answer,),) = done
    assert (answer["view"], answer["problem"]) == (0.5, "there is no matplotlib")


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"do": ["home"]},
        {"do": "export", "format": "pickle", "view": 1},
        {"do": "export", "format": ["json"], "view": 1},
        {"do": "export", "format": "json"},
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
    messages: list[dict[str, Any]] = [
        {"do": "home"},
        {"do": "export", "format": "csv", "view": 1},
    ]
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
    assert (page.suggestion, page.code) == (None, "")


def test_keys_and_clicks_move_the_handle(make: Callable[..., Page]) -> None:
    page = make()
    scales = {"x": LogScale(), "y": LinearScale()}
    page.handle = bqplot.Scatter(x=[], y=[], scales=scales)
    assert page.get_state()["handle"] == f"IPY_MODEL_{page.handle.model_id}"
