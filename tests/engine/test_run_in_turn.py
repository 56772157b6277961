from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from lrwidget.curve.history import Ended, Event, Started, Stepped
from lrwidget.engine.race import run_in_turn
from lrwidget.engine.range_test import RangeTest
from tests.engine.training_parts import state
from tests.widget_parts import BATCHES, parts

if TYPE_CHECKING:
    from collections.abc import Generator


def _tests(*settings: dict[str, Any]) -> tuple[list[RangeTest], Any]:
    model, optimizer = parts()
    made = [
        RangeTest(model, optimizer, BATCHES, nn.MSELoss(), **each) for each in settings
    ]
    return made, (model, optimizer)


def _events(tests: list[RangeTest]) -> Generator[Event, None, None]:
    """Start tests that run in turn."""
    return run_in_turn(tests, [test.config.plan for test in tests])


def test_each_is_the_test_alone() -> None:
    tests, trained = _tests({"num_it": 5}, {"num_it": 8, "end_lr": 1e-2})
    before = state(*trained)
    found = list(_events(tests))
    expected: list[Event] = []
    for number, test in enumerate(tests):
        expected.append(Started(number, test.config.plan))
        expected += [Stepped(number, step) for step in test]
        expected.append(Ended(number, "completed"))
    assert found == expected
    assert state(*trained) == before


def test_an_early_end_restores_everything() -> None:
    tests, trained = _tests(*[{"num_it": 4, "isolation": "restore"}] * 2)
    before = state(*trained)
    items = _events(tests)
    assert [next(items).run for _ in range(8)] == [0] * 6 + [1] * 2
    items.close()
    assert state(*trained) == before


def test_an_error_at_the_start_of_the_first_is_raised_at_once() -> None:
    tests, trained = _tests({"isolation": "restore"})
    model, optimizer = trained
    test = RangeTest(model, optimizer, BATCHES, nn.MSELoss(), isolation="restore")
    other = iter(test)
    next(other)
    with pytest.raises(RuntimeError, match="training this model itself"):
        _events(tests)
    other.close()


def test_each_takes_the_settings_of_the_thread_that_began() -> None:
    dtypes: list[torch.dtype] = []

    def loss_fn(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        dtypes.append(outputs.dtype)
        return nn.functional.mse_loss(outputs.float(), targets)

    model, optimizer = parts()
    tests = [RangeTest(model, optimizer, BATCHES, loss_fn, num_it=2) for _ in range(2)]
    with torch.autocast("cpu", torch.bfloat16):
        items = _events(tests)
    steps = [event for event in items if isinstance(event, Stepped)]
    assert len(steps) == 4
    assert dtypes == [torch.bfloat16] * 4
