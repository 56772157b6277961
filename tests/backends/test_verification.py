from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from lrwidget import LRCurve, verify
from lrwidget.backends.local import LocalBackend
from lrwidget.backends.verification import VerificationJob
from lrwidget.curve.history import Ended, Plan, Started, Stepped, Validated
from tests.curves import LRS
from tests.engine.training_parts import data, loader, state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lrwidget.curve.history import Event

_CURVE = LRCurve(LRS, np.where(LRS > 0.1, 9.0, 2.0) - np.minimum(LRS, 0.1))


def _backend(total_steps: int | None = None, **settings: Any) -> LocalBackend:
    model = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.1), nn.Linear(8, 3))
    arguments = {
        "model": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
        "dataloader": loader(),
        "loss_fn": nn.CrossEntropyLoss(),
        "val_loader": [data(20)[:]],
        "num_it": 40,
    }
    return LocalBackend({**arguments, **settings}, None, total_steps)


def _taken(job: VerificationJob) -> Iterator[Event]:
    """Yield the events of a job, each after it is in the history."""
    for event in job.events():
        job.history.apply(event)
        yield event


@pytest.mark.parametrize("curve", [None, _CURVE])
def test_a_job_is_the_verification_without_a_widget(curve: LRCurve | None) -> None:
    backend = _backend()
    job = VerificationJob(backend, {"num_it": 50}, curve, 300)
    events = list(_taken(job))
    expected = verify(
        **{**backend.arguments, "num_it": 50}, curve=curve, total_steps=300
    )
    found = job.history.verification()
    assert (found.lr, found.verdict) == (expected.lr, expected.verdict)
    assert found.curve.losses.tolist() == expected.curve.losses.tolist()
    for lane, other in zip(found.lanes, expected.lanes, strict=True):
        assert lane.losses.tolist() == other.losses.tolist()
        assert lane.val_losses.tolist() == other.val_losses.tolist()
    lanes = [Plan(rate, rate, 60) for rate in job.history.rates]
    plans = [Plan(LRS[0], LRS[-1], 50), *lanes] if curve is None else lanes
    first = 0 if curve is None else 1
    assert [x for x in events if isinstance(x, Started)] == [
        Started(run, plan) for run, plan in enumerate(plans, first)
    ]
    assert len(job.history) == job.history.num_it
    assert job.plans == ([plans[0]] if curve is None else [None]) + [None] * 5


def test_the_total_of_the_back_end_unless_one_is_given() -> None:
    backend = _backend(2000)
    assert VerificationJob(backend, {}).history.steps == 200
    assert VerificationJob(backend, {}, None, 1000).history.steps == 100
    assert VerificationJob(_backend(), {}).history.steps == 100


@pytest.mark.parametrize("end", ["stop", "abandon", "close"])
@pytest.mark.parametrize(
    ("run", "kind"), [(0, Stepped), (0, Ended), (1, Validated), (3, Stepped)]
)
def test_a_stop_frees_the_model(end: str, run: int, kind: type) -> None:
    backend = _backend(isolation="restore")
    arguments = backend.arguments
    parts = arguments["model"], arguments["optimizer"], arguments["dataloader"]
    before = state(*parts)
    job = VerificationJob(backend, {}, None, 30)
    events = _taken(job)
    next(x for x in events if x.run == run and isinstance(x, kind))
    getattr(events if end == "close" else job, end)()
    done = len(job.history)
    assert list(events) == []
    assert len(job.history) == done
    assert state(*parts) == before
    assert backend.apply_rate(0.5) == "SGD now has lr=0.5"
    if run == 3:
        assert "ended early" in job.history.verification().verdict


def test_the_lanes_have_the_settings_of_the_thread_that_began() -> None:
    dtypes: set[torch.dtype] = set()

    def loss_fn(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        dtypes.add(outputs.dtype)
        return nn.functional.cross_entropy(outputs.float(), targets)

    job = VerificationJob(_backend(loss_fn=loss_fn), {}, None, 30)
    with torch.autocast("cpu", torch.bfloat16):
        events = job.events()
    for event in events:
        job.history.apply(event)
    assert dtypes == {torch.bfloat16}
    assert len(job.history.curves()) == 5


def test_notices_and_activity() -> None:
    backend = _backend(total_steps=30)
    backend.arguments["model"][1].eval()
    job = VerificationJob(backend, {})
    assert job.activity().phase == "running"
    list(_taken(job))
    (notice,) = job.notices
    assert "1 module (Dropout) was in eval mode" in notice


@pytest.mark.parametrize(
    ("changes", "arguments", "error", "message"),
    [
        ({}, {"total_steps": -1}, ValueError, "total_steps=-1 must be at least 1"),
        ({}, {"curve": "x"}, TypeError, "curve='x' must be an LRCurve"),
        ({"num_it": 1}, {}, ValueError, "num_it=1 must be at least 2"),
        ({"val_loader": []}, {}, ValueError, r"val_loader=\[\] is empty"),
        ({"dataloader": iter([1])}, {}, ValueError, "dataloader=.* is an iterator"),
    ],
)
def test_bad_arguments_are_named_at_once(
    changes: Any, arguments: Any, error: Any, message: str
) -> None:
    with pytest.raises(error, match=message):
        VerificationJob(_backend(), changes, **arguments)
