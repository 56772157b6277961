from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw
import pytest
import torch
from torch import nn
from traitlets import TraitError, dlink, validate

from lrwidget import LRWidget
from lrwidget.curve.ticks import rounded, short
from lrwidget.ui.widgets import close_with_parts
from tests.ui.front_end import click_suggestion, tell
from tests.ways import WAYS, places
from tests.widget_parts import (
    BATCHES,
    SECONDS,
    Gate,
    display_of,
    optimizer_of,
    parts,
    sentence_of,
    two_groups,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def _left(widget: LRWidget) -> None:
    display_of(widget).pick_bar.lower.click()


def _right(widget: LRWidget) -> None:
    display_of(widget).pick_bar.higher.click()


def _home(widget: LRWidget) -> None:
    display_of(widget).pick_bar.home.click()


def _home_key(widget: LRWidget) -> None:
    tell(display_of(widget).page, do="home")


@pytest.mark.parametrize("pick", WAYS)
@pytest.mark.parametrize(
    ("rate", "value"), [(0.012, 0.012), (123.0, 10.0), (1e-9, 1e-7)]
)
def test_every_way_to_pick_moves_all_others(
    make: Any, pick: Any, rate: float, value: float
) -> None:
    widget = make()
    seen: list[float] = []
    widget.observe(lambda change: seen.append(change["new"]), "value")
    pick(widget, rate)
    assert widget.value == value
    assert places(widget) == [value] * 4
    assert seen[-1] == value
    widget.value = None
    assert widget.value is None
    assert len(display_of(widget).chart.handle.dot.x) == 0


def test_values_that_are_none(make: Any) -> None:
    widget = make(value="1e-3")
    assert widget.value == 0.001
    for bad in (float("nan"), "fast", [0.1]):
        with pytest.raises(TraitError):
            widget.value = bad
    assert widget.value == 0.001


def test_a_picked_rate_works_with_links_and_interact(make: Any) -> None:
    widget = make()
    text = ipw.FloatText()
    dlink((widget, "value"), (text, "value"), lambda rate: rate or 0.0)
    link = ipw.jslink((widget, "value"), (text, "value"))
    got: list[float | None] = []

    def show(lr: float | None) -> None:
        got.append(lr)

    interaction = ipw.interactive(show, lr=widget)
    widget.value = 0.01
    assert text.value == 0.01
    assert got[-1] == 0.01
    assert widget.get_state()["value"] == 0.01
    interaction.children = []
    for part in (text, link, interaction, interaction.out):
        close_with_parts(part)


@pytest.mark.parametrize(
    ("move", "decades"),
    [(_left, -0.1), (_right, 0.1)],
)
def test_buttons_move_the_rate(make: Any, move: Any, decades: float) -> None:
    widget = make(value=0.0234)
    move(widget)
    # the next tenth of a decade, in two digits
    assert widget.value == float(f"{10 ** (-1.6 + decades):.1e}")
    assert places(widget) == [widget.value] * 4


def test_ten_steps_are_a_decade_and_back(make: Any) -> None:
    widget = make()
    for start in (1e-4, 1.3e-4, 3.2e-4, 7.9e-4):
        widget.value = start
        for button, end in ((_right, 10 * start), (_left, start)):
            for _ in range(10):
                button(widget)
            assert widget.value == rounded(end)


def test_it_does_not_move_out_of_the_chart(make: Any) -> None:
    widget = make(value=9.0)
    _right(widget)
    assert widget.value == 10
    _right(widget)
    assert places(widget) == [10] * 4
    widget.value = 1.1e-7
    _left(widget)
    assert widget.value == 1e-7


@pytest.mark.parametrize("go", [_home, _home_key])
def test_home_is_the_suggestion(make: Any, go: Any) -> None:
    widget = make()
    widget.run()
    widget.wait()
    suggestion = widget.value
    widget.value = 5e-4
    go(widget)
    assert widget.value == suggestion == rounded(widget.curve.suggest())
    widget.rule = "minimum"
    widget.value = 5e-4
    go(widget)
    assert widget.value == rounded(widget.suggestions["minimum"])


def test_home_is_no_suggestion_of_a_curve_that_goes_on(make: Any) -> None:
    gate = Gate()
    widget = make(dataloader=gate, value=1e-3, num_it=100)
    widget.run()
    gate.let(60)
    gate.await_asked(61)
    assert widget.curve.suggest("minimum") is not None
    widget.rule = "minimum"
    _home(widget)
    assert widget.value == 1e-3
    gate.let(100)
    widget.wait(SECONDS)
    _home(widget)
    assert widget.value == rounded(widget.curve.suggest("minimum"))


@pytest.mark.parametrize("go", [_home, _home_key, _left, _right])
def test_the_first_move_begins_at_the_suggestion_or_in_the_middle(
    make: Any, go: Any
) -> None:
    widget = make()
    go(widget)
    assert widget.value == pytest.approx(1e-3)  # of 1e-7 to 10
    widget.run()
    suggestion = widget.wait().suggest()
    assert widget.value == pytest.approx(1e-3)
    widget.value = None
    go(widget)
    assert widget.value == rounded(suggestion)


def test_without_a_suggestion_home_is_where_one_is(make: Any) -> None:
    widget = make(value=5e-4)
    _home(widget)
    assert widget.value == 5e-4


def test_a_pick_outlives_the_test(make: Any) -> None:
    for pick in (WAYS[2], lambda widget, _rate: _right(widget)):
        gate = Gate()
        widget = make(dataloader=gate)
        widget.run()
        pick(widget, 0.02)
        picked = widget.value
        for _ in range(2):
            gate.let(100)
            widget.wait()
            assert widget.value == picked is not None
            widget.run()
        widget.stop()
        gate.let(1)
        widget.wait()


def test_a_suggestion_gives_way_to_the_next(make: Any) -> None:
    scale = 1.0

    def loss_fn(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return scale * nn.functional.mse_loss(output, target)

    widget = make(loss_fn)
    widget.run()
    first = widget.wait().suggest()
    scale = 100.0
    widget.run()
    second = widget.wait().suggest()
    assert rounded(first) != rounded(second)
    assert widget.value == rounded(second)


def test_the_menu_moves_the_diamond_and_the_handle(make: Any) -> None:
    widget = make(rule="minimum")
    widget.run()
    curve = widget.wait()
    display = display_of(widget)
    marks = display.chart.suggestion
    assert widget.value == rounded(curve.suggest("minimum"))
    assert len(marks.band.x) == 0
    display.pick_bar.rule.value = "descent"
    assert widget.rule == "descent"
    lr, low, high, reason = curve.suggestion()
    assert widget.value == rounded(lr) != curve.suggest("minimum")
    assert marks.dot.x.tolist() == [lr]
    assert marks.band.x.tolist() == [low, high]
    assert reason in widget.status
    assert f"{short(lr)} is {reason}." in sentence_of(widget)
    widget.rule = "steep"
    assert widget.status in sentence_of(widget)
    assert display.pick_bar.rule.value == "steep"
    assert widget.value == rounded(curve.suggest("steep"))


def test_the_menu_leaves_what_was_picked(make: Any) -> None:
    widget = make()
    widget.run()
    widget.wait()
    widget.value = 1e-5
    widget.rule = "minimum"
    assert widget.value == 1e-5
    dot = display_of(widget).chart.suggestion.dot
    assert dot.x.tolist() == [widget.suggestions["minimum"]]


def test_a_click_on_the_diamond_is_a_pick(make: Any) -> None:
    widget = make()
    widget.run()
    suggestion = widget.wait().suggest()
    widget.value = 1e-5
    click_suggestion(display_of(widget).chart.suggestion)
    assert widget.value == rounded(suggestion)
    widget.rule = "minimum"
    assert widget.value == rounded(suggestion) != widget.suggestions["minimum"]


def test_a_rule_that_is_not_known(make: Any) -> None:
    with pytest.raises(ValueError, match=r"rule='best' is not known; pass one of"):
        make(rule="best")
    widget = make()
    with pytest.raises(TraitError, match="best"):
        widget.rule = "best"
    assert widget.rule == "descent"


def test_apply_writes_the_rate_and_keeps_the_ratios() -> None:
    widget = LRWidget(*two_groups(), BATCHES, nn.MSELoss(), value=0.5)
    widget.apply()
    groups = optimizer_of(widget).param_groups
    assert [group["lr"] for group in groups] == pytest.approx([0.05, 0.5])
    assert [group["momentum"] for group in groups] == [0.9, 0.9]
    widget.close()


def test_the_button_applies_and_says_what_it_wrote(make: Any) -> None:
    widget = make()
    display = display_of(widget)
    assert display.answer.apply.description == "Apply to SGD"
    assert display.answer.apply.disabled
    widget.value = 0.014
    display.answer.apply.click()
    assert optimizer_of(widget).param_groups[0]["lr"] == 0.014
    assert display.next_bar.said.value == "Applied: SGD now has lr=1.4e-2."
    widget.value = 0.02
    assert display.next_bar.said.value == ""
    assert optimizer_of(widget).param_groups[0]["lr"] == 0.014


def test_what_was_written_to_several_groups() -> None:
    widget = LRWidget(*two_groups(), BATCHES, nn.MSELoss(), value=0.5)
    display = display_of(widget)
    display.answer.apply.click()
    said = "Applied: SGD now has lr=5.0e-2, 0.5 in its groups."
    assert display.next_bar.said.value == said
    widget.close()


def test_a_rate_is_not_applied_to_what_is_put_back(make: Any) -> None:
    started, going = threading.Event(), threading.Event()

    def loss_fn(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        started.set()
        assert going.wait(SECONDS)
        return nn.functional.mse_loss(outputs, targets)

    widget = make(loss_fn, isolation="restore", value=0.5)
    display = display_of(widget)
    widget.run()
    assert started.wait(SECONDS)
    with pytest.raises(RuntimeError, match="training this model itself"):
        widget.apply()
    display.answer.apply.click()
    assert "training this model itself" in display.next_bar.said.value
    going.set()
    widget.wait()
    display.answer.apply.click()
    assert display.next_bar.said.value == "Applied: SGD now has lr=0.5."
    assert optimizer_of(widget).param_groups[0]["lr"] == 0.5


def test_nothing_is_applied_before_a_choice(make: Any) -> None:
    with pytest.raises(RuntimeError, match="value=None: choose a rate first"):
        make().apply()


def test_the_middle_of_other_rates(make: Any) -> None:
    widget = make(start_lr=1e-4, end_lr=1.0)
    _home(widget)
    assert widget.value == pytest.approx(math.sqrt(1e-4))


def _in_another_thread(call: Callable[[], object]) -> None:
    """Call something in another thread, and wait until it returns."""
    thread = threading.Thread(target=call)
    thread.start()
    thread.join(SECONDS)
    assert not thread.is_alive()


class _Hurried(LRWidget):
    """A widget with a rate picked by another thread just before the suggestion."""

    way: Any = None

    @validate("value")
    def _clamped(self, proposal: dict[str, Any]) -> float | None:
        rate: float | None = super()._clamped(proposal)
        way, self.way = self.way, None
        if way is not None:
            _in_another_thread(lambda: way(self, 0.5))
        return rate


@pytest.mark.parametrize("pick", WAYS[:3])
def test_a_pick_at_the_moment_of_the_suggestion_stays(pick: Any) -> None:
    widget = _Hurried(*parts(), BATCHES, nn.MSELoss())
    seen: list[float] = []
    widget.observe(lambda change: seen.append(change["new"]), "value")
    widget.way = pick  # at the first rate that is set: the suggestion
    widget.run()
    assert widget.wait().suggest() not in {None, 0.5}
    assert seen == [0.5]
    assert places(widget) == [0.5] * 4
    widget.run()
    widget.wait()
    assert widget.value == 0.5
    widget.close()


def test_an_observer_of_a_suggestion_may_wait_for_a_pick(make: Any) -> None:
    widget = make()
    seen: list[float] = []

    def observe(change: dict[str, Any]) -> None:
        seen.append(change["new"])
        if len(seen) == 1:
            _in_another_thread(lambda: setattr(widget, "value", 0.5))

    widget.observe(observe, "value")
    widget.run()
    suggestion = widget.wait().suggest()
    assert seen == [rounded(suggestion), 0.5]
    assert places(widget) == [0.5] * 4
