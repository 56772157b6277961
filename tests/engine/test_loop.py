from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.optim import SGD

from lrwidget.engine.loop import _grouped, _repeated, _Sweep, _windows
from lrwidget.engine.stepping import StepSkippedError
from lrwidget.engine.thread_settings import ThreadSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

_RATES = [0.1, 0.2, 0.4]


def _skipped(loss: float | None) -> StepSkippedError:
    return StepSkippedError(None if loss is None else torch.tensor(loss))


class _Script:
    """What a sweep is made of, with steps that come out as they are told."""

    def __init__(self, *taken: float | StepSkippedError, batches: int = 999) -> None:
        self.optimizer = SGD(nn.Linear(1, 1).parameters(), lr=1.0)
        self.taken = list(taken)
        self.batches = iter(range(batches))
        self.used: list[tuple[float, list[int]]] = []
        self.train_losses: list[float] = []

    def step(self, batches: Sequence[int]) -> torch.Tensor:
        self.used.append((self.optimizer.param_groups[0]["lr"], list(batches)))
        taken = self.taken.pop(0) if len(self.taken) > 1 else self.taken[0]
        if isinstance(taken, StepSkippedError):
            raise taken
        return torch.tensor(taken)

    def run(
        self,
        *,
        accumulate: int = 1,
        steps_per_lr: int = 1,
        validation_loss: Any = None,
        **settings: Any,
    ) -> tuple[list[tuple[float, float]], Any]:
        taken = _windows(self.batches, accumulate)
        settings = {"patience": 100, **settings}
        sweep = _Sweep(
            self.optimizer,
            [1.0],
            self.step,
            self.step,
            taken,
            ThreadSettings(),
            **settings,
        )
        points = sweep.over(_repeated(_RATES, steps_per_lr))
        if steps_per_lr > 1 or validation_loss:
            points = _grouped(points, steps_per_lr, validation_loss, self.train_losses)
        found = []
        try:
            while True:
                lr, loss = next(points)
                found.append((lr, loss.item()))
        except StopIteration as end:
            return found, end.value


def test_a_step_for_each_rate() -> None:
    script = _Script(3, 2, 1)
    points, reason = script.run()
    assert points == [(0.1, 3), (0.2, 2), (0.4, 1)]
    assert script.used == [(0.1, [0]), (0.2, [1]), (0.4, [2])]
    assert reason == "completed"


def test_accumulation_takes_some_batches_a_step() -> None:
    script = _Script(1)
    script.run(accumulate=2)
    assert script.used == [(0.1, [0, 1]), (0.2, [2, 3]), (0.4, [4, 5])]


def test_a_last_step_of_fewer_batches() -> None:
    script = _Script(1, batches=3)
    points, reason = script.run(accumulate=2)
    assert [batches for _, batches in script.used] == [[0, 1], [2]]
    assert (len(points), reason) == (2, "exhausted")


def test_several_steps_a_rate_are_one_point() -> None:
    script = _Script(1.0, 3.0, 5.0, 9.0, 2.0, 4.0)
    points, reason = script.run(steps_per_lr=2)
    assert points == [(0.1, 2), (0.2, 7), (0.4, 3)]
    assert [lr for lr, _ in script.used] == [0.1, 0.1, 0.2, 0.2, 0.4, 0.4]
    assert reason == "completed"


def test_the_steps_before_the_batches_end_are_kept() -> None:
    points, reason = _Script(1.0, 3.0, 5.0, batches=3).run(steps_per_lr=2)
    assert [loss for _, loss in points] == [2, 5]
    assert reason == "exhausted"


def test_skipped_steps_are_not_recorded_and_do_not_advance_the_rate() -> None:
    script = _Script(1, _skipped(1), _skipped(1), 2, 3)
    points, reason = script.run(patience=10)
    assert points == [(0.1, 1), (0.2, 2), (0.4, 3)]
    assert [lr for lr, _ in script.used] == [0.1, 0.2, 0.2, 0.2, 0.4]
    assert reason == "completed"


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_skipped_steps_of_a_broken_loss_end_the_test(loss: float) -> None:
    script = _Script(1, _skipped(loss))
    points, reason = script.run(patience=10)
    assert (len(points), reason, len(script.used)) == (1, "non_finite", 11)


def test_only_broken_losses_in_a_row_count() -> None:
    pattern = [*[_skipped(math.inf)] * 9, _skipped(1.0)]
    script = _Script(1, *pattern * 2, 2, 3)
    points, reason = script.run(patience=10)
    assert [loss for _, loss in points] == [1, 2, 3]
    assert reason == "completed"


def test_endless_skipped_steps_end_the_test() -> None:
    script = _Script(1, _skipped(math.nan))
    points, reason = script.run()
    assert (len(points), reason, len(script.used)) == (1, "non_finite", 101)


def test_batches_without_a_loss_for_ever_are_an_error() -> None:
    with pytest.raises(RuntimeError, match=r"100 steps in a row .* have no loss"):
        _Script(_skipped(None)).run()


def test_a_broken_loss_at_one_of_several_steps() -> None:
    points, _ = _Script(1.0, math.nan, 1.0).run(steps_per_lr=2)
    assert math.isnan(points[0][1])


def test_the_validation_loss_is_the_loss() -> None:
    losses = iter([5.0, 4.0, 3.0])
    script = _Script(1.0, 3.0, 5.0, 9.0, 2.0, 4.0)
    points, _ = script.run(steps_per_lr=2, validation_loss=lambda: next(losses))
    assert [loss for _, loss in points] == [5, 4, 3]
    assert script.train_losses == [2, 7, 3]


def test_a_broken_loss_needs_no_validation() -> None:
    points, _ = _Script(math.inf).run(validation_loss=lambda: 1.0)
    assert points == [(lr, math.inf) for lr in _RATES]


def test_the_first_step_is_done_until_it_is_not_skipped() -> None:
    script = _Script(1)
    done: list[str] = []

    def first(_batches: Sequence[int]) -> torch.Tensor:
        done.append("first")
        if len(done) == 1:
            raise _skipped(None)
        return torch.tensor(2.0)

    batches = _windows(script.batches, 1)
    sweep = _Sweep(
        script.optimizer, [1.0], first, script.step, batches, ThreadSettings(), 9
    )
    assert [loss.item() for _, loss in sweep.over(_RATES)] == [2, 1, 1]
    assert done == ["first", "first"]
