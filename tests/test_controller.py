"""The settings, the runs and the status, as a person has them in the page."""

from __future__ import annotations

import errno
import html
import json
import linecache
import os
import re
import sys
import threading
from contextlib import contextmanager, suppress
from copy import deepcopy
from typing import TYPE_CHECKING, Any, NoReturn

import ipywidgets as ipw
import numpy as np
import pytest
import torch
from ipywidgets.widgets import widget as ipywidgets_widget
from torch import nn
from torch.optim import SGD
from torch.utils.data import DataLoader, TensorDataset
from traitlets.log import get_logger

from lrwidget import LRWidget, RangeTest, jobs
from lrwidget.backends.local import LocalBackend
from lrwidget.controller import Controller
from lrwidget.curve import lr_curve
from lrwidget.curve.fit import local_fit
from lrwidget.curve.history import JobHistory
from lrwidget.curve.loss_limits import loss_limits, whole_limits
from lrwidget.curve.lr_curve import LRCurve
from lrwidget.curve.records.store import LocalStore
from lrwidget.curve.schedule import learning_rates
from lrwidget.curve.ticks import rounded, short
from lrwidget.state import rates
from lrwidget.state.choice import Choice
from lrwidget.ui.points_table import PointsTable
from lrwidget.ui.runs_table import RunsTable
from lrwidget.ui.settings import in_words_of_fields
from tests.curves import fitted, picked, trend_of
from tests.ui.front_end import tell
from tests.widget_parts import (
    BATCHES,
    SECONDS,
    Gate,
    arguments_of,
    display_of,
    parts,
    sentence_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def _field(widget: LRWidget, description: str) -> ipw.Widget:
    """Return one of the fields for the settings."""
    panel = display_of(widget).settings
    (field,) = (x for x in panel.children if x.description == description)
    return field


def _run(widget: LRWidget, label: str | None = None, **changes: Any) -> LRCurve:
    widget.run(label, **changes)
    return widget.wait()


def _press(widget: LRWidget) -> None:
    display_of(widget).answer.button.click()


def _hand(widget: LRWidget, **message: object) -> None:
    """Do something in the table of the runs."""
    tell(display_of(widget).runs_table, **message)


def _listed(widget: LRWidget) -> list[str]:
    """Return the names in the table of the runs, that of the latest run last."""
    return [row["name"] for row in reversed(display_of(widget).runs_table.rows)]


def _drawn(widget: LRWidget) -> dict[str, Any]:
    """Return the lines beside those of the latest run, by their names."""
    lines = display_of(widget).chart.others.lines
    return {line.labels[0]: line for line in lines}


def _shuffled(**options: Any) -> DataLoader[Any]:
    inputs = torch.randn(40, 8, generator=torch.Generator().manual_seed(1))
    samples = TensorDataset(inputs, inputs.sum(1, keepdim=True))
    return DataLoader(samples, batch_size=4, shuffle=True, **options)


# ---- a controller without a display


class _Choice:
    """The owner of a chosen rate, with the suggestions that it was given."""

    def __init__(self) -> None:
        self.value: float | None = None
        self.suggestions: list[float] = []

    @property
    def choice(self) -> Choice:
        return Choice(self.value, None)

    def restore(self, choice: Choice) -> None:
        self.value = choice.rate

    def pick(self, rate: float) -> None:
        self.value = rate

    def follow_suggestion(self, suggestion: float) -> None:
        self.suggestions.append(suggestion)


def _backend(**arguments: Any) -> LocalBackend:
    model, optimizer = parts()
    trained = {"model": model, "optimizer": optimizer, "loss_fn": nn.MSELoss()}
    return LocalBackend({**trained, "num_it": 60, "stop_div": False, **arguments})


@pytest.fixture
def alone() -> Iterator[tuple[Controller, Gate, _Choice]]:
    """Return a controller of tests with a gate, and the owner of its rate."""
    gate, choice = Gate(), _Choice()
    controller = Controller(_backend(dataloader=gate), "descent", choice)
    yield controller, gate, choice
    gate.let(10)
    controller.close()


def test_a_controller_before_there_is_anything(alone: Any) -> None:
    controller, _, _ = alone
    controller.stop()
    assert (controller.state.running, controller.state.progress) == (False, 0)
    assert len(controller.state.runs.latest_curve) == 0
    assert (controller.state.runs.curves, controller.state.suggestions.trainings) == (
        {},
        None,
    )
    snapshot = controller.state.snapshot()
    assert (snapshot.job, snapshot.race, snapshot.latest) == (None, None, None)
    assert not snapshot.running
    with pytest.raises(RuntimeError, match="no test to wait for; call run"):
        controller.wait(1)


def test_a_race_and_a_test_keep_what_they_found_apart(alone: Any) -> None:
    controller, gate, choice = alone
    controller.run("a", {})
    with pytest.raises(RuntimeError, match="a test is running already"):
        controller.run("b", {})
    gate.let(60)
    controller.wait(SECONDS)
    curve = controller.state.runs.latest_curve
    assert 0 < len(curve) == curve.num_it
    assert choice.suggestions == [curve.suggest()]
    controller.race([0.01, 0.1], 3)
    with pytest.raises(RuntimeError, match="a race is running already"):
        controller.run("b", {})
    gate.let(6)
    controller.wait(SECONDS)
    assert controller.state.runs.latest_curve is curve
    assert controller.state.snapshot().job.kind == "race"
    raced = controller.state.suggestions.trainings
    assert [len(run) for run in raced.curves().values()] == [3, 3]
    assert len(choice.suggestions) == 1  # none of a race
    gate.let(60)
    controller.run("a", {})
    controller.wait(SECONDS)
    assert controller.state.snapshot().job.kind == "test"
    assert controller.state.suggestions.trainings is raced
    assert len(choice.suggestions) == 2


def test_a_snapshot_computes_nothing_again(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    widget, computed = make(), list[str]()

    def note(where: Any, name: str) -> None:
        function = getattr(where, name)

        def noted(*what: Any, **named: Any) -> Any:
            computed.append(name)
            return function(*what, **named)

        monkeypatch.setattr(where, name, noted)

    for name in ("learning_from", "unstable_from", "local_fit"):
        note(lr_curve, name)
    note(rates, "rates_that_matter")
    _run(widget, "short", num_it=5)  # too few steps for a suggestion
    for label in ("a", "b"):
        _run(widget, label, num_it=40)
    assert {*computed} > {"unstable_from", "rates_that_matter"}
    controller = widget._controller
    for name in ("a", "short"):
        controller.open(name)
        computed.clear()
        first = controller.state.snapshot()
        assert controller.state.snapshot() == first
        assert computed == []
    gate = Gate()
    widget.run(num_it=40, dataloader=gate)
    gate.let(20)
    gate.await_asked(21)
    controller.refresh()
    computed.clear()
    controller.state.snapshot()
    controller.open("b")
    assert computed == []
    gate.let(20)
    widget.wait()


def test_each_run_is_kept(alone: Any) -> None:
    controller, gate, _ = alone
    gate.let(8)
    for _ in range(2):
        controller.run("a", {"num_it": 4})
        controller.wait(SECONDS)
    curves = controller.state.runs.curves
    assert list(curves) == ["a", "a (2)"]
    assert curves["a (2)"] is controller.state.runs.latest_curve
    first, second = controller.state.snapshot().runs
    assert first.key == second.key
    assert first.key.label == "a"


def test_what_cannot_start_is_no_run(alone: Any) -> None:
    controller, gate, _ = alone
    gate.let(4)
    controller.run("a", {"num_it": 4})
    controller.wait(SECONDS)
    model, optimizer = parts()
    trained: dict[str, Any] = {"model": model, "optimizer": optimizer}
    trained["isolation"] = "restore"
    other = iter(RangeTest(dataloader=BATCHES, loss_fn=nn.MSELoss(), **trained))
    next(other)
    with pytest.raises(RuntimeError, match="training this model itself") as raised:
        controller.run("b", trained)
    other.close()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="training this model itself"):
            controller.wait(SECONDS)
    assert not controller.state.running
    job = controller.state.snapshot().job
    assert job.error is raised.value
    assert (job.done, controller.state.progress) == (0, 0)
    assert list(controller.state.runs.curves) == ["a"]
    assert len(controller.state.runs.latest_curve) == 4
    gate.let(4)
    controller.run("b", {"num_it": 4})
    controller.wait(SECONDS)
    assert controller.state.snapshot().job.error is None
    assert list(controller.state.runs.curves) == ["a", "b"]


def test_progress_is_that_of_one_job(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    widget = make(num_it=5, stop_div=False)
    _run(widget)
    controller, count = widget._controller, JobHistory.__len__

    def started_meanwhile(history: JobHistory) -> int:
        controller.state.job = type(controller.state.job)("test")
        return count(history)

    with monkeypatch.context() as patch:
        patch.setattr(JobHistory, "__len__", started_meanwhile)
        assert widget.progress == 1
    controller.state.job.running = False


def test_a_job_is_started_in_the_thread_of_the_caller() -> None:
    threads: list[threading.Thread] = []
    model = _Copied(8, 1)
    model.on_copy = lambda: threads.append(threading.current_thread())
    optimizer = SGD(model.parameters(), lr=0.1)
    backend = _backend(dataloader=BATCHES, model=model, optimizer=optimizer)
    controller = Controller(backend, "descent", _Choice())
    controller.run(None, {})
    controller.wait(SECONDS)
    assert set(threads) == {threading.current_thread()}


# ---- settings


def test_the_settings_are_those_of_the_widget(make: Any) -> None:
    values = display_of(make()).settings.values
    assert values == {
        "start_lr": 1e-7,
        "end_lr": 10,
        "num_it": 100,
        "step_mode": "exp",
        "stop_div": True,
        "seed": None,
    }
    given = {
        "start_lr": 1e-6,
        "end_lr": 2.0,
        "num_it": 50,
        "step_mode": "linear",
        "stop_div": False,
        "seed": 7,
    }
    assert display_of(make(**given)).settings.values == given


def test_a_run_has_the_settings_in_the_page_and_they_stay(make: Any) -> None:
    widget = make()
    _field(widget, "From").value = 1e-5
    _field(widget, "To").value = 100.0
    _field(widget, "Steps").value = 30
    _field(widget, "Sweep").value = "linear"
    _field(widget, "Stop when unstable").value = False
    values = display_of(widget).settings.values
    for start in (widget.run, lambda: _press(widget)):
        start()
        curve = widget.wait()
        np.testing.assert_array_equal(
            curve.lrs, learning_rates(1e-5, 100.0, 30, "linear")
        )
        assert curve.stop_reason in {"completed", "non_finite"}
        assert display_of(widget).settings.values == values


def test_the_seed_in_the_page(make: Any) -> None:
    widget = make(dataloader=_shuffled())
    _field(widget, "Seed").value = "5"
    first, again = _run(widget), _run(widget)
    _field(widget, "Seed").value = "6"
    other = _run(widget)
    assert first.losses.tolist() == again.losses.tolist() != other.losses.tolist()
    assert list(widget.curves) == ["seed=5", "seed=5 (2)", "seed=6"]


def test_changes_are_for_one_run_only(make: Any) -> None:
    widget = make(num_it=30, stop_div=False)
    changes: list[dict[str, Any]] = [{}, {"num_it": 20}, {}]
    assert [len(_run(widget, **x)) for x in changes] == [30, 20, 30]
    assert display_of(widget).settings.values["num_it"] == 30
    changed = _run(widget, start_lr=1e-3, end_lr=1.0, step_mode="linear")
    np.testing.assert_array_equal(changed.lrs, np.linspace(1e-3, 1, 30))


def test_a_run_may_train_something_else(make: Any) -> None:
    widget = make(stop_div=False)
    model = arguments_of(widget)["model"]
    before = [parameter.clone() for parameter in model.parameters()]
    slow = SGD([{"params": model.weight, "lr": 1e-9}, {"params": model.bias}], lr=0.1)
    one, other = _run(widget), _run(widget, optimizer=slow)
    assert one.losses[0] == other.losses[0]
    assert one.losses.tolist() != other.losses.tolist()
    assert list(widget.curves) == ["run", "optimizer=SGD"]
    for parameter, kept in zip(model.parameters(), before, strict=True):
        assert torch.equal(parameter, kept)
    widget.apply()  # to the widget's own
    assert slow.param_groups[0]["lr"] == 1e-9


@pytest.mark.parametrize(
    ("field", "bad", "good", "message"),
    [
        ("From", 20.0, 1e-6, "start_lr=20.0 must be below end_lr=10.0"),
        ("From", 0.0, 1e-6, "start_lr=0.0 must be finite and above 0"),
        ("To", -1.0, 1.0, "end_lr=-1.0 must be finite and above 0"),
        ("Steps", 1, 20, "num_it=1 must be at least 2"),
        ("Seed", "five", "5", "seed='five' must be an integer"),
        ("Seed", "-1", "", "seed=-1 must be from 0 to 2**32 - 1"),
    ],
)
def test_a_bad_setting_is_told_everywhere(
    make: Any, field: str, bad: Any, good: Any, message: str
) -> None:
    widget = make(num_it=20, value=0.01)
    display = display_of(widget)
    edges = display.chart.axes.range
    _field(widget, field).value = bad
    told = in_words_of_fields(message)
    assert display.settings.problem.value.startswith(told)
    assert display.chart.axes.range == edges
    for _ in range(2):
        _press(widget)
        assert not widget.running
        assert widget.status.startswith("Failed before the first step. ")
        assert told in widget.status
        assert told in sentence_of(widget)
        assert display.answer.button.description == "Run"
        with pytest.raises((TypeError, ValueError), match=re.escape(message)):
            widget.wait()
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        widget.run()
    assert widget.curves == {}
    _field(widget, field).value = good
    assert display.settings.problem.value == ""
    _press(widget)
    assert len(widget.wait()) > 5
    assert widget.value == 0.01


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"num_it": 1}, ValueError, "num_it=1 must be at least 2"),
        ({"seed": "five"}, TypeError, "seed='five' must be an integer"),
        ({"nuM_it": 20}, TypeError, "unexpected keyword argument 'nuM_it'"),
        ({"label": 5}, TypeError, "label=5 must be some text, or None; pass for"),
        ({"label": ""}, TypeError, "label='' must be some text, or None; pass for"),
    ],
)
def test_a_bad_change_is_raised_and_told(
    make: Any, bad: Any, error: Any, message: str
) -> None:
    widget = make(num_it=20)
    _run(widget)
    with pytest.raises(error, match=message):
        widget.run(**bad)
    # and not after those of the run before
    assert widget.status.startswith(f"Failed before the first step. {error.__name__}: ")
    assert message in widget.status
    assert display_of(widget).answer.progress.value == widget.progress == 0
    with pytest.raises(error, match=message):
        widget.wait()
    assert display_of(widget).settings.problem.value == ""
    assert list(widget.curves) == ["run"]
    _run(widget)
    assert widget.status.startswith("Done")


def test_a_bad_setting_after_a_race_is_no_failure_of_the_race(make: Any) -> None:
    widget = make(num_it=20)
    widget.race([0.01, 0.1], 5)
    widget.wait()
    with pytest.raises(ValueError, match="num_it=1"):
        widget.run(num_it=1)
    assert widget.status.startswith(
        "Failed before the first step. ValueError: num_it=1"
    )
    assert [len(curve) for curve in widget.race_curves] == [5, 5]


# ---- the range of the chart


def test_the_chart_holds_the_settings(make: Any) -> None:
    widget = make()
    chart = display_of(widget).chart
    for field, value, edges in (
        ("To", 1.0, (1e-7, 1.0)),
        ("From", 1e-9, (1e-9, 1.0)),
        ("To", 100.0, (1e-9, 100.0)),
    ):
        _field(widget, field).value = value
        assert chart.axes.range == widget._controller.state.shown.bounds == edges
    said = "Run tries 100 learning rates from 1.0e-9 to 100 "
    assert widget.status.startswith(said)
    assert said in sentence_of(widget)


def test_the_chart_holds_all_runs(make: Any) -> None:
    widget = make(num_it=20)
    display = display_of(widget)
    edges: list[tuple[float, float]] = []

    def note() -> None:
        display.strip.everything.click()
        edges.append(display.chart.axes.range)

    ranges = [(1e-7, 10.0), (1e-7, 1e3), (1e-9, 0.01), (1e-7, 10.0)]
    for start, end in ranges:
        _run(widget, start_lr=start, end_lr=end)
        note()
    widget.remove("end_lr=1000")
    note()
    _field(widget, "To").value = 0.5
    note()
    assert edges[:2] == [(1e-7, 10), (1e-7, 1e3)]
    assert edges[2:] == [(1e-9, 1e3), (1e-9, 1e3), (1e-9, 10), (1e-9, 10)]


def test_the_chart_holds_the_value_which_no_setting_moves(make: Any) -> None:
    widget = make(value=1.0)
    seen: list[Any] = []
    widget.observe(seen.append, "value")
    chart = display_of(widget).chart
    for field, value, edges in (
        ("To", 0.1, (1e-7, 1.0)),
        ("From", 1e-5, (1e-5, 1.0)),
        ("To", 0.01, (1e-5, 1.0)),
    ):
        _field(widget, field).value = value
        assert chart.axes.range == edges
    _run(widget)
    assert widget.value == 1.0
    assert seen == []
    widget.value = 1e-3
    _run(widget)
    widget._controller.show_all()
    assert chart.axes.range == (1e-5, 0.01)


def test_a_value_may_be_picked_wherever_the_chart_is(make: Any) -> None:
    widget = make(num_it=20)
    _run(widget, end_lr=1e3)
    widget.value = 500.0
    assert widget.value == 500
    widget.value = 1e4
    assert widget.value == 1e3
    _run(widget)
    widget.remove("end_lr=1000")
    assert widget.value == 1e3
    assert display_of(widget).page.bounds == (1e-7, 1e3)
    assert display_of(widget).chart.axes.range[1] == 1e3


def test_the_chart_shows_the_running_test_and_then_the_rates_that_matter(
    make: Any,
) -> None:
    gate = Gate()
    widget = make(num_it=60, value=1e-3)
    controller, axes = widget._controller, display_of(widget).chart.axes
    _run(widget)
    part = axes.range
    rates = widget.curve.learning_from, widget.curve.unstable_from
    assert part == pytest.approx((rates[0] / 10, rates[1] * 10**0.5))
    controller.zoom(1e-4, 1e-2)
    assert axes.range == (1e-4, 1e-2)
    widget.value = 1.0  # outside
    assert axes.range == pytest.approx((1e-4, 10**0.1))
    widget.value = 2e-3
    assert axes.range == (1e-4, 1e-2)
    widget.run(start_lr=1e-6, end_lr=1.0, dataloader=gate)
    assert axes.range == (1e-6, 1.0)
    controller.zoom(1e-5, 1e-2)
    assert axes.range == (1e-5, 1e-2)
    gate.let(60)
    widget.wait()
    assert axes.range == (1e-5, 1e-2)


# ---- former runs


def test_former_runs_are_laid_over_each_other(make: Any) -> None:
    widget = make(num_it=40)
    assert _listed(widget) == []
    curves = {name: _run(widget, name) for name in ("wd=0", "wd=1e-4", "wd=1e-2")}
    assert list(widget.curves) == _listed(widget) == list(curves)
    assert all(widget.curves[x].to_dict() == curves[x].to_dict() for x in curves)
    assert widget.curve.to_dict() == curves["wd=1e-2"].to_dict()
    drawn = _drawn(widget)
    assert list(drawn) == ["wd=0", "wd=1e-4"]
    for name, line in drawn.items():
        np.testing.assert_array_equal(line.x, curves[name].lrs)
        expected = display_of(widget).chart.axes.kept(fitted(curves[name])[0])
        np.testing.assert_array_equal(line.y, expected)
    assert set(drawn.values()) <= set(display_of(widget).chart.figure.marks)


def test_names_are_unique(make: Any) -> None:
    widget = make(num_it=20)
    for label in (None, None, "run", "a", "a"):
        _run(widget, label)
    assert list(widget.curves) == ["run", "run (2)", "run (3)", "a", "a (2)"]
    assert _listed(widget) == list(widget.curves)


def test_a_run_is_named_for_its_changes(make: Any) -> None:
    widget = make(num_it=20)
    _run(widget, end_lr=1.0)
    _run(widget, dataloader=_shuffled(), seed=3)
    _field(widget, "Steps").value = 30
    _run(widget, "mine")
    _run(widget)
    assert list(widget.curves) == [
        *("end_lr=1", "seed=3, dataloader=DataLoader", "mine", "num_it=30"),
    ]


@pytest.mark.parametrize("by", ["python", "button"])
def test_what_is_removed_is_gone(make: Any, by: str) -> None:
    widget = make(num_it=20)
    for label in "abc":
        _run(widget, label)
    before = set(ipywidgets_widget._instances)
    if by == "python":
        widget.remove("a")
    else:
        _hand(widget, do="remove", name="a")
    assert list(widget.curves) == _listed(widget) == ["b", "c"]
    assert list(_drawn(widget)) == ["b"]
    assert set(ipywidgets_widget._instances) < before
    _run(widget, "a")
    assert list(widget.curves) == ["b", "c", "a"]
    assert list(_drawn(widget)) == ["b", "c"]


@pytest.mark.parametrize("name", ["b", "c"])
def test_only_a_former_run_can_be_removed(make: Any, name: str) -> None:
    widget = make(num_it=20)
    for label in "ab":
        _run(widget, label)
    with pytest.raises(ValueError, match=rf"name='{name}' is no former run; pass"):
        widget.remove(name)
    assert list(widget.curves) == ["a", "b"]


def test_a_former_run_can_be_removed_while_another_runs(make: Any) -> None:
    gate = Gate()
    widget = make(num_it=20)
    _run(widget, "a")
    widget.run("b", dataloader=gate)
    gate.let(5)
    gate.await_asked(6)
    widget.remove("a")
    assert list(widget.curves) == ["b"]
    assert widget.running
    gate.let(15)
    widget.wait()
    assert widget.status.startswith("Done")


def test_a_hidden_run_is_not_drawn(make: Any) -> None:
    widget = make(num_it=20)
    for label in "abc":
        _run(widget, label)
    _hand(widget, do="hide", name="a", on=True)
    assert list(_drawn(widget)) == ["b"]
    assert list(widget.curves) == ["a", "b", "c"]
    _run(widget, "d")
    assert list(_drawn(widget)) == ["b", "c"]
    _hand(widget, do="hide", name="a", on=False)
    drawn = _drawn(widget)
    assert list(drawn) == ["b", "c", "a"]
    expected = display_of(widget).chart.axes.kept(fitted(widget.curves["a"])[0])
    np.testing.assert_array_equal(drawn["a"].y, expected)


def test_the_opened_run_is_the_one_that_is_shown(make: Any) -> None:
    widget = make(dataloader=_shuffled(), num_it=60, stop_div=False)
    curves = {name: _run(widget, name, seed=len(name)) for name in ("a", "bb")}
    suggested = {name: curve.suggestion().lr for name, curve in curves.items()}
    assert len({*suggested.values(), None}) == 3
    shown = widget._controller.state.snapshot
    assert (shown().opened, widget.value) == (shown().latest, picked(suggested["bb"]))
    _hand(widget, do="open", name="a")
    assert shown().opened.name == "a"
    assert shown().curve.to_dict() == curves["a"].to_dict()
    assert shown().suggestion == curves["a"].suggestion()
    # a rate that follows the suggestion does so here, too
    assert widget.value == picked(suggested["a"])
    assert widget.curve.to_dict() == curves["bb"].to_dict()
    np.testing.assert_array_equal(
        display_of(widget).chart.latest.raw.x, curves["a"].lrs
    )
    assert list(_drawn(widget)) == ["bb"]
    assert widget.status.startswith("Done. Shown: a. The loss")
    saved = json.loads(widget._controller.export("json", "automatic"))
    assert LRCurve.from_dict(saved).to_dict() == curves["a"].to_dict()
    widget.remove("a")
    assert (shown().opened, widget.value) == (shown().latest, picked(suggested["bb"]))
    widget.value = 0.5  # a rate that was picked stays
    _run(widget, "c", seed=1)
    _hand(widget, do="open", name="bb")
    assert widget.value == 0.5
    _run(widget, "d", seed=1)  # which the display then shows
    assert shown().opened.name == "d"


def test_a_run_that_is_opened_while_another_grows_has_its_suggestion(make: Any) -> None:
    gate = Gate()
    widget = make(num_it=60, stop_div=False)
    former = _run(widget, "former", seed=1)
    widget.run("new", dataloader=gate)
    gate.let(5)
    gate.await_asked(6)
    _hand(widget, do="open", name="former")
    shown = widget._controller.state.snapshot()
    assert shown.opened.name == "former"
    assert shown.suggestion == former.suggestion()
    assert widget.status.startswith("Running: step 5 of 60")
    growing = _drawn(widget)["new"]
    gate.let(55)
    widget.wait()
    assert len(growing.x) == len(_drawn(widget)["new"].x) == 60
    assert widget._controller.state.snapshot().opened.name == "former"


def test_names_pins_and_what_is_hidden_are_the_same_in_all_displays(make: Any) -> None:
    widget = make(num_it=20)
    for label in "abc":
        _run(widget, label)
    _hand(widget, do="open", name="a")
    _hand(widget, do="rename", name="a", new=" baseline ")
    _hand(widget, do="pin", name="baseline", on=True)
    _hand(widget, do="hide", name="b", on=True)
    assert list(widget.curves) == ["baseline", "b", "c"]
    rows = display_of(widget).runs_table.rows
    assert [row["name"] for row in rows] == ["baseline", "c", "b"]
    assert [row["opened"] for row in rows] == [True, False, False]
    assert [row["hidden"] for row in rows] == [False, False, True]
    assert list(_drawn(widget)) == ["c"]
    for new in ("b", " "):
        _hand(widget, do="rename", name="c", new=new)
    _hand(widget, do="remove", name="gone")
    assert list(widget.curves) == ["baseline", "b", "c"]


def _common(widget: LRWidget) -> Any:
    """Return the line of the common trend of repeated runs, if there is one."""
    lines = [line for name, line in _drawn(widget).items() if "trend," in name]
    assert len(lines) <= 1
    return lines[0] if lines else None


def _fitted_together(widget: LRWidget, *names: str) -> Any:
    """Return the common fit of runs at the rates of the first, and its errors."""
    curves = [widget.curves[name] for name in names]
    lrs, losses = (
        np.concatenate([getattr(curve, name) for curve in curves])
        for name in ("lrs", "losses")
    )
    return np.array(local_fit(lrs, losses).at(curves[0].lrs))


def test_three_runs_of_one_setting_are_fitted_together(make: Any) -> None:
    widget = make(dataloader=_shuffled(), num_it=40, stop_div=False)
    for seed in range(4):
        assert (_common(widget) is None) == (seed < 3)
        _run(widget, "wd", seed=seed)
    names = ["wd", "wd (2)", "wd (3)", "wd (4)"]
    assert list(widget.curves) == names
    losses, errors = _fitted_together(widget, *names)
    line, kept = _common(widget), display_of(widget).chart.axes.kept
    np.testing.assert_array_equal(line.x, widget.curve.lrs)
    heights = np.array([losses - 2 * errors, losses, losses + 2 * errors])
    np.testing.assert_allclose(line.y, kept(heights))


def test_a_hidden_run_has_no_part_in_the_common_trend(make: Any) -> None:
    widget = make(dataloader=_shuffled(), num_it=40, stop_div=False)
    for seed in range(4):
        _run(widget, "wd", seed=seed)
    _hand(widget, do="hide", name="wd (2)", on=True)
    others = [name for name in widget.curves if name != "wd (2)"]
    kept = display_of(widget).chart.axes.kept
    expected, _errors = _fitted_together(widget, *others)
    np.testing.assert_allclose(trend_of(_common(widget)), kept(expected))
    widget.remove("wd (3)")
    assert _common(widget) is None
    _hand(widget, do="hide", name="wd (2)", on=False)
    assert _common(widget) is not None


def test_runs_that_end_early_have_a_part_up_to_there(make: Any) -> None:
    widget = make(num_it=20, stop_div=False)
    for steps in (20, 10, 5, 15):
        curve = _run(widget, "same", dataloader=iter(BATCHES * steps))
        assert len(curve) == steps
    assert len(_common(widget).x) == 10  # up to where three are left


@pytest.mark.parametrize(
    "other",
    [{"end_lr": 1.0}, {"start_lr": 1e-6}, {"num_it": 20}, {"step_mode": "linear"}],
)
def test_the_same_label_with_other_rates_is_another_setting(
    make: Any, other: Any
) -> None:
    widget = make(num_it=30)
    _run(widget, "same")
    _run(widget, "same")
    _run(widget, "same", **other)
    assert _common(widget) is None
    _run(widget, "same")
    assert _common(widget) is not None


def test_another_label_is_another_setting(make: Any) -> None:
    widget = make(num_it=30)
    for label in ("a", "b", None, "a", "b", None):
        _run(widget, label)
    assert _common(widget) is None
    _run(widget)
    assert _common(widget) is not None


def test_runs_with_other_parts_repeat_each_other_by_their_label_only(
    make: Any,
) -> None:
    widget = make(num_it=10)
    for label, trend in ((None, None), ("shuffled", "trend, shuffled")):
        for _ in range(3):
            _run(widget, label, dataloader=_shuffled())
        seen = [name for name in _drawn(widget) if "trend," in name]
        assert seen == ([] if trend is None else [trend])


def test_a_run_that_goes_on_has_no_part_in_the_common_trend(make: Any) -> None:
    gate = Gate()
    widget = make(num_it=20)
    for _ in range(2):
        _run(widget, "same")
    widget.run("same", dataloader=gate)
    gate.let(10)
    gate.await_asked(11)
    display_of(widget).view_bar.smoothing.value = 0.2  # which looks anew at all
    assert _common(widget) is None
    gate.let(10)
    widget.wait()
    assert _common(widget) is not None


def test_labels_are_text_wherever_they_are_shown(make: Any) -> None:
    widget = make(num_it=20)
    label = "<img src=x onerror=alert(1)>"
    before = set(ipywidgets_widget._instances)
    for _ in range(4):
        _run(widget, label)
    made = [
        *(ipywidgets_widget._instances[x] for x in before),
        *ipywidgets_widget._instances.values(),
    ]
    held = [
        (part, name)
        for part in set(made)
        for name in part.keys
        if "<img" in json.dumps(part.get_state(name), default=str)
    ]
    # None of these shows tags as such: the scripts of the tables set texts, and so do
    # the names in a chart.
    for part, name in held:
        assert isinstance(part, RunsTable | PointsTable) or name == "labels"
    assert len(held) > 4


# ---- the lock, and what starts under it


@pytest.fixture
def touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, list[Callable[[], object]]]]:
    """Return the path of a file, and a list of what to call when it is looked at."""
    calls: list[Callable[[], object]] = []
    read = LocalStore.read

    def looked_at(*arguments: Any) -> Any:
        for call in calls:
            call()
        return read(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "read", looked_at)
        yield tmp_path / "run.jsonl", calls


def _failing(*_arguments: object, **_options: object) -> NoReturn:
    msg = "the page is gone"
    raise ArithmeticError(msg)


@contextmanager
def _raised_by_presses(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Raise at the end what the callbacks of ipywidgets have raised inside it."""
    errors: list[BaseException] = []

    def warning(*_arguments: object, **_options: object) -> None:
        error = sys.exc_info()[1]
        assert error is not None
        errors.append(error)

    patch.setattr(get_logger(), "warning", warning)
    yield
    for error in errors:
        raise error


def _in_another_thread(call: Callable[[], object]) -> None:
    """Call something in another thread, and wait until it returns."""
    thread = threading.Thread(target=call)
    thread.start()
    thread.join(SECONDS)
    assert not thread.is_alive()


def test_a_field_reads_no_record(make: Any, touched: Any) -> None:
    path, calls = touched
    widget = make(record=path, num_it=20)

    def fail() -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    calls.append(fail)
    _field(widget, "Steps").value = 30
    display = display_of(widget)
    assert display.settings.problem.value == ""
    _field(widget, "Steps").value = 1
    assert display.settings.problem.value.startswith("Steps = 1 must be at least 2")
    _field(widget, "Steps").value = 30
    with pytest.raises(ValueError, match="cannot be a file: Input/output"):
        widget.run()
    _press(widget)
    assert widget.status.startswith(
        "Failed before the first step. ValueError: record='"
    )
    with pytest.raises(ValueError, match="cannot be a file: Input/output"):
        widget.wait()
    calls.clear()
    assert len(_run(widget)) > 5


@pytest.mark.parametrize(
    "start",
    [
        LRWidget.run,
        lambda widget: widget.compare({"a": {}, "b": {"seed": 1}}),
        lambda widget: widget.race([0.01, 0.1], 5),
        _press,
    ],
)
def test_a_record_is_read_outside_the_lock(
    make: Any, touched: Any, start: Callable[[LRWidget], object]
) -> None:
    path, calls = touched
    widget = make(record=path, num_it=20)
    picked: list[float] = []

    def pick() -> None:
        picked.append(0.01 + 1e-4 * len(picked))
        # Drawn under the lock, on a thread as those that the hands of a page come on.
        _in_another_thread(lambda: setattr(widget, "value", picked[-1]))

    calls.append(pick)
    start(widget)
    widget.wait()
    assert picked
    assert widget.value == picked[-1]


@pytest.mark.parametrize("seed", [None, "none"])
def test_a_traceback_is_read_outside_the_lock(
    make: Any, monkeypatch: pytest.MonkeyPatch, seed: str | None
) -> None:
    widget = make(_failing)
    picked: list[float] = []

    def pick(name: str | None = None) -> None:  # as `linecache.checkcache`
        picked.append(0.01 + 1e-4 * len(picked))
        _in_another_thread(lambda: setattr(widget, "value", picked[-1]))
        check(name)

    check = linecache.checkcache
    with monkeypatch.context() as patch:
        patch.setattr(linecache, "checkcache", pick)
        with suppress(TypeError):  # of the seed, before the start
            widget.run(seed=seed)
        with pytest.raises((ArithmeticError, TypeError)):
            widget.wait()
    assert picked
    assert widget.value == picked[-1]
    shown = display_of(widget).answer.status.value
    assert "Traceback (most recent call last)" in shown


class _Copied(nn.Linear):
    """A layer that says when it is copied."""

    on_copy: Callable[[], object] | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> _Copied:
        if self.on_copy is not None:
            self.on_copy()
        copy = _Copied(self.in_features, self.out_features)
        for name, parameter in self.named_parameters():
            setattr(copy, name, deepcopy(parameter, memo))
        memo[id(self)] = copy
        return copy


def _copied(on_copy: Callable[[LRWidget], object]) -> LRWidget:
    """Return a widget with something that is called while its model is copied."""
    model = _Copied(8, 1)
    optimizer = SGD(model.parameters(), lr=0.1)
    widget = LRWidget(model, optimizer, BATCHES, nn.MSELoss(), num_it=20)
    model.on_copy = lambda: _in_another_thread(lambda: on_copy(widget))
    return widget


def test_one_of_two_starts_at_once_is_refused() -> None:
    refused: list[BaseException] = []

    def run_too(widget: LRWidget) -> None:
        _press(widget)
        with pytest.raises(RuntimeError, match="is starting already") as error:
            widget.run("too")
        refused.append(error.value)

    widget = _copied(run_too)
    assert _run(widget, "first").stop_reason is not None
    assert len(refused) == 1
    assert list(widget.curves) == ["first"]
    widget.close()


def test_a_start_that_is_stopped_has_no_step() -> None:
    widget = _copied(LRWidget.stop)
    curve = _run(widget)
    assert (len(curve), curve.stop_reason) == (0, "stopped")
    widget.close()


def test_a_start_that_is_overtaken_by_the_end_of_the_widget() -> None:
    widget = _copied(LRWidget.close)
    with pytest.raises(RuntimeError, match="the widget is closed"):
        widget.run()
    assert not widget.running
    assert widget.curves == {}


@pytest.mark.parametrize("start", [LRWidget.run, _press])
@pytest.mark.parametrize(
    ("part", "method"),
    [("view_bar", "explain"), ("chart", "draw"), ("answer", "show_running")],
)
def test_what_fails_after_the_start_of_a_test_leaves_it_running(
    make: Any, monkeypatch: pytest.MonkeyPatch, start: Any, part: str, method: str
) -> None:
    gate = Gate()
    widget = make(dataloader=gate, num_it=5)
    with monkeypatch.context() as patch:
        patch.setattr(getattr(display_of(widget), part), method, _failing)
        if start is _press:
            # ipywidgets logs what a press raises.
            with pytest.raises(ArithmeticError), _raised_by_presses(patch):
                _press(widget)
        else:
            with pytest.raises(ArithmeticError):
                widget.run()
        assert widget.running
        assert widget.status == "Running: waiting for the first step."
    with pytest.raises(RuntimeError, match="a test is running already"):
        widget.run()
    gate.let(5)
    assert len(widget.wait()) == 5
    assert widget.status.startswith("Done: ")
    assert list(widget.curves) == ["run"]


def test_what_fails_after_the_start_of_several_leaves_them_running(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    widget = make(num_it=5)
    display = display_of(widget)
    with monkeypatch.context() as patch:
        patch.setattr(display.view_bar, "explain", _failing)
        patch.setattr(display.trainings, "show", _failing)
        gate = Gate()
        with pytest.raises(ArithmeticError):
            widget.compare({"a": {"dataloader": gate}, "b": {}})
    gate.let(5)
    widget.wait()
    assert [len(curve) for curve in widget.curves.values()] == [5, 5]
    with monkeypatch.context() as patch:
        patch.setattr(display.trainings, "show", _failing)
        with pytest.raises(ArithmeticError):
            widget.race([0.01, 0.1], 3)
    widget.wait()
    assert [len(curve) for curve in widget.race_curves] == [3, 3]


def test_an_interrupt_right_after_the_start_leaves_the_test_running(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    widget = make(dataloader=gate, num_it=5)
    start = jobs.Jobs.start

    def interrupted(*args: Any) -> None:
        start(*args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(jobs.Jobs, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            widget.run()
    assert widget.running
    with pytest.raises(RuntimeError, match="a test is running already"):
        widget.run()
    gate.let(5)
    assert len(widget.wait()) == 5


def test_an_interrupt_of_the_start_of_a_thread_ends_the_job(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    widget = make(dataloader=gate, num_it=5)
    started: list[threading.Thread] = []
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        if thread.name == "lrwidget":
            started.append(thread)
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            widget.run()
    assert not widget.running
    gate.let(5)
    started[0].join()
    assert len(_run(widget, dataloader=BATCHES)) == 5


class _Unreachable:
    """A loader whose length is asked for in vain from some moment on."""

    def __init__(self) -> None:
        self.lock: Any = None
        self.free: list[bool] = []

    def __iter__(self) -> Iterator[Any]:
        return iter(BATCHES)

    def __len__(self) -> int:
        if self.lock is None:
            return len(BATCHES)
        acquired = threading.Thread(target=self._note)
        acquired.start()
        acquired.join()
        msg = "no such host"
        raise OSError(msg)

    def _note(self) -> None:
        self.free.append(self.lock.acquire(blocking=False))
        if self.free[-1]:
            self.lock.release()


def test_settings_ask_the_users_loader_outside_the_lock(make: Any) -> None:
    loader = _Unreachable()
    widget = make(num_it=5, val_loader=loader)
    loader.lock = widget._controller.state.lock
    field = display_of(widget).settings._fields["num_it"]
    field.value = 7
    assert loader.free == [True]
    assert display_of(widget).settings.problem.value == ""  # the length is unknown
    assert widget._controller.state.snapshot().config.num_it == 7


def test_a_run_that_cannot_be_noted_does_not_start(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    widget = make(num_it=5)
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "with_added", _failing)
        with pytest.raises(ArithmeticError):
            widget.run()
    assert not widget.running
    with pytest.raises(ArithmeticError):
        widget.wait()
    assert widget.curves == {}
    assert len(_run(widget)) == 5


def test_a_test_without_a_thread_does_not_start(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    widget = make(num_it=5)
    _run(widget, "first")
    start = threading.Thread.start

    def refused(thread: threading.Thread) -> None:
        if thread.name == "lrwidget":
            msg = "can't start new thread"
            raise RuntimeError(msg)
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            widget.run("second", isolation="restore")
    assert widget.status.startswith(
        "Failed before the first step. RuntimeError: can't start"
    )
    with pytest.raises(RuntimeError, match="can't start new thread"):
        widget.wait()
    assert list(widget.curves) == ["first"]
    assert len(_run(widget, isolation="restore")) == 5


# ---- how curves are looked at


def test_the_view_is_that_of_all_curves(make: Any) -> None:
    widget = make(num_it=40, stop_div=False)
    for label in "ab":
        _run(widget, label)
    display = display_of(widget)
    bar = display.view_bar
    bar.hide_first.value, bar.hide_last.value = 5, 3
    bar.smoothing.value = 0.2
    bar.logarithmic.value = True
    lines = {"a": _drawn(widget)["a"], "b": display.chart.latest.trend}
    kept = display.chart.axes.kept
    for name, line in lines.items():
        curve = widget.curves[name]
        np.testing.assert_array_equal(line.x, curve.lrs[5:37])
        expected = kept(np.log10(fitted(curve, 0.2)[0, 5:37]))
        np.testing.assert_allclose(trend_of(line), expected)
    raw = display.chart.latest.raw
    np.testing.assert_allclose(raw.y, kept(np.log10(widget.curve.losses[5:37])))
    assert display.chart.overlay.logarithmic


def test_no_suggestion_depends_on_the_view(make: Any) -> None:
    widget = make()
    _run(widget)
    before = widget.value, widget.suggestions, widget.status
    bar = display_of(widget).view_bar
    bar.hide_first.value = 30
    bar.logarithmic.value = bar.everything.value = True
    bar.smoothing.value = 0.1
    bar.fastai.value = True
    assert (widget.value, widget.suggestions, widget.status) == before


def test_the_explosion_is_seen_where_that_is_wanted(make: Any) -> None:
    widget = make(stop_div=False, end_lr=100.0)
    curve = _run(widget)
    display = display_of(widget)
    scale = display.chart.axes.on_curve["y"]
    finite = curve.losses[np.isfinite(curve.losses)]
    trend = fitted(curve)[0, np.isfinite(curve.losses)]
    assert (scale.min, scale.max) == loss_limits(finite, trend)
    assert scale.max < finite.max() / 100
    display.view_bar.everything.value = True
    assert (scale.min, scale.max) == whole_limits(finite)
    display.view_bar.everything.value = False
    assert (scale.min, scale.max) == loss_limits(finite, trend)


# ---- words


def test_the_rate_is_copied_as_code(make: Any) -> None:
    widget = make()
    copy = display_of(widget).copy
    assert copy.entries == []
    widget.value = 0.014
    assert copy.entries[0] == "lr=1.4e-2"
    widget.value = None
    assert copy.entries == []


def test_status_of_a_run_from_beginning_to_end(make: Any) -> None:
    gate = Gate()
    widget = make(dataloader=gate, num_it=10, stop_div=False)
    said: list[str] = []
    bar = display_of(widget).answer
    bar.status.observe(lambda change: said.append(change["new"]), "value")
    assert widget.status.startswith("Run tries 10 learning rates from 1.0e-7 to 10 ")
    widget.run()
    assert widget.status == "Running: waiting for the first step."
    gate.let(4)
    gate.await_asked(5)
    pace = r"step 4 of 10, [\d.,]+ (steps/s|s/step), \d+ s left"
    pattern = rf"Running: {pace}\. Loss [\d.e-]+ at rate 4\.6e-5\."
    assert re.fullmatch(pattern, widget.status)
    gate.let(6)
    widget.wait()
    assert widget.status.startswith("Done")
    # all of it is shown, as text
    assert [x for x in said if "waiting for the first step" in x]
    shown = re.sub("<.*?>", "", bar.status.value)
    assert shown in html.escape(widget.status)


def test_status_of_a_run_that_diverges(make: Any) -> None:
    widget = make()
    curve = _run(widget)
    assert curve.stop_reason == "diverged"
    assert re.match(
        r"The loss falls from [\d.]+ to [\d.e-]+\. Stopped at [\d.e-]+, where training "
        r"became unstable, as expected\. [\d.e-]+ is ",
        widget.status,
    )
    curve = _run(widget, stop_div=False, end_lr=1e3)
    edge = curve.unstable_from
    assert edge is not None
    said = rf"Done\. The loss falls .* and turns unstable at about {short(edge)}\. "
    assert re.match(said, widget.status)


def test_status_of_a_run_whose_loss_has_not_risen(make: Any) -> None:
    widget = make(start_lr=1e-5, end_lr=1e-2)
    _run(widget)
    assert " The loss had not risen by the last rate, 1.0e-2. " in widget.status
    assert display_of(widget).answer.next.description == "Run up to 0.1"


def test_status_of_a_run_that_is_stopped(make: Any) -> None:
    gate = Gate()
    widget = make(dataloader=gate)
    widget.run()
    gate.let(3)
    gate.await_asked(4)
    widget.stop()
    gate.let(1)
    widget.wait()
    assert widget.status.startswith("Stopped after 4 steps, at 1.7e-7. ")


def test_a_failure_is_one_line_with_the_traceback_folded_below(make: Any) -> None:
    evil = "<img src=x onerror=alert(1)>"

    def loss_fn(_output: torch.Tensor, _target: torch.Tensor) -> torch.Tensor:
        msg = f"{evil}\nof two lines\n\nand more"
        try:
            _failing(_output, _target)
        except ArithmeticError as cause:
            raise ArithmeticError(msg) from cause

    widget = make(loss_fn)
    widget.run()
    with pytest.raises(ArithmeticError):
        widget.wait()
    line = f"Failed before the first step. ArithmeticError: {evil} of two lines"
    assert widget.status == line
    shown = display_of(widget).answer.status.value
    said, folded = shown.split("<details>")
    assert html.escape(line) in said
    assert folded.startswith("<summary>Traceback</summary>")
    for part in (
        *("Traceback (most recent call last)", "in loss_fn", "and more"),
        *("in _failing", "direct cause"),
    ):
        assert part in folded
    assert "<img" not in shown


def test_what_an_error_says_is_text_in_the_panel_and_beside_apply(make: Any) -> None:
    widget = make(value=0.01)
    _field(widget, "Seed").value = "<b>5</b>"
    display = display_of(widget)
    assert "<b>" in display.settings.problem.value
    assert type(display.settings.problem) is type(display.next_bar.said) is ipw.Label


# ---- what the page asks for


def test_files_hold_the_latest_curve(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    widget = make(num_it=20)
    for label in "ab":
        _run(widget, label)
    page = display_of(widget).save
    sent: list[Any] = []
    monkeypatch.setattr(page, "send", lambda *message: sent.append(message))
    for kind in ("json", "csv"):
        tell(page, save=kind, view=0.5)
    files = [message for message in sent if message != ({"answered": True},)]
    (answer, (as_json,)), (_, (as_csv,)) = files
    assert answer == {
        "view": 0.5,
        "name": "learning-rates.json",
        "type": "application/json",
    }
    curve = LRCurve.from_dict(json.loads(as_json))
    assert curve.to_dict() == widget.curves["b"].to_dict()
    rows = as_csv.decode().splitlines()
    assert rows[0] == "lr,loss,fit,error"
    values = np.array([row.split(",") for row in rows[1:]], float)
    np.testing.assert_array_equal(values, curve.to_pandas())


def test_the_page_knows_what_is_in_the_chart(make: Any) -> None:
    widget = make(num_it=20)
    for label in "abc":
        _run(widget, label, end_lr=100.0)
    display = display_of(widget)
    display.strip.everything.click()
    assert display.page.bounds == display.chart.axes.range == (1e-7, 100.0)
    overlay = display.chart.overlay
    assert [line.labels[0] for line in overlay.others] == ["a", "b"]
    assert overlay.latest.labels == ["c"] * 3
    widget.remove("a")
    assert [line.labels[0] for line in overlay.others] == ["b"]


def test_nothing_starts_before_the_end_is_seen(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    widget = make(num_it=60)
    bar = display_of(widget).view_bar
    explain, started = bar.explain, threading.Event()
    pressing: list[threading.Thread] = []
    ending: list[threading.Thread] = []

    def run_again() -> None:
        widget.run("next", dataloader=gate)
        started.set()

    def show_and_press(**shown: bool) -> None:
        explain(**shown)
        ended = widget.curve.stop_reason is not None and not widget.running
        if ended and not pressing:
            ending.append(threading.current_thread())
            pressing.append(threading.Thread(target=run_again))
            pressing[0].start()
            assert not started.wait(0.1)

    monkeypatch.setattr(bar, "explain", show_and_press)
    widget.run("first")
    assert started.wait(SECONDS)
    pressing[0].join()
    widget.stop()
    gate.let(1)
    widget.wait()
    ending[0].join()
    assert widget.value == rounded(widget.curves["first"].suggest())


def test_numbers_of_numpy_are_rates(make: Any) -> None:
    widget = make(start_lr=np.float32(1e-5), end_lr=np.float32(1.0), num_it=20)
    assert display_of(widget).settings.values["start_lr"] == np.float32(1e-5)
    curve = _run(widget)
    assert curve.lrs[0] == np.float32(1e-5)
    assert list(widget.curves) == ["run"]


def test_a_run_that_fails_at_once_leaves_the_curve(make: Any) -> None:
    widget = make(num_it=60)
    curve = _run(widget, "good")

    def fail(_model: object, _batch: object) -> None:
        msg = "no such layer " * 100
        raise ValueError(msg)

    with pytest.raises(ValueError, match="no such layer"):
        _run(widget, "typo", training_step=fail, loss_fn=None)
    assert widget.curve.to_dict() == curve.to_dict()
    assert list(widget.curves) == ["good"]
    assert widget.status.startswith(
        "Failed before the first step. ValueError: no such layer"
    )
    assert widget.status.endswith("...")
    assert len(widget.status) < 320
    assert len(repr(widget)) < 150


def test_a_press_that_comes_after_the_end_starts_nothing(make: Any) -> None:
    widget = make()
    button = display_of(widget).answer.button
    widget.close()
    button.click()
    assert widget.curves == {}
    assert not widget.running
    with pytest.raises(RuntimeError, match="the widget is closed"):
        widget.run()


def test_a_run_that_outlasts_its_widget_ends_quietly(make: Any) -> None:
    gate = Gate()
    widget = make(dataloader=gate)
    widget.run()
    gate.await_asked(1)
    controller = widget._controller
    controller.state.closed = True  # as by close(), which waits a few seconds for it
    widget.stop()
    gate.let(1)
    assert widget.wait().stop_reason == "stopped"
    assert controller.state.job is not None
    assert controller.state.job.error is None


def test_an_observer_may_wait_at_the_end(make: Any) -> None:
    widget = make(num_it=60)
    seen: list[Any] = []
    widget.observe(lambda _: seen.append(widget.wait()), "value")
    curve = _run(widget)
    assert seen[0].to_dict() == curve.to_dict()


def test_a_rule_that_is_chosen_during_a_race_moves_the_handle(make: Any) -> None:
    gate = Gate()
    gate.let(60)
    widget = make(dataloader=gate, num_it=60)
    _run(widget)
    assert widget.suggestions["minimum"] != widget.value
    widget.race([0.01, 0.1], 2)
    widget.rule = "minimum"
    assert widget.value == rounded(widget.suggestions["minimum"])
    gate.let(4)
    widget.wait()
    assert widget.value == rounded(widget.suggestions["minimum"])


def test_the_worker_leaves_what_the_user_handles_alone(make: Any) -> None:
    gate = Gate()
    widget = make(num_it=20, value=0.1)
    _run(widget)
    widget.run(dataloader=gate)
    display = display_of(widget)
    chart, bar, panel = display.chart, display.view_bar, display.settings
    controls = [
        *(chart.handle.dot, display.pick_bar.field, display.answer.button),
        bar.smoothing,
        *(bar.logarithmic, bar.everything, bar.fastai),
        *(display.strip.brush, display.strip.everything, display.strip.again),
        display.undo_button,
        *panel.children[:-1],
    ]
    written: list[Any] = []
    drawn = threading.Event()
    chart.latest.raw.observe(lambda _: drawn.set(), "y")
    for control in controls:
        control.observe(written.append)
    gate.let(8)
    gate.await_asked(9)
    assert drawn.wait(SECONDS)
    assert written == []
    gate.let(12)
    widget.wait()


def test_settings_runs_and_the_worker_meet_without_a_collision(make: Any) -> None:
    """Set, hide, remove and read from several threads while a test is drawn."""
    widget = make(num_it=20)
    for label in "abcd":
        _run(widget, label)
    widget.run("e", num_it=800, stop_div=False)
    errors: list[BaseException] = []

    def use(number: int) -> None:
        try:
            turn = 0
            while widget.running:
                turn += 1
                _field(widget, "To").value = 10.0 ** (1 + (number + turn) % 2)
                hidden = bool((number + turn) % 2)
                _hand(widget, do="hide", name="d", on=hidden)
                _hand(widget, do="open", name="de"[turn % 2])
                if number == 0 and turn < 4:
                    widget.remove("abc"[turn - 1])
                assert set("de") <= set(widget.curves) <= set("abcde")
                assert widget.status
        except BaseException as error:  # noqa: BLE001 (raised below)
            errors.append(error)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    widget.wait()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(widget.curve) == 800
    _hand(widget, do="hide", name="d", on=False)
    _hand(widget, do="open", name="e")
    assert "d" in _drawn(widget)


def test_the_model_stays_as_it_is(make: Any) -> None:
    widget = make(num_it=20)
    model: nn.Module = arguments_of(widget)["model"]
    before = [parameter.clone() for parameter in model.parameters()]
    for changes in ({}, {"isolation": "restore"}, {"seed": 5}):
        _run(widget, **changes)
    for parameter, kept in zip(model.parameters(), before, strict=True):
        assert torch.equal(parameter, kept)
