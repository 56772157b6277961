from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from ray import cloudpickle

from lrwidget.backends.ray import worker
from lrwidget.backends.ray.errors import Failure
from lrwidget.backends.ray.worker import Work
from lrwidget.curve.history import JobHistory, Plan
from tests.backends.ray.builds import OwnError, build, data, unbuildable, validated

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


def test_a_step_has_the_training_loss_beside_that_of_its_validation() -> None:
    sent: list[Any] = []
    settings = {"num_it": 5, "start_lr": 1e-3, "end_lr": 0.01, "stop_div": False}
    pickled = cloudpickle.dumps(validated), cloudpickle.dumps(settings)
    work = Work(0, "worker 0", Plan(1e-3, 0.01, 5), *pickled, 0, use_gpu=False)
    worker._train(work, "worker 0", sent.append)
    history = JobHistory([None])
    for event in cloudpickle.loads(cloudpickle.dumps(sent)):
        history.apply(event)
    curve = history.runs[0].curve()
    model, optimizer, batches, loss_fn = build()
    inputs, targets = data()[:]
    trained, held_out = [], []
    for lr, (x, y) in zip(np.geomspace(1e-3, 0.01, 5).tolist(), batches, strict=False):
        optimizer.param_groups[0]["lr"] = lr
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        trained.append(loss.item())
        held_out.append(loss_fn(model(inputs), targets).item())
    assert curve.train_losses is not None
    np.testing.assert_allclose(curve.train_losses, trained)
    np.testing.assert_allclose(curve.losses, held_out)


def test_an_error_is_sent_before_the_process_group_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[Any] = []
    sent_before_the_end: list[Any] = []

    @contextmanager
    def group(_work: Work) -> Iterator[None]:
        try:
            yield
        finally:
            sent_before_the_end.extend(sent)  # the end of a group may block

    monkeypatch.setattr(worker, "_process_group", group)
    pickled = cloudpickle.dumps(unbuildable), cloudpickle.dumps({})
    work = Work(0, "worker 0", Plan(0.1, 1.0, 5), *pickled, 0, use_gpu=False)
    worker._train(work, "worker 0", sent.append)
    (failure,) = sent_before_the_end
    assert sent == sent_before_the_end
    assert isinstance(failure, Failure)
    assert isinstance(failure.error(), OwnError)
