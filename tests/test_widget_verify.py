from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

import pytest
import torch
from ipywidgets.widgets import widget as ipywidgets_widget
from torch import nn

from lrwidget import LRWidget, range_test, verify
from lrwidget.curve.picture import svg
from lrwidget.curve.suggestion import Suggestion
from lrwidget.curve.ticks import short
from lrwidget.ui import messages
from tests.curves import picked
from tests.engine.training_parts import data, loader, state
from tests.widget_parts import Gate, arguments_of, display_of, parts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lrwidget import Verification

_LOSS = nn.CrossEntropyLoss()


def _parts() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


@pytest.fixture
def widget() -> Iterator[LRWidget]:
    """Return a widget whose tests end with a suggestion."""
    made = LRWidget(*_parts(), loader(), _LOSS, seed=0, start_lr=1e-5)
    yield made
    made.close()


def _marks(widget: LRWidget) -> list[list[float]]:
    """Return the rates of the diamond and of the band in the chart."""
    marks = display_of(widget).chart.suggestion
    return [marks.dot.x.tolist(), marks.band.x.tolist()]


def _suggestion(found: Verification) -> Suggestion:
    return Suggestion(found.lr, found.low, found.high)


def _field(widget: LRWidget, description: str) -> Any:
    fields = display_of(widget).settings.children
    return next(x for x in fields if x.description == description)


def test_the_result_is_that_without_a_widget(widget: LRWidget) -> None:
    arguments = arguments_of(widget)
    before = state(arguments["model"], arguments["optimizer"])
    expected = verify(*_parts(), loader(), _LOSS, seed=0, start_lr=1e-5, total_steps=40)
    assert (widget.verification, widget.race_curves) == (None, [])
    widget.verify(40)
    curve = widget.wait()
    found = widget.verification
    assert found is not None
    assert (found.lr, found.verdict) == (expected.lr, expected.verdict)
    assert found.curve is curve is widget.curve
    assert curve.losses.tolist() == expected.curve.losses.tolist()
    for lanes in (found.lanes, widget.race_curves):
        for lane, other in zip(lanes, expected.lanes, strict=True):
            assert lane.losses.tolist() == other.losses.tolist()
    assert widget.value == picked(found.lr)
    assert widget.progress == 1
    assert widget.status.startswith("Checked by training: ")
    assert widget.status.endswith(found.verdict)
    sentence = messages.sentence(widget._controller.state.shown)
    assert sentence.startswith("Checked: ")
    assert found.lr is not None
    assert sentence.endswith(f" to {short(found.lr)}.")  # 40 steps, as a lane
    # in both charts
    assert _marks(widget) == [[found.lr], [found.low, found.high]]
    assert "range to try (checked)" in display_of(widget).view_bar.key.value
    picture = widget._controller.export("svg", "automatic").decode()
    assert picture == svg(curve, choice=widget.value, checked=_suggestion(found))
    shown = display_of(widget).trainings
    assert shown.lanes is not None
    assert shown.final is not None
    rates = [lane.lr for lane in found.lanes]
    assert [x.lr for x in shown.lanes.lanes] == pytest.approx(rates)
    assert set(shown.final.dots.x) <= {lane.lr for lane in shown.lanes.lanes}
    assert shown.final.band.x.tolist() == [found.low, found.high]
    assert found.verdict in re.sub("<.*?>", "", shown._verdict.value)
    assert state(arguments["model"], arguments["optimizer"]) == before


def test_the_latest_curve_is_checked_with_its_own_arguments(widget: LRWidget) -> None:
    other = torch.nn.Sequential(nn.Linear(8, 3))
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1)
    widget.run(model=other, optimizer=optimizer)
    curve = widget.wait()
    widget.verify(40)
    assert widget.wait() is curve
    found = widget.verification
    assert found is not None
    expected = verify(
        other, optimizer, loader(), _LOSS, seed=0, curve=curve, total_steps=40
    )
    assert found.lr == expected.lr
    assert found.lanes[0].losses.tolist() == expected.lanes[0].losses.tolist()
    # once more, for a longer training
    widget.verify(2000)
    assert widget.wait() is curve
    assert len(widget.curves) == 1
    again = widget.verification
    assert again is not None
    assert (again.total_steps, len(again.lanes[0])) == (2000, 200)


def test_a_newer_curve_makes_it_stale(widget: LRWidget) -> None:
    widget.verify(40)
    widget.wait()
    found = widget.verification
    assert found is not None
    widget.race([0.01], 3)  # not a newer curve
    widget.wait()
    assert widget.verification is found
    assert _marks(widget)[0] == [found.lr]
    assert display_of(widget).trainings.lanes is not None
    widget.run()
    curve = widget.wait()
    assert [widget.verification] == [None]
    assert display_of(widget).trainings.lanes is None
    assert widget.value == picked(curve.suggest())
    assert "5 trainings of 100 steps, " in display_of(widget).answer.check.tooltip
    assert ", up to about " in display_of(widget).answer.check.tooltip
    assert _marks(widget)[0] == [curve.suggest()]
    assert "checked by" not in display_of(widget).view_bar.key.value


def test_a_picked_rate_stays(widget: LRWidget) -> None:
    widget.pick(0.5)
    widget.verify(40)
    widget.wait()
    assert widget.value == 0.5
    display_of(widget).pick_bar.home.click()
    assert widget.verification is not None
    assert widget.value == picked(widget.verification.lr)


def test_another_rule_suggests_from_the_test_alone(widget: LRWidget) -> None:
    widget.verify(40)
    curve = widget.wait()
    found = widget.verification
    assert found is not None
    widget.rule = "valley"
    assert _marks(widget)[0] == [curve.suggest("valley")]
    assert "checked by" not in display_of(widget).view_bar.key.value
    widget.rule = "descent"
    assert _marks(widget)[0] == [found.lr]


def test_the_steps_of_the_training_are_in_the_settings(widget: LRWidget) -> None:
    check = display_of(widget).answer.check
    assert "5 trainings of 100 steps" in check.tooltip
    field = _field(widget, "Steps of your training")
    field.value = "many"
    assert (
        "Steps of your training = 'many'" in display_of(widget).settings.problem.value
    )
    assert "5 trainings of 100 steps" in check.tooltip
    with pytest.raises(TypeError, match="total_steps='many' must be an integer"):
        widget.verify()
    assert widget.status.startswith(
        "Check failed before the first step. TypeError: Steps "
    )
    field.value = "30"
    assert display_of(widget).settings.problem.value == ""
    assert "5 trainings of 30 steps" in check.tooltip
    check.click()
    widget.wait()
    assert {lane.num_it for lane in widget.race_curves} == {30}
    assert "for 30 steps" in widget.status or "as long as yours" in widget.status
    widget.verify(20)  # in place of it
    widget.wait()
    assert {lane.num_it for lane in widget.race_curves} == {20}


def test_a_press_takes_the_torch_settings_of_the_maker() -> None:
    dtypes: set[torch.dtype] = set()

    def loss_fn(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        dtypes.add(output.dtype)
        return nn.functional.cross_entropy(output.float(), target)

    with torch.autocast("cpu", torch.bfloat16):
        widget = LRWidget(*_parts(), loader(), loss_fn, num_it=30)
    _field(widget, "Steps of your training").value = "5"
    press = threading.Thread(target=display_of(widget).answer.check.click)
    press.start()
    press.join()
    widget.wait()
    assert dtypes == {torch.bfloat16}
    assert len(widget.race_curves) == 5
    widget.close()


def test_validation_losses_are_told_and_the_lines_are_training_losses() -> None:
    held_out = [data(20)[:]]
    widget = LRWidget(*_parts(), loader(), _LOSS, val_loader=held_out, seed=0)
    widget.verify(40)
    widget.wait()
    shown = display_of(widget).trainings
    assert shown.lanes is not None
    assert shown.lanes.figure.axes[1].label == "loss"
    first = widget.race_curves[0]
    said = f"{short(first.lr)} · validation loss {first.val_loss:.2g}"
    assert shown.buttons[0].description == said
    widget.close()


def test_a_stop_in_the_range_test_keeps_its_steps(make: Any) -> None:
    gate = Gate()
    widget = make(dataloader=gate)
    widget.verify()
    assert widget.status == "Running: waiting for the first step."
    with pytest.raises(RuntimeError, match="a check by training is running already"):
        widget.run()
    gate.let(4)
    gate.await_asked(5)
    assert widget.status.startswith("Range test before the check: step 4 of 600")
    assert len(widget.curve) == 4
    display_of(widget).answer.button.click()
    gate.let(1)
    assert len(widget.wait()) == 5
    assert (widget.verification, widget.race_curves) == (None, [])
    assert widget.status.startswith("Not checked. Stopped after 5 steps, at ")
    widget.verify()
    widget.stop()
    gate.let(1)
    widget.wait()


def _tested(gate: Gate, make: Any, *loss_fn: Any) -> LRWidget:
    """Return a widget with a complete test, whose loader is a gate."""
    widget: LRWidget = make(*loss_fn, dataloader=gate, stop_div=False, num_it=40)
    gate.let(40)
    widget.run()
    widget.wait()
    assert widget.curve.suggest() is not None
    gate.await_asked(40)
    return widget


def test_a_stop_in_the_lanes_keeps_what_they_tell(make: Any) -> None:
    gate = Gate()
    widget = _tested(gate, make)
    suggestion = widget.curve.suggestion()
    widget.verify(30)
    assert widget.status == "Check at 5 rates: waiting for the first step."
    assert _marks(widget)[0] == [suggestion.lr]  # while the lanes run
    gate.let(33)
    gate.await_asked(34)
    assert widget.status.startswith("Check: rate ")
    assert ", 2 of 5, loss " in widget.status
    widget.stop()
    gate.let(1)
    widget.wait()
    assert [len(lane) for lane in widget.race_curves] == [30, 4]
    found = widget.verification
    assert found is not None
    assert (found.checked, found.lr) == (False, suggestion.lr)
    assert widget.status.startswith("Not checked: ")
    assert widget.status.endswith(found.verdict)
    assert _marks(widget) == [[suggestion.lr], [suggestion.low, suggestion.high]]
    assert "checked by" not in display_of(widget).view_bar.key.value


def test_an_error_in_a_lane_is_raised_and_the_curve_stays(make: Any) -> None:
    calls = 0

    def loss_fn(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 75:
            msg = "no"
            raise ArithmeticError(msg)
        return nn.functional.mse_loss(output, target)

    gate = Gate()
    widget = _tested(gate, make, loss_fn)
    curve = widget.curve
    gate.let(100)
    widget.verify(30)
    with pytest.raises(ArithmeticError, match="no"):
        widget.wait()
    assert widget.status == "Check failed after 34 steps. ArithmeticError: no"
    assert widget.verification is None
    assert (widget.curve, widget.value) == (curve, picked(curve.suggest()))
    assert len(widget.race_curves) == 2


def test_a_test_that_tells_nothing_is_an_error(make: Any) -> None:
    def loss_fn(output: torch.Tensor, _target: torch.Tensor) -> torch.Tensor:
        return output.sum() * float("nan")

    widget = make(loss_fn)
    widget.verify()
    with pytest.raises(RuntimeError, match="too short to tell at which rates to train"):
        widget.wait()
    assert widget.status.startswith("Check failed after 1 step. RuntimeError: the ")
    assert display_of(widget).trainings.lanes is None


@pytest.mark.parametrize("passed", [3, 110])
def test_closing_leaves_nothing(passed: int) -> None:
    before = set(ipywidgets_widget._instances)
    gate = Gate()
    gate.let(passed)
    widget = LRWidget(*parts(), gate, nn.MSELoss(), stop_div=False)
    widget.verify()
    gate.await_asked(passed + 1)
    close = threading.Thread(target=widget.close)
    close.start()
    while close.is_alive():  # it may ask for the end after the next step
        gate.let(1)
        close.join(0.1)
    assert not widget.running
    assert set(ipywidgets_widget._instances) == before
    with pytest.raises(RuntimeError, match="the widget is closed; make a new one"):
        widget.verify()


def test_a_lane_below_the_chart_can_be_chosen(widget: LRWidget) -> None:
    curve = range_test(*_parts(), loader(), _LOSS, seed=0, start_lr=0.05, num_it=60)
    assert curve.suggest() is not None
    _field(widget, "From").value = 0.05
    widget.verify(20)
    widget.wait()
    lowest = widget.race_curves[0].lr
    assert lowest < 0.05
    widget.pick(lowest)
    assert widget.value == lowest


def test_a_range_below_the_test_can_be_chosen() -> None:
    widget = LRWidget(*_parts(), loader(), _LOSS, seed=0, start_lr=100.0, end_lr=1e4)
    widget.verify(20)
    widget.wait()
    found = widget.verification
    assert found is not None
    unstable = [x.lr for x in found.lanes if x.stop_reason == "diverged"]
    assert unstable
    assert found.lr is not None
    assert found.lr < min(unstable)
    assert widget.value == pytest.approx(found.lr)
    widget.race([200.0], 2)  # in place of the short trainings
    widget.wait()
    widget.pick(200.0)
    display_of(widget).pick_bar.home.click()
    assert widget.value == pytest.approx(found.lr)
    widget.close()
