from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch

from benchmarks.tasks import OTHER_SCALES, TASKS

if TYPE_CHECKING:
    from benchmarks.training import Task

pytestmark = pytest.mark.exhaustive


@pytest.mark.parametrize("task", [*TASKS, *OTHER_SCALES], ids=lambda task: task.name)
def test_a_seed_tells_all(task: Task) -> None:
    first, second, other = task.start(1), task.start(1), task.start(2)
    assert first.val_loss() == second.val_loss()
    assert math.isfinite(first.val_loss())
    batches = [next(iter(training.dataloader)) for training in (first, other)]
    assert len(batches[0][0]) == task.batch_size
    assert not torch.equal(batches[0][0], batches[1][0])


def test_training_lowers_the_loss_of_what_is_not_trained_on() -> None:
    (task,) = (task for task in TASKS if task.name == "wines MLP, RMSprop")
    training = task.start(1)
    before = training.val_loss()
    assert task.train(training, 1e-3) < 0.2 * before
    assert math.isnan(task.train(task.start(1), 1e30))
