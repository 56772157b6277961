from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from ipywidgets.widgets import widget as ipywidgets_widget
from torch import nn
from torch.optim import SGD
from torch.utils.data import DataLoader, TensorDataset

from lrwidget import LRCurve, LRWidget, range_test
from lrwidget.curve.ticks import rounded, short
from tests.curves import fitted, trend_of
from tests.ways import WAYS, places
from tests.widget_parts import (
    BATCHES,
    SECONDS,
    Gate,
    arguments_of,
    display_of,
    parts,
    two_groups,
)


def test_before_there_is_anything(make: Any) -> None:
    widget = make()
    assert widget.value is None
    assert len(widget.curve) == 0
    assert widget.curves == {}
    assert set(widget.suggestions.values()) == {None}
    assert (widget.progress, widget.running) == (0, False)
    assert widget.status.startswith("Run tries 100 learning rates from 1.0e-7 to 10 ")
    with pytest.raises(RuntimeError, match="no test to wait for; call run"):
        widget.wait()


def test_run_and_wait_give_the_curve_of_the_range_test() -> None:
    model, optimizer = parts()
    batches = [(torch.randn(4, 8), torch.randn(4, 1)) for _ in range(5)]
    expected = range_test(model, optimizer, batches, nn.MSELoss(), num_it=50)
    widget = LRWidget(model, optimizer, batches, nn.MSELoss(), num_it=50)
    widget.run()
    assert widget.wait().to_dict() == expected.to_dict()
    assert widget.curve.to_dict() == expected.to_dict()
    assert widget.suggestions == expected.suggestions
    widget.close()


def test_what_differs_from_the_training_is_said() -> None:
    model = nn.Sequential(nn.Linear(8, 1), nn.Dropout(0.5)).eval()
    optimizer = SGD(model.parameters(), lr=0.1)
    widget = LRWidget(model, optimizer, BATCHES, nn.MSELoss(), num_it=3)
    before = widget.notices
    for _ in range(2):
        widget.run()
        widget.wait(SECONDS)
        said = "1 module (Dropout) was in eval mode and is trained in training mode, as"
        (notice,) = widget.notices
        assert notice.startswith(said)
        assert notice in widget.status
    assert before == ()
    assert not any(module.training for module in model.modules())
    widget.close()


def test_a_seed_is_that_of_every_run(make: Any) -> None:
    inputs = torch.randn(20, 8)
    samples = TensorDataset(inputs, inputs[:, :1])
    batches = DataLoader(samples, batch_size=4, shuffle=True)
    widget = make(dataloader=batches, num_it=20, seed=5)
    curves = []
    for _ in range(2):
        widget.run()
        curves.append(widget.wait().to_dict())
        torch.rand(())
    assert curves[0] == curves[1]


def test_the_value_is_the_suggestion_after_the_test(make: Any) -> None:
    widget = make()
    seen: list[float] = []
    widget.observe(lambda change: seen.append(change["new"]), "value")
    widget.run()
    curve = widget.wait()
    assert seen == [rounded(curve.suggest())]
    assert curve.suggest() is not None
    assert widget.value == rounded(curve.suggest())
    assert display_of(widget).chart.suggestion.dot.x.tolist() == [
        widget.curve.suggest()
    ]
    assert f"{short(widget.value)} is " in widget.status


def test_the_button_runs_and_stops(make: Any) -> None:
    gate = Gate()
    widget = make(dataloader=gate)
    button = display_of(widget).answer.button
    button.click()
    assert widget.running
    assert button.description == "Stop"
    gate.let(3)
    button.click()
    gate.let(1)
    curve = widget.wait()
    assert curve.stop_reason == "stopped"
    assert len(curve) <= 4
    assert button.description == "Run again"
    assert widget.status.startswith(f"Stopped after {len(curve)} step")


def test_only_one_test_at_a_time(make: Any) -> None:
    gate = Gate()
    widget = make(dataloader=gate)
    widget.run()
    with pytest.raises(RuntimeError, match=r"running already; call stop\(\) and wait"):
        widget.run()
    assert len(widget.curves) == 1
    widget.stop()
    gate.let(1)
    widget.wait()


def test_waiting_has_a_limit(make: Any) -> None:
    gate = Gate()
    widget = make(dataloader=gate)
    widget.run()
    with pytest.raises(TimeoutError, match=r"timeout=0\.01"):
        widget.wait(0.01)
    assert widget.running
    widget.stop()
    gate.let(1)
    widget.wait()


def test_the_slider_redraws_from_raw_losses_while_the_test_runs(make: Any) -> None:
    gate = Gate()
    widget = make(dataloader=gate)
    display = display_of(widget)
    drawn = threading.Event()
    display.chart.latest.trend.observe(lambda _: drawn.set(), "y")
    widget.run()
    gate.let(30)
    assert drawn.wait(SECONDS)
    for index, width in ((1, 0.05), (9, 0.8), (0, None)):
        display.view_bar.smoothing.set_state({"index": index})
        line, seen = display.chart.latest.trend, widget.curve
        count = len(np.unique(line.x))  # one point is drawn twice
        part = LRCurve(seen.lrs[:count], seen.losses[:count])
        np.testing.assert_array_equal(trend_of(line)[:count], fitted(part, width)[0])
    assert widget.running
    widget.stop()
    gate.let(1)
    widget.wait()


def test_the_slider_does_not_move_the_suggestion(make: Any) -> None:
    widget = make()
    widget.run()
    widget.wait()
    before = widget.suggestions, widget.value
    display = display_of(widget)
    display.view_bar.smoothing.value = 0.05
    assert (widget.suggestions, widget.value) == before
    assert display.chart.suggestion.dot.x.tolist() == [widget.curve.suggest()]


def test_a_failure_is_shown_and_raised_and_keeps_its_points(make: Any) -> None:
    calls = 0

    def loss_fn(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls > 20:
            msg = "<b>no</b>"
            raise ArithmeticError(msg)
        return nn.functional.mse_loss(output, target)

    widget = make(loss_fn)
    widget.run()
    for _ in range(2):
        with pytest.raises(ArithmeticError, match="no"):
            widget.wait()
    display = display_of(widget)
    assert widget.status == "Failed after 20 steps. ArithmeticError: <b>no</b>"
    assert "&lt;b&gt;no&lt;/b&gt;" in display.answer.status.value
    assert len(widget.curve) == len(display.chart.latest.raw.x) == 20
    assert display.answer.button.description == "Run again"
    calls = -1000
    widget.run()
    widget.wait()
    assert "Stopped at " in widget.status


def test_a_batch_that_is_no_pair_is_shown_and_raised(make: Any) -> None:
    widget = make(dataloader=[{"x": torch.ones(4, 8)}])
    display_of(widget).answer.button.click()
    with pytest.raises(TypeError, match=r"loss_fn needs .* pass training_step"):
        widget.wait()
    assert "loss_fn needs batches" in widget.status


def test_what_keeps_a_test_from_starting_is_shown_and_raised(make: Any) -> None:
    widget = make(isolation="copy")
    model = arguments_of(widget)["model"]
    model.lock = threading.Lock()
    with pytest.raises(ValueError, match="isolation='copy' cannot copy the model"):
        widget.run()
    assert not widget.running
    display_of(widget).answer.button.click()
    with pytest.raises(ValueError, match="cannot copy"):
        widget.wait()
    assert widget.status.startswith(
        "Failed before the first step. ValueError: isolation="
    )


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit])
def test_what_an_observer_raises_is_raised(
    make: Any, error: type[BaseException]
) -> None:
    widget = make()

    def fail(_change: object) -> None:
        raise error

    widget.observe(fail, "value")
    widget.run()
    with pytest.raises(error):
        widget.wait()
    assert widget.value == rounded(widget.curve.suggest())
    assert not widget.running
    assert widget.status.endswith(error.__name__)
    assert error.__name__ in display_of(widget).answer.status.value


def test_an_interrupt_while_waiting_stops_the_test(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    widget = make(dataloader=gate)
    widget.run()

    def interrupt(_timeout: float | None) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(widget._controller.state.job.runner, "wait", interrupt)
        with pytest.raises(KeyboardInterrupt):
            widget.wait()
    gate.let(1)
    assert widget.wait().stop_reason == "stopped"


def test_the_rates_of_all_groups() -> None:
    settings: Any = {"isolation": "restore"}
    widget = LRWidget(*two_groups(), BATCHES, nn.MSELoss(), **settings)
    assert widget.values is None
    widget.value = 0.5
    assert widget.values == pytest.approx([0.05, 0.5])
    widget.run()
    assert widget.values == pytest.approx([0.05, 0.5])  # also while a test runs
    widget.wait()
    assert widget.values == pytest.approx([0.05, 0.5])
    widget.close()


def test_the_chart_names_its_losses() -> None:
    model = nn.Linear(8, 3)
    batches = [(torch.ones(4, 8), torch.zeros(4, 3))]
    cases: Any = (({}, "loss"), ({"val_loader": batches}, "validation loss"))
    for settings, name in cases:
        parts: Any = model, SGD(model.parameters(), lr=0.1), batches, nn.MSELoss()
        widget = LRWidget(*parts, **settings)
        assert display_of(widget).chart.figure.axes[1].label == name
        widget.close()


def test_progress_and_pace(make: Any) -> None:
    gate = Gate()
    widget = make(dataloader=gate, num_it=10)
    bar = display_of(widget).answer
    seen = threading.Event()
    bar.progress.observe(lambda _: seen.set(), "value")
    widget.run()
    gate.let(1)
    assert seen.wait(SECONDS)
    assert widget.progress == 0.1
    loss = f"Loss {widget.curve.losses[0]:.4g} at rate 1.0e-7."
    assert widget.status == f"Running: step 1 of 10. {loss}"
    gate.let(2)
    widget.stop()
    gate.let(1)
    done = len(widget.wait())
    assert bar.progress.value == done
    assert widget.progress == done / 10
    assert "left" not in widget.status


def test_a_press_on_run_takes_the_settings_of_the_maker(make: Any) -> None:
    dtypes: list[torch.dtype] = []

    def loss_fn(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        dtypes.append(output.dtype)
        return (output.float() - target).square().mean()

    with torch.autocast("cpu", torch.bfloat16):
        widget = make(loss_fn, num_it=2)
    press = threading.Thread(target=display_of(widget).answer.button.click)
    press.start()
    press.join()
    widget.wait()
    assert dtypes == [torch.bfloat16] * 2
    dtypes.clear()
    widget.run()
    widget.wait()
    assert dtypes == [torch.float32] * 2


def test_observers_run_outside_the_lock(make: Any) -> None:
    widget = make()
    free: list[bool] = []

    def take_lock(_change: object) -> None:
        def try_lock() -> None:
            lock = widget._controller.state.lock
            free.append(lock.acquire(blocking=False))
            lock.release()

        other = threading.Thread(target=try_lock)
        other.start()
        other.join()

    widget.observe(take_lock, "value")
    widget.run()
    widget.wait()
    for number, pick in enumerate(WAYS):
        pick(widget, 0.01 * (number + 1))
    display_of(widget).pick_bar.home.click()
    assert len(free) > len(WAYS)
    assert all(free)


def test_closing_leaves_nothing(make: Any) -> None:
    before = set(ipywidgets_widget._instances)
    threads = set(threading.enumerate())
    widget = make(num_it=20)
    for _ in range(4):  # of which three show a common trend
        widget.run()
        widget.wait()
    widget.remove("run (2)")
    for _ in range(2):
        widget.race([0.01, 0.1], 5)
        widget.wait()
    widget.run(label="another", end_lr=100.0)
    widget.wait()
    widget.close()
    assert set(ipywidgets_widget._instances) == before
    assert set(threading.enumerate()) == threads


def test_closing_in_mid_run_leaves_nothing() -> None:
    before = set(ipywidgets_widget._instances)
    gate = Gate()
    gate.let(10**6)
    widget = LRWidget(*parts(), gate, nn.MSELoss(), num_it=10**5, stop_div=False)
    widget.run()
    widget.close()
    widget.close()
    assert not widget.running
    assert set(ipywidgets_widget._instances) == before
    with pytest.raises(RuntimeError, match="the widget is closed; make a new one"):
        widget.run()


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"smoothing": 0.98}, ValueError, r"smoothing=0\.98 must be 'automatic'"),
        ({"smoothing": "x"}, ValueError, "smoothing='x' must be 'automatic', 'fastai'"),
        (
            {"value": "fast"},
            ValueError,
            "value='fast' must be a rate above 0, or None; pass",
        ),
        ({"value": float("nan")}, ValueError, "value=nan must be a rate above 0"),
        ({"value": -1.0}, ValueError, r"value=-1\.0 must be a rate above 0"),
        ({"num_it": 1}, ValueError, "num_it=1 must be at least 2"),
        ({"start_lr": "x"}, TypeError, "start_lr='x' must be a number"),
        ({"step_mode": "log"}, ValueError, "step_mode='log' is not known"),
        ({"stop_div": 1}, TypeError, "stop_div=1 must be True, .fastai. or False"),
        ({"seed": -1}, ValueError, "seed=-1 must be from 0"),
        ({"lr": 1}, TypeError, "unexpected keyword argument 'lr'"),
    ],
)
def test_bad_arguments_leave_nothing(
    bad: dict[str, Any], error: Any, message: str
) -> None:
    before = set(ipywidgets_widget._instances)
    with pytest.raises(error, match=message):
        LRWidget(*parts(), [1], nn.MSELoss(), **bad)
    assert set(ipywidgets_widget._instances) == before


def test_repr_is_one_short_line(make: Any) -> None:
    widget = make(value=0.01)
    text = repr(widget)
    beginning = text.removesuffix(" ...'>")
    assert f"<LRWidget: value=0.01, status={widget.status!r}>".startswith(beginning)
    assert len(text) < 110


def test_parts_and_the_worker_meet_without_a_race(make: Any) -> None:
    """Pick, slide and read from several threads while the worker draws."""
    gate = Gate()
    widget = make(dataloader=gate, num_it=900, end_lr=0.1, stop_div=False)
    widget.run()
    gate.let(900)
    errors: list[BaseException] = []
    bar = display_of(widget).view_bar

    def use(number: int) -> None:
        try:
            while widget.running:
                bar.smoothing.index = number % 10
                WAYS[number](widget, 10.0**-number)
                assert widget.value is not None
                assert 1e-7 <= widget.value <= 0.1
                widget.suggestions  # noqa: B018 (read while it grows)
        except BaseException as error:  # noqa: BLE001 (raised below)
            errors.append(error)

    threads = [
        threading.Thread(target=use, args=(number,)) for number in range(len(WAYS))
    ]
    for thread in threads:
        thread.start()
    curve = widget.wait()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(curve) == 900
    drawn = display_of(widget).chart.latest.raw
    np.testing.assert_array_equal(drawn.x, curve.lrs)
    assert places(widget) == [widget.value] * 4


def test_a_closed_widget_is_not_kept_in_memory() -> None:
    widget = LRWidget(*parts(), BATCHES, nn.MSELoss(), num_it=5)
    widget.run()
    widget.wait()
    widget.close()
    kept = weakref.ref(widget)
    del widget
    gc.collect()
    assert kept() is None
