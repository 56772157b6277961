from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lrwidget.ui.closing import close_with_parts
from lrwidget.ui.controls import PickBar, RunBar

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pick_bar() -> Iterator[tuple[PickBar, list[float]]]:
    picked: list[float] = []
    bar = PickBar(1e-7, 10.0, 0.98, "descent", picked.append)
    yield bar, picked
    close_with_parts(bar)


@pytest.fixture
def run_bar() -> Iterator[tuple[RunBar, list[str]]]:
    pressed: list[str] = []
    bar = RunBar(lambda: pressed.append("run"), lambda: pressed.append("race"))
    yield bar, pressed
    close_with_parts(bar)


def test_the_button_says_what_it_does_next(
    run_bar: tuple[RunBar, list[str]],
) -> None:
    bar, pressed = run_bar
    assert bar.button.description == "Run"
    bar.button.click()
    bar.race.click()
    assert pressed == ["run", "race"]
    bar.show_running(running=True, raceable=True)
    assert bar.button.description == "Stop"
    bar.show_running(running=False, raceable=True)
    assert bar.button.description == "Run"


def test_a_race_needs_something_to_race_and_peace(
    run_bar: tuple[RunBar, list[str]],
) -> None:
    bar, _ = run_bar
    assert bar.race.disabled
    for running in (False, True):
        for raceable in (False, True):
            bar.show_running(running=running, raceable=raceable)
            assert bar.race.disabled == (running or not raceable)


def test_shows_how_it_goes(run_bar: tuple[RunBar, list[str]]) -> None:
    bar, _ = run_bar
    bar.show(42, 100, "42 / 100", "Running: <b>&")
    assert (bar.progress.value, bar.progress.max) == (42, 100)
    assert bar.pace.value == "42 / 100"
    assert "Running: &lt;b&gt;&amp;<" in bar.status.value
    assert bar.progress.bar_style == ""
    bar.show(42, 100, "42 / 100", "Failed", failed=True)
    assert bar.progress.bar_style == "danger"
    assert "lrwidget-failed" in bar.status.value
    for done, total in ((300, 500), (5, 60)):
        bar.show(done, total, "", "")
        assert (bar.progress.value, bar.progress.max) == (done, total)


def test_the_field_is_hidden_until_there_is_a_rate(
    pick_bar: tuple[PickBar, list[float]],
) -> None:
    bar, picked = pick_bar
    for rate, field, hint in (
        (None, "none", None),
        (1e-3, None, "none"),
        (None, "none", None),
    ):
        bar.show_rate(rate)
        assert (bar.field.layout.display, bar.hint.layout.display) == (field, hint)
    assert bar.field.value == 1e-3
    assert picked == []


def test_what_is_typed_is_picked(pick_bar: tuple[PickBar, list[float]]) -> None:
    bar, picked = pick_bar
    bar.show_rate(1e-3)
    typed = [0.0025, 1.23456789e-7, 0.0, 10.0]
    for rate in typed:
        bar.field.set_state({"value": rate})
    assert picked == typed


def test_a_number_too_long_to_read_is_shown_in_short(
    pick_bar: tuple[PickBar, list[float]],
) -> None:
    bar, picked = pick_bar
    bar.show_rate(0.02595024211399)
    assert bar.field.value == 0.026
    bar.show_rate(0.0259502421)
    assert bar.field.value == 0.0259502421
    assert picked == []


@pytest.mark.parametrize(
    ("value", "step"), [(0.0138, 1e-4), (1.0, 0.01), (9.9e-7, 1e-9)]
)
def test_the_arrows_of_the_field_move_its_third_digit(
    pick_bar: tuple[PickBar, list[float]], value: float, step: float
) -> None:
    bar, _ = pick_bar
    bar.show_rate(value)
    assert bar.field.step == pytest.approx(step)
