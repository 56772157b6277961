from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from ipywidgets.widgets import widget as ipywidgets_widget
from torch import nn

from lrwidget import LRWidget, race
from lrwidget.curve.ticks import plain
from tests.engine.training_parts import state
from tests.ui.front_end import click_lanes
from tests.widget_parts import BATCHES, SECONDS, Gate, arguments_of, display_of, parts

if TYPE_CHECKING:
    from lrwidget.ui.lanes_chart import LanesChart


def _lanes(widget: LRWidget) -> LanesChart:
    """Return the chart of the latest race."""
    lanes = display_of(widget).trainings.lanes
    assert lanes is not None
    return lanes


def _lines(widget: LRWidget) -> list[Any]:
    return [lane.line for lane in _lanes(widget).lanes]


def _buttons(widget: LRWidget) -> list[Any]:
    """Return the button of each rate."""
    return display_of(widget).trainings.buttons


def test_the_curves_are_those_of_the_race_without_a_widget() -> None:
    model, optimizer = parts()
    batches = [(torch.randn(4, 8), torch.randn(4, 1)) for _ in range(5)]
    rates = [0.001, 0.01, 0.1]
    before = state(model, optimizer)
    expected = race(model, optimizer, batches, nn.MSELoss(), rates=rates, steps=20)
    widget = LRWidget(model, optimizer, batches, nn.MSELoss())
    assert widget.race_curves == []
    widget.race(rates, 20)
    assert len(widget.wait()) == 0  # of the test, which was not run
    for curve, other in zip(widget.race_curves, expected, strict=True):
        assert (curve.lr, curve.stop_reason) == (other.lr, other.stop_reason)
        assert curve.losses.tolist() == other.losses.tolist()
    assert state(model, optimizer) == before
    widget.close()


def test_without_rates_the_choice_races_its_neighbours(make: Any) -> None:
    widget = make(num_it=30)
    widget.run()
    tested = widget.wait()
    suggestion = widget.value
    widget.race()
    assert widget.wait().to_dict() == tested.to_dict()
    curves = widget.race_curves
    assert suggestion in [curve.lr for curve in curves]
    assert len(curves) > 2
    assert {curve.num_it for curve in curves} == {30}
    assert widget.value == suggestion
    widget.value = 0.777
    widget.race(steps=3)
    widget.wait()
    raced = [curve.lr for curve in widget.race_curves]
    assert {0.777, widget.curve.suggest()} <= set(raced)
    assert widget.race_curves[0].num_it == 3


def test_a_choice_is_enough(make: Any) -> None:
    widget = make()
    widget.value = 0.01
    widget.race(steps=2)
    widget.wait()
    assert 0.01 in [curve.lr for curve in widget.race_curves]


def test_the_race_has_the_rates_of_the_sweep_at_most(make: Any) -> None:
    widget = make(start_lr=0.01, end_lr=1.0, value=0.5)
    widget.race(steps=2)
    widget.wait()
    rates = [curve.lr for curve in widget.race_curves]
    assert (min(rates) >= 0.01, max(rates)) == (True, 1.0)


def test_the_choice_races_wherever_the_chart_is(make: Any) -> None:
    widget = make(value=5.0)
    (end,) = (
        field
        for field in display_of(widget).settings.children
        if field.description == "To"
    )
    end.value = 1e-3  # of the next test, while the choice stays
    widget.race(steps=2)
    widget.wait()
    rates = [curve.lr for curve in widget.race_curves]
    assert 5.0 in rates
    assert max(rates) == 5.0
    widget.race([4.0], 2)
    widget.wait()
    assert [curve.lr for curve in widget.race_curves] == [4.0]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((), RuntimeError, r"nothing to race: run\(\) and wait\(\) first, or pass rat"),
        (([],), ValueError, r"rates=\[\] is empty"),
        (([0.1, 20],), ValueError, r"rates=\[0\.1, 20\.0\] must be from 1e-07 to "),
        (([0.1], 0), ValueError, "steps=0 must be at least 1"),
    ],
)
def test_what_cannot_be_raced(
    make: Any, arguments: Any, error: Any, message: str
) -> None:
    widget = make()
    with pytest.raises(error, match=message):
        widget.race(*arguments)
    assert not widget.running
    assert widget.status.startswith(
        f"Training failed before the first step. {error.__name__}"
    )
    assert display_of(widget).trainings.lanes is None


def test_one_thing_at_a_time(make: Any) -> None:
    gate = Gate()
    widget = make(dataloader=gate, value=0.1)
    widget.run()
    check = display_of(widget).answer.check
    assert check.disabled
    with pytest.raises(RuntimeError, match="a test is running already; call stop"):
        widget.race([0.1])
    widget.stop()
    gate.let(1)
    widget.wait()
    assert not check.disabled
    widget.race([0.1])
    assert check.disabled
    for start in (widget.run, widget.race, widget.verify):
        with pytest.raises(RuntimeError, match="a race is running already; call stop"):
            start()
    widget.stop()
    gate.let(1)
    widget.wait()


def test_it_is_watched_and_stopped_and_keeps_what_was_found(make: Any) -> None:
    gate = Gate()
    widget = make(dataloader=gate, value=0.1)
    button = display_of(widget).answer.button
    widget.race([0.001, 0.1, 0.2], 10)
    assert button.description == "Stop"
    assert widget.status == "Training at 3 rates: waiting for the first step."
    gate.let(13)
    gate.await_asked(14)
    assert widget.running
    assert widget.progress == 13 / 30
    assert widget.status.startswith("Training: rate 0.1, 2 of 3, loss ")
    button.click()
    gate.let(1)
    widget.wait()
    first, second = widget.race_curves
    assert (len(first), first.stop_reason) == (10, "completed")
    assert second.stop_reason == "stopped"
    assert len(second) == 4
    assert button.description == "Run"
    said = f"Stopped at rate 0.1, 2 of 3: lowest loss {first.final_loss:.3g} at"
    assert widget.status.startswith(said)
    shown = [button.description for button in _buttons(widget)]
    assert shown == [f"1.0e-3 · {first.final_loss:.2g}", "0.1 · stopped", "0.2"]
    assert widget.value == 0.1


def test_picking_a_curve_sets_the_value(make: Any) -> None:
    widget = make()
    widget.race([0.001, 0.02], 20)
    widget.wait()
    assert widget.value is None
    slow, fast = _buttons(widget)
    picks: list[Any] = [(1.0, 0.001, slow), (0.0, 0.02, fast)]
    # in the end the slow one is on top
    for height, lr, button in picks:
        click_lanes(_lanes(widget), 1.0, height)
        assert widget.value == lr
        assert display_of(widget).chart.handle.dot.x.tolist() == [lr]
        assert button.icon == "check"
    assert [line.stroke_width > 2 for line in _lines(widget)] == [False, True]
    slow.click()
    assert [widget.value] == [0.001]
    assert fast.icon == ""


def test_a_rate_that_diverges_ends_alone(make: Any) -> None:
    widget = make()
    widget.race([0.01, 0.02, 10.0], 20)
    widget.wait()
    reasons = [curve.stop_reason for curve in widget.race_curves]
    assert reasons == ["completed", "completed", "diverged"]
    assert widget.progress == 1
    best = min(widget.race_curves[:2], key=lambda curve: curve.final_loss)
    assert (
        widget.status
        == f"Trainings done: lowest loss {plain(best.final_loss, 3)} at 2.0e-2."
    )
    assert _buttons(widget)[2].description == "10 · unstable"


def test_a_failure_is_shown_and_raised_and_keeps_its_curves(make: Any) -> None:
    calls = 0

    def loss_fn(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls > 14:
            msg = "<b>no</b>"
            raise ArithmeticError(msg)
        return nn.functional.mse_loss(output, target)

    widget = make(loss_fn)
    widget.race([0.01, 0.02], 10)
    for _ in range(2):
        with pytest.raises(ArithmeticError, match="no"):
            widget.wait()
    assert widget.status == "Training failed after 14 steps. ArithmeticError: <b>no</b>"
    assert "&lt;b&gt;" in display_of(widget).answer.status.value
    first, second = widget.race_curves
    assert (len(first), len(second), second.stop_reason) == (10, 4, None)
    assert display_of(widget).answer.button.description == "Run"
    calls = -1000
    widget.run()
    widget.wait()
    assert "Stopped at " in widget.status


def test_what_keeps_a_race_from_starting_is_shown_and_raised(make: Any) -> None:
    widget = make(isolation="copy", value=0.1)
    arguments_of(widget)["model"].lock = threading.Lock()
    with pytest.raises(ValueError, match="isolation='copy' cannot copy the model"):
        widget.race()
    assert not widget.running
    assert widget.status.startswith(
        "Training failed before the first step. ValueError: isolation="
    )


def test_closing_in_mid_race_leaves_nothing() -> None:
    before = set(ipywidgets_widget._instances)
    gate = Gate()
    gate.let(10**6)
    widget = LRWidget(*parts(), gate, nn.MSELoss(), stop_div=False)
    widget.race([0.01, 0.1], 10**5)
    gate.await_asked(1)
    widget.close()
    assert not widget.running
    assert set(ipywidgets_widget._instances) == before
    with pytest.raises(RuntimeError, match="the widget is closed; make a new one"):
        widget.race([0.1])


def test_the_chart_shows_what_the_curves_are(make: Any) -> None:
    widget = make(val_loader=BATCHES)
    widget.race([0.01, 0.1], 10)
    widget.wait()
    final = display_of(widget).trainings.final
    assert final is not None
    for line, curve in zip(_lines(widget), widget.race_curves, strict=True):
        np.testing.assert_allclose(line.y, np.log10(curve.smoothed()))
    assert _lanes(widget).figure.axes[1].label == "validation loss"
    losses = [curve.final_loss for curve in widget.race_curves]
    np.testing.assert_allclose(final.dots.y, np.log10(losses))


def test_the_worker_leaves_what_the_user_handles_alone(make: Any) -> None:
    gate = Gate()
    widget = make(dataloader=gate, value=0.1)
    widget.race([0.01, 0.1], 5)
    written: list[Any] = []
    display = display_of(widget)
    bar = display.answer
    handled = [display.chart.handle.dot, display.pick_bar.field, bar.button, bar.check]
    for part in (*handled, *_buttons(widget)):
        part.observe(written.append)
    drawn = threading.Event()
    _lines(widget)[0].observe(lambda _: drawn.set(), "x")
    gate.let(8)
    gate.await_asked(9)
    assert drawn.wait(SECONDS)
    assert written == []
    gate.let(2)
    widget.wait()


def test_parts_and_the_worker_meet_without_a_collision(make: Any) -> None:
    """Pick, slide and read from several threads while a race is drawn."""
    widget = make(stop_div=False, value=0.1)
    widget.race([0.01, 0.02, 0.04], 1000)
    errors: list[BaseException] = []

    def use(number: int) -> None:
        try:
            while widget.running:
                display_of(widget).view_bar.smoothing.index = number
                click_lanes(_lanes(widget), 0.1 * number, 0.5)
                assert widget.value in (0.1, 0.01, 0.02, 0.04)
                assert len(widget.race_curves) <= 3
                assert 0 <= widget.progress <= 1
                widget.status  # noqa: B018 (read while it grows)
        except BaseException as error:  # noqa: BLE001 (raised below)
            errors.append(error)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    widget.wait()
    for thread in threads:
        thread.join()
    assert not errors
    assert [len(curve) for curve in widget.race_curves] == [1000] * 3
    chosen = [
        curve.lr
        for curve, button in zip(widget.race_curves, _buttons(widget), strict=True)
        if button.icon == "check"
    ]
    assert chosen in ([], [widget.value])
