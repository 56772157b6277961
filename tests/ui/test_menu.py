from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lrwidget.ui.menu import Menu
from lrwidget.ui.widgets import close_with_parts
from tests.ui.front_end import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def done() -> list[Any]:
    """Return where a menu is to note what it sends."""
    return []


@pytest.fixture
def make(done: list[Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return what makes a menu of files, with some contents for all of these."""
    made: list[Menu] = []

    def make(export: Callable[[str], bytes] = str.encode) -> Menu:
        menu = Menu("Save", "Save a file", export)

        def send(content: dict[str, Any], buffers: tuple[bytes, ...] = ()) -> None:
            done.append((content, *buffers))

        monkeypatch.setattr(menu, "send", send)
        made.append(menu)
        return menu

    yield make
    for menu in made:
        close_with_parts(menu)


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
    make: Callable[..., Menu], done: list[Any], kind: str, media_type: str
) -> None:
    tell(make(), save=kind, view=0.5)
    answer = {"view": 0.5, "name": f"learning-rates.{kind}", "type": media_type}
    assert done == [(answer, kind.encode())]


def test_what_keeps_a_file_from_being_made_is_told(
    make: Callable[..., Menu], done: list[Any]
) -> None:
    def export(_kind: str) -> bytes:
        msg = "there is no matplotlib"
        raise ImportError(msg)

    tell(make(export), save="json", view=0.5)
    ((answer,),) = done
    assert (answer["view"], answer["problem"]) == (0.5, "there is no matplotlib")


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"save": "pickle", "view": 1},
        {"save": ["json"], "view": 1},
        {"save": "json"},
    ],
)
def test_what_it_does_not_know_does_nothing(
    make: Callable[..., Menu], done: list[Any], message: dict[str, Any]
) -> None:
    tell(make(), **message)
    assert done == []


def test_a_menu_of_lines_saves_nothing() -> None:
    menu = Menu("Copy", "Copy as code")
    assert (menu.entries, menu.saves) == ([], False)
    menu.show(["lr=0.1"])
    tell(menu, save="json", view=1)
    assert menu.get_state()["entries"] == ["lr=0.1"]
    close_with_parts(menu)
