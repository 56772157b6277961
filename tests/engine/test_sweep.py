from __future__ import annotations

import math
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.optim import SGD

from lrwidget.engine.stepping import Taken
from lrwidget.engine.stopping import StopRule
from lrwidget.engine.sweep import Sweep

if TYPE_CHECKING:
    from lrwidget.curve.record import Step

_RATES = [0.1, 0.2, 0.4]


class _Script:
    """What a sweep is made of, with steps that come out as they are told."""

    def __init__(self, *taken: Any, batches: int = 999) -> None:
        self.optimizer = SGD(nn.Linear(1, 1).parameters(), lr=1.0)
        self.taken = [t if isinstance(t, Taken) else Taken(float(t)) for t in taken]
        self.batches = iter(range(batches))
        self.used: list[tuple[float, list[int]]] = []

    def step(self, batches: list[Any]) -> Taken:
        self.used.append((self.optimizer.param_groups[0]["lr"], batches))
        return self.taken.pop(0) if len(self.taken) > 1 else self.taken[0]

    def run(self, **settings: Any) -> tuple[list[Step], Any]:
        settings = {"rule": None, **settings}
        sweep = Sweep(
            self.optimizer, self.step, self.batches, entered=nullcontext, **settings
        )
        steps: list[Step] = []
        generator = sweep.over(_RATES)
        try:
            while True:
                steps.append(next(generator))
        except StopIteration as end:
            return steps, end.value


_SKIPPED = Taken(1.0, skipped=True)


def test_a_step_for_each_rate() -> None:
    script = _Script(3, 2, 1)
    steps, reason = script.run()
    assert steps == [(0, 0.1, 3), (1, 0.2, 2), (2, 0.4, 1)]
    assert script.used == [(0.1, [0]), (0.2, [1]), (0.4, [2])]
    assert reason == "completed"


def test_accumulation_takes_some_batches_a_step() -> None:
    script = _Script(1)
    script.run(accumulate=2)
    assert script.used == [(0.1, [0, 1]), (0.2, [2, 3]), (0.4, [4, 5])]


def test_a_last_step_of_fewer_batches() -> None:
    script = _Script(1, batches=3)
    steps, reason = script.run(accumulate=2)
    assert [batches for _, batches in script.used] == [[0, 1], [2]]
    assert (len(steps), reason) == (2, "exhausted")


def test_several_steps_a_rate_are_one_point() -> None:
    script = _Script(1, 3, 5, 9, 2, 4)
    steps, _ = script.run(steps_per_lr=2)
    assert [step.loss for step in steps] == [2, 7, 3]
    assert [lr for lr, _ in script.used] == [0.1, 0.1, 0.2, 0.2, 0.4, 0.4]


def test_the_steps_before_the_batches_end_are_kept() -> None:
    steps, reason = _Script(1, 3, 5, batches=3).run(steps_per_lr=2)
    assert [step.loss for step in steps] == [2, 5]
    assert reason == "exhausted"


def test_skipped_steps_are_not_recorded_and_do_not_advance_the_rate() -> None:
    script = _Script(1, _SKIPPED, _SKIPPED, 2, 3)
    steps, reason = script.run(rule=StopRule())
    assert [(step.lr, step.loss) for step in steps] == [(0.1, 1), (0.2, 2), (0.4, 3)]
    assert [lr for lr, _ in script.used] == [0.1, 0.2, 0.2, 0.2, 0.4]
    assert reason == "completed"


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_skipped_steps_of_a_broken_loss_end_it(loss: float) -> None:
    script = _Script(1, Taken(loss, skipped=True))
    steps, reason = script.run(rule=StopRule())
    assert (len(steps), reason, len(script.used)) == (1, "non_finite", 11)


def test_a_skipped_step_of_a_broken_loss_counts_for_nothing() -> None:
    script = _Script(1, Taken(math.inf, skipped=True), 2, 3)
    steps, reason = script.run(rule=StopRule())
    assert [step.loss for step in steps] == [1, 2, 3]
    assert reason == "completed"


def test_skipped_steps_for_ever_end_it() -> None:
    script = _Script(1, Taken(math.nan, skipped=True))
    steps, reason = script.run()
    assert (len(steps), reason, len(script.used)) == (1, "non_finite", 101)


def test_batches_without_a_loss_for_ever_are_an_error() -> None:
    with pytest.raises(RuntimeError, match=r"100 steps in a row .* have no loss"):
        _Script(1, Taken(None, skipped=True)).run()


def test_a_broken_loss_at_one_of_several_steps() -> None:
    steps, reason = _Script(1, math.nan).run(steps_per_lr=2, rule=StopRule())
    assert math.isnan(steps[0].loss)
    assert (len(steps), reason) == (1, "non_finite")


def test_the_validation_loss_is_the_loss() -> None:
    losses = iter([5.0, 4.0, 3.0])
    steps, _ = _Script(1).run(validation_loss=lambda: next(losses))
    assert [step.loss for step in steps] == [5, 4, 3]


def test_a_broken_loss_needs_no_validation() -> None:
    steps, reason = _Script(math.inf).run(rule=StopRule(), validation_loss=torch.empty)
    assert (steps[0].loss, reason) == (math.inf, "non_finite")
