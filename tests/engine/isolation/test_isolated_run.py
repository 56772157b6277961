from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD

from lrwidget.curve.lr_curve import Step
from lrwidget.engine.distributed.context import DistributedContext
from lrwidget.engine.range_test import RangeTest
from lrwidget.engine.thread_settings import ThreadSettings
from tests.engine.training_parts import loader, state


def _test(**settings: Any) -> tuple[RangeTest, list[Any]]:
    model = nn.Linear(8, 3)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    batches = loader(generator=torch.Generator())
    test = RangeTest(model, optimizer, batches, nn.CrossEntropyLoss(), **settings)
    return test, [model, optimizer, batches]


@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_one_rate_all_the_time(isolation: Any) -> None:
    test, parts = _test(isolation=isolation, steps_per_lr=3)
    before = state(*parts)
    run = test.at(0.1, 4)
    steps = run.start(ThreadSettings(), DistributedContext())
    assert [step.lr for step in steps if isinstance(step, Step)] == [0.1] * 4
    assert state(*parts) == before


def test_runs_of_one_original_come_one_after_the_other() -> None:
    test, _ = _test(isolation="restore")
    run = test.at(0.1, 2)
    first, second = (
        run.start(ThreadSettings(), DistributedContext()),
        run.start(ThreadSettings(), DistributedContext()),
    )
    next(first)
    with pytest.raises(RuntimeError, match="training this model itself at the moment"):
        next(second)
    with pytest.raises(RuntimeError, match="training this model itself at the moment"):
        run.start(ThreadSettings(), DistributedContext())
    first.close()
    run.check_free()
    assert len(list(run.start(ThreadSettings(), DistributedContext()))) == 2


@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_a_run_that_takes_no_step_seeds_nothing(isolation: Any) -> None:
    test, parts = _test(isolation=isolation, seed=5)
    before = state(*parts)
    steps = test.at(0.1, 2).start(ThreadSettings(), DistributedContext())
    assert state(*parts) == before
    steps.close()
    assert state(*parts) == before


def test_runs_of_copies_come_at_one_time() -> None:
    test, _ = _test(isolation="copy")
    run = test.at(0.1, 2)
    first, second = (
        run.start(ThreadSettings(), DistributedContext()),
        run.start(ThreadSettings(), DistributedContext()),
    )
    assert len(list(zip(first, second, strict=True))) == 2
