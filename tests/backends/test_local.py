from __future__ import annotations

import threading
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.optim import SGD

from lrwidget.backends.base import Activity, Capabilities
from lrwidget.backends.local import LocalBackend
from lrwidget.config import SETTINGS, TestConfig
from lrwidget.curve.history import Ended, JobHistory, Plan, Started, Stepped
from tests.widget_parts import BATCHES, SECONDS, Gate, parts, two_groups

if TYPE_CHECKING:
    from collections.abc import Iterable


def _backend(**settings: Any) -> LocalBackend:
    model, optimizer = parts()
    arguments = {"model": model, "optimizer": optimizer, "dataloader": BATCHES}
    return LocalBackend({**arguments, "loss_fn": nn.MSELoss(), **settings})


def _kinds(events: Iterable[object]) -> list[str]:
    return [type(event).__name__ for event in events]


def test_the_defaults_are_those_of_the_test() -> None:
    backend = _backend()
    assert backend.config == TestConfig()
    assert {name: backend.arguments[name] for name in SETTINGS} == (
        TestConfig().settings()
    )


def test_a_test_has_the_arguments_and_its_own_changes() -> None:
    backend = _backend(num_it=20, end_lr=1.0)
    for changes in ({}, {"num_it": 30, "start_lr": 1e-3}, {}):
        expected: Any = {"start_lr": 1e-7, "end_lr": 1.0, "num_it": 20, **changes}
        (plan,) = backend.test(changes).plans
        assert plan == Plan(**expected)
        assert list(islice(backend.test(changes).events(), 1)) == [Started(0, plan)]


def test_a_bad_change_is_named() -> None:
    with pytest.raises(ValueError, match="num_it=1 must be at least 2"):
        _backend().test({"num_it": 1})
    with pytest.raises(TypeError, match="'lr'"):
        _backend().test({"lr": 0.1})
    with pytest.raises(ValueError, match="num_it=1 must be at least 2"):
        _backend().compare([{}, {"num_it": 1}])


def test_the_events_of_a_comparison_and_of_a_race() -> None:
    backend = _backend(num_it=3, stop_div=False, end_lr=1e-3)
    compared = backend.compare([{}, {"num_it": 2}])
    raced = backend.race({}, [1e-3, 1e-2], 2)
    assert raced.plans == [Plan(1e-3, 1e-3, 2), Plan(1e-2, 1e-2, 2)]
    for job, lengths in ((compared, [3, 2]), (raced, [2, 2])):
        events = list(job.events())
        history = JobHistory(job.plans)
        for event in events:
            history.apply(event)
        assert [len(run) for run in history.runs] == lengths
        assert [run.stop_reason for run in history.runs] == ["completed"] * 2
        assert [x for x in events if not isinstance(x, Stepped)] == [
            Started(0, job.plans[0]),
            Ended(0, "completed"),
            Started(1, job.plans[1]),
            Ended(1, "completed"),
        ]


@pytest.mark.parametrize("end", ["stop", "abandon"])
def test_a_job_that_is_stopped_gives_no_more_events_and_frees_the_model(
    end: str,
) -> None:
    backend = _backend(isolation="restore")
    weight = backend.arguments["model"].weight
    before = weight.detach().clone()
    job = backend.test({"start_lr": 0.1})
    events = job.events()
    assert _kinds(islice(events, 3)) == ["Started", "Stepped", "Stepped"]
    assert not torch.equal(weight, before)
    for _ in range(2):
        getattr(job, end)()
    assert list(events) == []
    assert torch.equal(weight, before)
    assert backend.apply_rate(0.5) == "SGD now has lr=0.5"  # no test is in the way


def test_what_keeps_a_job_from_starting_is_raised_at_once() -> None:
    backend = _backend(isolation="restore")
    first = backend.test({})
    events = first.events()
    assert _kinds(islice(events, 2)) == ["Started", "Stepped"]
    second = backend.test({})
    message = "training this model itself at the moment"
    with pytest.raises(RuntimeError, match=message):
        second.events()
    with pytest.raises(RuntimeError, match=message):
        backend.apply_rate(0.5)
    first.stop()
    assert list(events) == []
    assert backend.apply_rate(0.5) == "SGD now has lr=0.5"


def test_a_loader_that_is_waited_for_is_named() -> None:
    gate = Gate()
    job = _backend(dataloader=gate).test({})
    assert job.activity() == Activity("running")
    taken: list[object] = []
    thread = threading.Thread(target=lambda: taken.extend(job.events()), daemon=True)
    thread.start()
    gate.await_asked(1)
    assert job.activity() == Activity("waiting", detail="dataloader=<Gate>")
    job.stop()
    gate.let(1)
    thread.join(SECONDS)
    assert not thread.is_alive()
    assert job.activity() == Activity("stopping")
    assert _kinds(taken) == ["Started", "Stepped"]


def test_activity_and_capabilities() -> None:
    backend = _backend()
    assert backend.test({}).activity() == Activity("running")
    assert backend.test({}).goes_on is False
    assert backend.capabilities == Capabilities(optimizer="SGD")
    validated = _backend(val_loader=BATCHES)
    assert validated.capabilities.loss_name == "validation loss"


def test_the_rate_of_each_group_keeps_its_ratio() -> None:
    model, optimizer = two_groups()
    backend = _backend(model=model, optimizer=optimizer)
    assert backend.rate_ratios() == pytest.approx([0.1, 1.0])
    assert backend.apply_rate(0.5) == "SGD now has lr=5.0e-2, 0.5 in its groups"
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == pytest.approx([0.05, 0.5])


def test_a_rate_is_written_to_each_of_several_optimizers() -> None:
    model, optimizer = two_groups()
    first, last = (
        SGD(group["params"], group["lr"]) for group in optimizer.param_groups
    )
    backend = _backend(model=model, optimizer=(first, last))
    assert backend.rate_ratios() == pytest.approx([0.1, 1.0])
    write_back = backend.saved_rates()
    said = backend.apply_rate(0.5)
    assert said == "SGD now has lr=5.0e-2, 0.5 in its groups"
    rates = [x.param_groups[0]["lr"] for x in (first, last)]
    assert rates == pytest.approx([0.05, 0.5])
    write_back()
    assert [x.param_groups[0]["lr"] for x in (first, last)] == [0.01, 0.1]


def test_a_rate_that_a_framework_takes_from_elsewhere() -> None:
    written: list[float] = []

    def write(rate: float) -> str:
        written.append(rate)
        return "there"

    model, optimizer = parts()
    arguments = {"model": model, "optimizer": optimizer, "dataloader": BATCHES}
    arguments["loss_fn"] = nn.MSELoss()
    backend = LocalBackend(arguments, write, save_rates=lambda: written.clear)
    write_back = backend.saved_rates()
    assert backend.apply_rate(0.5) == "there is now 0.5"
    assert written == [0.5]
    write_back()
    assert written == []
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_a_thread_has_the_settings_of_the_maker() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        backend = _backend()
    assert not torch.is_autocast_enabled("cpu")
    with backend.as_made():
        assert torch.is_autocast_enabled("cpu")
    assert not torch.is_autocast_enabled("cpu")
