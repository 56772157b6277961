from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw
import numpy as np
import pytest
import torch
from ipywidgets.widgets import widget as ipywidgets_widget
from torch import nn
from torch.optim import SGD
from torch.utils.data import DataLoader, TensorDataset
from traitlets import TraitError, dlink

from lrwidget import LRWidget, range_test
from lrwidget.ui.closing import close_with_parts
from tests.ui.front_end import click, drag
from tests.widget_parts import SECONDS, Gate, parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def make() -> Iterator[Callable[..., LRWidget]]:
    made: list[LRWidget] = []

    def make(loss_fn: Any = None, dataloader: Any = None, **kwargs: Any) -> LRWidget:
        batches = [(torch.ones(4, 8), torch.zeros(4, 1))]
        loss_fn = loss_fn or nn.MSELoss()
        made.append(LRWidget(*parts(), dataloader or batches, loss_fn, **kwargs))
        return made[-1]

    yield make
    for widget in made:
        widget.close()


def _places(widget: LRWidget) -> list[float]:
    """Return the rate wherever it is held."""
    handle, line = widget._chart.handle, widget._chart.line
    return [*handle.x, *line.x, widget._pick_bar.field.value]


def test_before_there_is_anything(make: Any) -> None:
    widget = make()
    assert widget.value is None
    assert len(widget.curve) == 0
    assert set(widget.suggestions.values()) == {None}
    assert (widget.progress, widget.running) == (0, False)
    assert widget.status == "Ready: Run tries 100 rates from 1e-7 to 10."
    with pytest.raises(RuntimeError, match="no test to wait for; call run"):
        widget.wait()
    with pytest.raises(RuntimeError, match="value=None: choose a rate first"):
        widget.apply()


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
    assert seen == [curve.suggest()]
    assert curve.suggest() is not None
    assert widget.value == curve.suggest()
    assert widget._chart.suggestion.x.tolist() == [widget.value]
    assert "Suggested: " in widget.status


def test_a_pick_outlives_the_test(make: Any) -> None:
    gate = Gate()
    widget = make(dataloader=gate)
    widget.run()
    click(widget._chart, 0.02)
    gate.let(100)
    widget.wait()
    assert widget.value == 0.02
    widget.run()
    gate.let(100)
    widget.wait()
    assert widget.value == 0.02


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
    assert first != second
    assert widget.value == second


def _by_python(widget: LRWidget, rate: float) -> None:
    widget.value = rate


def _by_field(widget: LRWidget, rate: float) -> None:
    widget._pick_bar.field.set_state({"value": rate})


def _by_click(widget: LRWidget, rate: float) -> None:
    click(widget._chart, rate)


def _by_drag(widget: LRWidget, rate: float) -> None:
    if widget.value is None:
        widget.value = 1e-6
    drag(widget._chart, 1e-5, rate)


def _by_front_end(widget: LRWidget, rate: float) -> None:
    widget.set_state({"value": rate})


_WAYS = [_by_python, _by_field, _by_click, _by_drag, _by_front_end]


@pytest.mark.parametrize("pick", _WAYS)
@pytest.mark.parametrize(
    ("rate", "value"), [(0.0123, 0.0123), (123.0, 10.0), (1e-9, 1e-7)]
)
def test_every_way_to_pick_moves_all_others(
    make: Any, pick: Any, rate: float, value: float
) -> None:
    widget = make()
    seen: list[float] = []
    widget.observe(lambda change: seen.append(change["new"]), "value")
    pick(widget, rate)
    assert widget.value == value
    assert _places(widget) == [value] * 4
    assert seen[-1] == value
    widget.value = None
    assert widget.value is None
    assert len(widget._chart.handle.x) == 0


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


def test_the_button_runs_and_stops(make: Any) -> None:
    gate = Gate()
    widget = make(dataloader=gate)
    button = widget._run_bar.button
    button.click()
    assert widget.running
    assert button.description == "Stop"
    gate.let(3)
    button.click()
    gate.let(1)
    curve = widget.wait()
    assert curve.stop_reason == "stopped"
    assert len(curve) <= 4
    assert button.description == "Run"
    assert widget.status.startswith(f"Stopped after {len(curve)} step")


def test_only_one_test_at_a_time(make: Any) -> None:
    gate = Gate()
    widget = make(dataloader=gate)
    widget.run()
    with pytest.raises(RuntimeError, match=r"running already; call stop\(\) and wait"):
        widget.run()
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
    drawn = threading.Event()
    widget._chart.smoothed.observe(lambda _: drawn.set(), "y")
    widget.run()
    gate.let(30)
    assert drawn.wait(SECONDS)
    for beta in (0.0, 0.5, 0.9):
        widget._pick_bar.smoothing.set_state({"value": beta})
        shown = widget._chart.smoothed.y
        expected = widget.curve.smoothed(beta)[: len(shown)]
        np.testing.assert_array_equal(shown, expected)
    assert widget.running
    widget.stop()
    gate.let(1)
    widget.wait()


def test_the_slider_does_not_move_the_suggestion(make: Any) -> None:
    widget = make()
    widget.run()
    widget.wait()
    before = widget.suggestions, widget.value
    widget._pick_bar.smoothing.value = 0.0
    assert (widget.suggestions, widget.value) == before
    assert widget._chart.suggestion.x.tolist() == [widget.value]


def test_the_menu_moves_the_dot_and_the_handle(make: Any) -> None:
    widget = make(rule="minimum")
    widget.run()
    curve = widget.wait()
    assert widget.value == curve.suggest("minimum")
    assert len(widget._chart.band.x) == 0
    widget._pick_bar.rule.value = "descent"
    assert widget.rule == "descent"
    lr, low, high, reason = curve.suggestion()
    assert widget.value == lr != curve.suggest("minimum")
    assert widget._chart.suggestion.x.tolist() == [lr]
    assert widget._chart.band.x.tolist() == [low, high]
    assert reason in widget.status
    widget.rule = "steep"
    assert widget._pick_bar.rule.value == "steep"
    assert widget.value == curve.suggest("steep")


def test_the_menu_leaves_what_was_picked(make: Any) -> None:
    widget = make()
    widget.run()
    widget.wait()
    widget.value = 1e-5
    widget.rule = "minimum"
    assert widget.value == 1e-5
    assert widget._chart.suggestion.x.tolist() == [widget.suggestions["minimum"]]


def test_a_rule_that_is_not_known(make: Any) -> None:
    with pytest.raises(ValueError, match=r"rule='best' is not known; pass one of"):
        make(rule="best")
    widget = make()
    with pytest.raises(TraitError, match="best"):
        widget.rule = "best"
    assert widget.rule == "descent"


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
    assert widget.status == "Failed after 20 steps. ArithmeticError: <b>no</b>"
    assert "&lt;b&gt;no&lt;/b&gt;" in widget._run_bar.status.value
    assert len(widget.curve) == len(widget._chart.raw.x) == 20
    assert widget._run_bar.button.description == "Run"
    calls = -1000
    widget.run()
    widget.wait()
    assert widget.status.startswith("Done")


def test_a_batch_that_is_no_pair_is_shown_and_raised(make: Any) -> None:
    widget = make(dataloader=[{"x": torch.ones(4, 8)}])
    widget._run_bar.button.click()
    with pytest.raises(TypeError, match=r"loss_fn needs .* pass training_step"):
        widget.wait()
    assert "loss_fn needs batches" in widget.status


def test_what_keeps_a_test_from_starting_is_shown_and_raised(make: Any) -> None:
    widget = make(isolation="copy")
    model = widget._test._trial.subject.model
    model.lock = threading.Lock()
    with pytest.raises(ValueError, match="isolation='copy' cannot copy the model"):
        widget.run()
    assert not widget.running
    widget._run_bar.button.click()
    with pytest.raises(ValueError, match="cannot copy"):
        widget.wait()
    assert widget.status.startswith("Failed after 0 steps. ValueError: isolation=")


def test_what_an_observer_raises_is_raised(make: Any) -> None:
    widget = make()

    def fail(_change: object) -> None:
        raise ZeroDivisionError

    widget.observe(fail, "value")
    widget.run()
    with pytest.raises(ZeroDivisionError):
        widget.wait()
    assert widget.value == widget.curve.suggest()
    assert not widget.running
    assert widget.status.endswith("ZeroDivisionError")


def test_an_interrupt_while_waiting_stops_the_test(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    widget = make(dataloader=gate)
    widget.run()

    def interrupt(_timeout: float | None) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(widget._session.follower, "wait", interrupt)
        with pytest.raises(KeyboardInterrupt):
            widget.wait()
    gate.let(1)
    assert widget.wait().stop_reason == "stopped"


def test_apply_writes_the_rate_and_keeps_the_ratios() -> None:
    model = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 1))
    groups = [
        {"params": model[0].parameters(), "lr": 0.01},
        {"params": model[1].parameters(), "lr": 0.1},
    ]
    optimizer = SGD(groups, momentum=0.9)
    batches = [(torch.ones(4, 8), torch.zeros(4, 1))]
    widget = LRWidget(model, optimizer, batches, nn.MSELoss(), value=0.5)
    widget.apply()
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == pytest.approx([0.05, 0.5])
    assert [group["momentum"] for group in optimizer.param_groups] == [0.9, 0.9]
    widget.close()


def test_a_rate_is_not_applied_to_what_is_put_back(make: Any) -> None:
    started, going = threading.Event(), threading.Event()

    def loss_fn(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        started.set()
        assert going.wait(SECONDS)
        return nn.functional.mse_loss(outputs, targets)

    widget = make(loss_fn, isolation="restore", value=0.5)
    widget.run()
    assert started.wait(SECONDS)
    with pytest.raises(RuntimeError, match="training this model itself"):
        widget.apply()
    going.set()
    widget.wait()
    widget.apply()
    assert widget._optimizer.param_groups[0]["lr"] == 0.5


def test_the_rates_of_all_groups() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 3))
    groups = [
        {"params": model[0].parameters(), "lr": 0.01},
        {"params": model[1].parameters(), "lr": 0.1},
    ]
    batches = [(torch.ones(4, 8), torch.zeros(4, 3))]
    settings: Any = {"isolation": "restore"}
    widget = LRWidget(model, SGD(groups), batches, nn.MSELoss(), **settings)
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
        assert widget._chart.figure.axes[1].label == name
        widget.close()


def test_progress_and_pace(make: Any) -> None:
    gate = Gate()
    widget = make(dataloader=gate, num_it=10)
    seen = threading.Event()
    widget._run_bar.progress.observe(lambda _: seen.set(), "value")
    widget.run()
    gate.let(1)
    assert seen.wait(SECONDS)
    assert widget.progress == 0.1
    assert widget.status == f"Running: loss {widget.curve.losses[0]:.4g} at rate 1e-7."
    gate.let(2)
    widget.stop()
    gate.let(1)
    done = len(widget.wait())
    assert widget._run_bar.progress.value == done
    assert widget._run_bar.pace.value.startswith(f"{done} / 10")
    assert "left" not in widget._run_bar.pace.value


def test_a_press_on_run_takes_the_settings_of_the_maker(make: Any) -> None:
    dtypes: list[torch.dtype] = []

    def loss_fn(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        dtypes.append(output.dtype)
        return (output.float() - target).square().mean()

    with torch.autocast("cpu", torch.bfloat16):
        widget = make(loss_fn, num_it=2)
    press = threading.Thread(target=widget._run_bar.button.click)
    press.start()
    press.join()
    widget.wait()
    assert dtypes == [torch.bfloat16] * 2
    dtypes.clear()
    widget.run()
    widget.wait()
    assert dtypes == [torch.float32] * 2


def test_an_end_that_comes_after_the_next_start_changes_nothing(make: Any) -> None:
    gate = Gate()
    widget = make(dataloader=gate)
    widget.run()
    first = widget._session.follower
    widget.stop()
    gate.let(1)
    widget.wait()
    widget.run()
    widget._on_end(first)
    assert widget._run_bar.button.description == "Stop"
    assert widget.value is None
    widget.stop()
    gate.let(1)
    widget.wait()


def test_observers_run_outside_the_lock(make: Any) -> None:
    widget = make()
    free: list[bool] = []

    def take_lock(_change: object) -> None:
        def try_lock() -> None:
            free.append(widget._lock.acquire(blocking=False))
            widget._lock.release()

        other = threading.Thread(target=try_lock)
        other.start()
        other.join()

    widget.observe(take_lock, "value")
    widget.run()
    widget.wait()
    for number, pick in enumerate(_WAYS):
        pick(widget, 0.01 * (number + 1))
    assert free
    assert all(free)


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
        ({"smoothing": 1.0}, ValueError, r"smoothing=1\.0 must be from 0 to 0\.99"),
        ({"smoothing": "x"}, TypeError, "smoothing='x' must be a number; pass"),
        (
            {"value": "fast"},
            ValueError,
            "value='fast' must be a rate above 0, or None; pass",
        ),
        ({"value": float("nan")}, ValueError, "value=nan must be a rate above 0"),
        ({"value": -1.0}, ValueError, r"value=-1\.0 must be a rate above 0"),
        ({"num_it": 1}, ValueError, "num_it=1 must be at least 2"),
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
    assert text == f"<LRWidget: value=0.01, status={widget.status!r}>"
    assert len(text) < 110


def test_parts_and_the_worker_meet_without_a_race(make: Any) -> None:
    """Pick, slide and read from several threads while the worker draws."""
    gate = Gate()
    widget = make(dataloader=gate, num_it=3000, stop_div=False)
    widget.run()
    gate.let(3000)
    errors: list[BaseException] = []

    def use(number: int) -> None:
        try:
            while widget.running:
                widget._pick_bar.smoothing.value = 0.1 * (number % 10)
                _WAYS[number](widget, 10.0**-number)
                assert widget.value is not None
                assert 1e-7 <= widget.value <= 10
                widget.suggestions  # noqa: B018 (read while it grows)
        except BaseException as error:  # noqa: BLE001 (raised below)
            errors.append(error)

    threads = [
        threading.Thread(target=use, args=(number,)) for number in range(len(_WAYS))
    ]
    for thread in threads:
        thread.start()
    curve = widget.wait()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(curve) == len(widget._chart.raw.x) == 3000
    assert _places(widget) == [widget.value] * 4
