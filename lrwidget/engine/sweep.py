"""The training of a range test: one learning rate after the other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from lrwidget.curve.record import Step
from lrwidget.engine.rates import rate_ratios, set_rate

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from contextlib import AbstractContextManager

    from torch.optim import Optimizer

    from lrwidget.curve.record import StopReason
    from lrwidget.engine.stepping import Taken
    from lrwidget.engine.stopping import StopRule

# A gradient scaler that has halved its scale so often has nothing left to scale.
_MOST_SKIPPED = 100
# A loss that is not finite so often does not become so by another scale or batch.
_MOST_BROKEN = 10


@dataclass
class Sweep:
    """
    Trains while the learning rate grows.

    Attributes
    ----------
    optimizer:
        What has the rates.
    step:
        Does one optimizer step with some batches.
    batches:
        The batches; they may end.
    entered:
        The context of each training step, as the thread that began the test has it.
    rule:
        When to stop; None to go on whatever the loss.
    accumulate:
        How many batches an optimizer step takes.
    steps_per_lr:
        How many optimizer steps are done at each rate.
    validation_loss:
        What the loss at a rate is, after its steps; if None, their mean loss.
    """

    optimizer: Optimizer
    step: Callable[[list[Any]], Taken]
    batches: Iterator[Any]
    entered: Callable[[], AbstractContextManager[object]]
    rule: StopRule | None
    accumulate: int = 1
    steps_per_lr: int = 1
    validation_loss: Callable[[], float] | None = None

    def __post_init__(self) -> None:
        """Take the ratios of the rates, before any of them changes."""
        self._ratios = rate_ratios(self.optimizer)

    def over(self, rates: Iterable[float]) -> Generator[Step, None, StopReason]:
        """
        Yield one step for each rate, and return why they end.

        Raises
        ------
        RuntimeError
            If a hundred steps in a row are skipped for want of a loss.
        """
        for iteration, lr in enumerate(rates):
            with self.entered():
                used, losses, reason = self._train(lr)
                if losses:
                    loss = sum(losses) / len(losses)
                    if self.validation_loss is not None and math.isfinite(loss):
                        loss = self.validation_loss()
            if losses:
                yield Step(iteration, used, loss)
                if reason is None and self.rule is not None:
                    reason = self.rule.update(loss)
            if reason is not None:
                return reason
        return "completed"

    def _train(self, lr: float) -> tuple[float, list[float], StopReason | None]:
        """Return the rate as it was used, the loss of each step, and why to stop."""
        used, skipped, broken = lr, 0, 0
        losses: list[float] = []
        while len(losses) < self.steps_per_lr:
            batches = list(islice(self.batches, self.accumulate))
            if not batches:
                return used, losses, "exhausted"
            used = set_rate(self.optimizer, lr, self._ratios)
            taken = self.step(batches)
            if not taken.skipped and taken.loss is not None:
                losses.append(taken.loss)
                skipped = 0
                continue
            skipped += 1
            if taken.loss is None:
                if skipped == _MOST_SKIPPED:
                    msg = (
                        f"{skipped} steps in a row were skipped, the last one since "
                        "its batches have no loss; return one for each batch"
                    )
                    raise RuntimeError(msg)
                continue
            broken = 0 if math.isfinite(taken.loss) else broken + 1
            if skipped == _MOST_SKIPPED or (self.rule and broken == _MOST_BROKEN):
                return used, losses, "non_finite"
        return used, losses, None
