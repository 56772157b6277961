from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as ipw
import pytest

from lrwidget.backends.base import Capabilities
from lrwidget.curve.rules import RULES
from lrwidget.ui.controls import NextBar, PickBar, UndoButton
from lrwidget.ui.widgets import close_with_parts

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def done() -> list[Any]:
    """Return where a bar is to note what it was told to do."""
    return []


@pytest.fixture
def pick_bar(done: list[Any]) -> Iterator[PickBar]:
    bar = PickBar(
        1e-7,
        "descent",
        done.append,
        lambda steps: done.append(("step", steps)),
        lambda: done.append("home"),
    )
    yield bar
    close_with_parts(bar)


def test_the_field_is_hidden_until_there_is_a_rate(
    pick_bar: PickBar, done: list[Any]
) -> None:
    for rate, field, hint in (
        (None, "none", None),
        (1e-3, None, "none"),
        (None, "none", None),
    ):
        pick_bar.show_rate(rate)
        shown = pick_bar.field.layout.display, pick_bar.hint.layout.display
        assert shown == (field, hint)
    assert pick_bar.field.value == 1e-3
    assert done == []


def test_what_is_typed_is_picked(pick_bar: PickBar, done: list[Any]) -> None:
    pick_bar.show_rate(1e-3)
    typed = [0.0025, 1.23456789e-7, 0.0, 10.0]
    for rate in typed:
        pick_bar.field.set_state({"value": rate})
    assert done == typed


def test_a_number_too_long_to_read_is_shown_in_short(
    pick_bar: PickBar, done: list[Any]
) -> None:
    pick_bar.show_rate(0.02595024211399)
    assert pick_bar.field.value == 0.026
    pick_bar.show_rate(0.0259502421)
    assert pick_bar.field.value == 0.0259502421
    assert done == []


@pytest.mark.parametrize(
    ("value", "step"), [(0.0138, 1e-4), (1.0, 0.01), (9.9e-7, 1e-9)]
)
def test_the_arrows_of_the_field_move_its_third_digit(
    pick_bar: PickBar, value: float, step: float
) -> None:
    pick_bar.show_rate(value)
    assert pick_bar.field.step == pytest.approx(step)


def test_the_buttons_move_the_rate(pick_bar: PickBar, done: list[Any]) -> None:
    for button in (pick_bar.lower, pick_bar.higher, pick_bar.home):
        # what a button without a text is called
        assert button.tooltip
        button.click()
    assert done == [("step", -1), ("step", 1), "home"]


def test_the_menu_has_every_rule(pick_bar: PickBar) -> None:
    names = [rule for _, rule in pick_bar.rule.options]
    assert names == list(RULES)
    assert pick_bar.rule.value == "descent"
    assert pick_bar.rule.label == "automatic"


def test_the_last_line() -> None:
    toggle = ipw.ToggleButton()
    undo = UndoButton(lambda: None)
    bar = NextBar(toggle, undo, ipw.Label(), Capabilities())
    assert toggle in bar.children
    bar.show_next("Next run: 5 steps")
    bar.say("Applied: <b> is now 1.")
    assert isinstance(bar.said, ipw.Label)  # whose value is text
    assert (bar.next.value, bar.said.value) == (
        "Next run: 5 steps",
        "Applied: <b> is now 1.",
    )
    close_with_parts(bar)


def test_without_runs_there_is_no_next_one() -> None:
    toggle = ipw.ToggleButton()
    undo = UndoButton(lambda: None)
    bar = NextBar(toggle, undo, ipw.Label(), Capabilities(run=False))
    assert [x.layout.display for x in (bar.next, toggle)] == ["none", "none"]
    close_with_parts(bar)
