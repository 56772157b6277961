from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lrwidget.ui.closing import close_with_parts
from lrwidget.ui.controls import PickBar, RunBar

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pick_bar() -> Iterator[PickBar]:
    bar = PickBar(1e-7, 10.0, 0.98)
    yield bar
    close_with_parts(bar)


@pytest.fixture
def run_bar() -> Iterator[tuple[RunBar, list[str]]]:
    pressed: list[str] = []
    bar = RunBar(100, lambda: pressed.append("pressed"))
    yield bar, pressed
    close_with_parts(bar)


def test_the_button_says_what_it_does_next(
    run_bar: tuple[RunBar, list[str]],
) -> None:
    bar, pressed = run_bar
    assert bar.button.description == "Run"
    bar.button.click()
    assert pressed == ["pressed"]
    bar.show_running(running=True)
    assert bar.button.description == "Stop"
    bar.show_running(running=False)
    assert bar.button.description == "Run"


def test_shows_how_it_goes(run_bar: tuple[RunBar, list[str]]) -> None:
    bar, _ = run_bar
    bar.show(42, "42 / 100", "Running: <b>&")
    assert (bar.progress.value, bar.pace.value) == (42, "42 / 100")
    assert "Running: &lt;b&gt;&amp;<" in bar.status.value
    assert bar.progress.bar_style == ""
    bar.show(42, "42 / 100", "Failed", failed=True)
    assert bar.progress.bar_style == "danger"
    assert "lrwidget-failed" in bar.status.value


def test_the_field_is_hidden_until_there_is_a_value(pick_bar: PickBar) -> None:
    shown = [pick_bar.field.layout.display, pick_bar.hint.layout.display]
    assert shown == ["none", None]
    pick_bar.value = 1e-3
    shown = [pick_bar.field.layout.display, pick_bar.hint.layout.display]
    assert shown == [None, "none"]
    assert pick_bar.field.value == 1e-3


@pytest.mark.parametrize("typed", [0.0025, 1.23456789e-7, 10.0])
def test_what_is_typed_is_the_value(pick_bar: PickBar, typed: float) -> None:
    pick_bar.value = 1e-3
    pick_bar.field.set_state({"value": typed})
    assert pick_bar.value == typed


@pytest.mark.parametrize(("typed", "clamped"), [(0.0, 1e-7), (1e-9, 1e-7)])
def test_what_is_typed_outside_the_range(
    pick_bar: PickBar, typed: float, clamped: float
) -> None:
    pick_bar.value = 1e-3
    pick_bar.field.set_state({"value": typed})
    assert pick_bar.value == clamped
    assert pick_bar.field.value == clamped


def test_a_number_too_long_to_read_is_shown_in_short(pick_bar: PickBar) -> None:
    pick_bar.value = 0.02595024211399
    assert pick_bar.value == 0.02595024211399
    assert pick_bar.field.value == 0.026


@pytest.mark.parametrize(
    ("value", "step"), [(0.0138, 1e-4), (1.0, 0.01), (9.9e-7, 1e-9)]
)
def test_the_arrows_of_the_field_move_its_third_digit(
    pick_bar: PickBar, value: float, step: float
) -> None:
    pick_bar.value = value
    assert pick_bar.field.step == pytest.approx(step)
