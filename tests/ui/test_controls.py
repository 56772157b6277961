from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as ipw
import pytest

from lrwidget.backends.base import Capabilities
from lrwidget.curve.rules import RULES
from lrwidget.ui.controls import ApplyBar, PickBar, RunBar
from lrwidget.ui.widgets import close_with_parts

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def done() -> list[Any]:
    """Return where a bar is to note what it was told to do."""
    return []


@pytest.fixture
def run_bar(done: list[Any]) -> Iterator[RunBar]:
    toggle = ipw.ToggleButton()
    bar = RunBar(
        lambda: done.append("run"), lambda: done.append("check"), toggle, Capabilities()
    )
    yield bar
    close_with_parts(bar)


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


@pytest.fixture
def apply_bar(done: list[Any]) -> Iterator[ApplyBar]:
    def apply() -> str:
        done.append("apply")
        return "Wrote <b> to it."

    bar = ApplyBar(apply, ipw.Label(), Capabilities())
    yield bar
    close_with_parts(bar)


def test_the_button_says_what_it_does_next(run_bar: RunBar, done: list[Any]) -> None:
    assert run_bar.button.description == "Run"
    run_bar.button.click()
    run_bar.check.click()
    assert done == ["run", "check"]
    run_bar.show_running(running=True)
    assert (run_bar.button.description, run_bar.check.disabled) == ("Stop", True)
    run_bar.show_running(running=False)
    assert (run_bar.button.description, run_bar.check.disabled) == ("Run", False)


def test_a_check_tells_its_cost(run_bar: RunBar) -> None:
    run_bar.show_check("5 trainings of 60 steps")
    assert run_bar.check.tooltip == "5 trainings of 60 steps"


def test_it_has_the_button_of_the_settings() -> None:
    toggle = ipw.ToggleButton()
    bar = RunBar(lambda: None, lambda: None, toggle, Capabilities())
    assert toggle in bar.children[0].children
    close_with_parts(bar)


def test_shows_how_it_goes(run_bar: RunBar) -> None:
    run_bar.show(42, 100, "Running: <b>&")
    assert (run_bar.progress.value, run_bar.progress.max) == (42, 100)
    assert "Running: &lt;b&gt;&amp;<" in run_bar.status.value
    assert run_bar.progress.bar_style == ""
    for done, total in ((300, 500), (5, 60), (0, 0)):
        run_bar.show(done, total, "")
        assert (run_bar.progress.value, run_bar.progress.max) == (done, total)


def test_shows_a_failure_with_its_traceback_folded_away(run_bar: RunBar) -> None:
    run_bar.show(42, 100, "Failed: <img src=x>", "line 1\n<script>")
    assert (run_bar.progress.value, run_bar.progress.max) == (42, 100)
    assert run_bar.progress.bar_style == "danger"
    said, details = run_bar.status.value.split("<details>")
    assert "lrwidget-failed" in said
    assert "Failed: &lt;img src=x&gt;" in said
    assert "line 1\n&lt;script&gt;" in details
    assert "<img" not in run_bar.status.value
    assert "<script" not in run_bar.status.value
    run_bar.show(1, 100, "Running")
    assert run_bar.progress.bar_style == ""
    assert "details" not in run_bar.status.value


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
    assert pick_bar.rule.label == "descent (default)"


def test_apply_says_what_it_wrote(apply_bar: ApplyBar, done: list[Any]) -> None:
    apply_bar.show_rate(0.01)
    apply_bar.button.click()
    assert done == ["apply"]
    assert isinstance(apply_bar.said, ipw.Label)  # whose value is text
    assert apply_bar.said.value == "Wrote <b> to it."
    apply_bar.show_rate(0.02)
    assert apply_bar.said.value == ""


def test_nothing_is_applied_without_a_rate(apply_bar: ApplyBar) -> None:
    for rate in (None, 0.01, None):
        apply_bar.show_rate(rate)
        assert apply_bar.button.disabled == (rate is None)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("it is trained now"), "it is trained now"),
        (KeyError(), "KeyError"),
    ],
)
def test_what_keeps_a_rate_from_being_applied_is_said(
    error: Exception, said: str
) -> None:
    def apply() -> str:
        raise error

    bar = ApplyBar(apply, ipw.Label(), Capabilities())
    bar.show_rate(0.01)
    bar.button.click()
    assert bar.said.value == said
    close_with_parts(bar)


def test_controls_that_make_no_sense_are_not_there() -> None:
    only_stop = Capabilities(run=False, apply=False)
    toggle = ipw.ToggleButton()
    bar = RunBar(lambda: None, lambda: None, toggle, only_stop)
    below = ApplyBar(lambda: "", ipw.Label(), only_stop)
    hidden = [part.layout.display for part in (bar.check, toggle, below.button)]
    assert hidden == ["none"] * 3
    for running in (True, False):
        bar.show_running(running=running)
        assert bar.button.layout.display == (None if running else "none")
    close_with_parts(bar)
    close_with_parts(below)
