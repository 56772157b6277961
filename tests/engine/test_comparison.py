from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from lrwidget.curve.history import Part
from lrwidget.curve.lr_curve import Step
from lrwidget.engine.comparison import Comparison
from lrwidget.engine.range_test import RangeTest
from tests.engine.training_parts import state
from tests.widget_parts import BATCHES, parts

if TYPE_CHECKING:
    from collections.abc import Iterator


def _tests(*settings: dict[str, Any]) -> tuple[list[RangeTest], Any]:
    model, optimizer = parts()
    made = [
        RangeTest(model, optimizer, BATCHES, nn.MSELoss(), **each) for each in settings
    ]
    return made, (model, optimizer)


def test_each_is_the_test_alone() -> None:
    tests, trained = _tests({"num_it": 5}, {"num_it": 8, "end_lr": 1e-2})
    before = state(*trained)
    found = list(Comparison(tests))
    expected: list[Part] = []
    for number, test in enumerate(tests):
        expected += [Part(number, step) for step in test]
        expected.append(Part(number, "completed"))
    assert found == expected
    assert state(*trained) == before


def test_who_leaves_it_has_all_as_before() -> None:
    tests, trained = _tests(*[{"num_it": 4, "isolation": "restore"}] * 2)
    before = state(*trained)
    items = iter(Comparison(tests))
    assert [next(items).number for _ in range(6)] == [0] * 5 + [1]
    items.close()
    assert state(*trained) == before


def test_what_keeps_the_first_from_starting_is_raised_at_once() -> None:
    tests, trained = _tests({"isolation": "restore"})
    model, optimizer = trained
    test = RangeTest(model, optimizer, BATCHES, nn.MSELoss(), isolation="restore")
    other = iter(test)
    next(other)
    with pytest.raises(RuntimeError, match="training this model itself"):
        iter(Comparison(tests))
    other.close()


def test_each_takes_the_settings_of_the_thread_that_began() -> None:
    dtypes: list[torch.dtype] = []

    def loss_fn(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        dtypes.append(outputs.dtype)
        return nn.functional.mse_loss(outputs.float(), targets)

    model, optimizer = parts()
    tests = [RangeTest(model, optimizer, BATCHES, loss_fn, num_it=2) for _ in range(2)]
    with torch.autocast("cpu", torch.bfloat16):
        items = iter(Comparison(tests))
    steps = [part for part in items if isinstance(part.item, Step)]
    assert len(steps) == 4
    assert dtypes == [torch.bfloat16] * 4


def test_it_tells_what_the_present_one_waits_for() -> None:
    model, optimizer = parts()
    noted: list[tuple[str | None, list[str | None]]] = []

    class Noting:
        def __iter__(self) -> Iterator[Any]:
            for batch in BATCHES:
                each = [test.waiting_for for test in comparison.tests]
                noted.append((comparison.waiting_for, each))
                yield batch

    comparison = Comparison(
        [
            RangeTest(model, optimizer, Noting(), nn.MSELoss(), num_it=2)
            for _ in range(2)
        ]
    )
    for _ in comparison:
        pass
    assert [each.index(now) for now, each in noted] == [0] * 2 + [1] * 2
    assert all(now is not None for now, _ in noted)
