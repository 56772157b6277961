"""The training of a range test: one learning rate after the other."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice, repeat, takewhile
from typing import TYPE_CHECKING, Any, TypeAlias

from lrwidget.engine.rates import rate_ratios, set_rate
from lrwidget.engine.stepping import StepSkippedError, mean

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from torch import Tensor
    from torch.optim import Optimizer

    from lrwidget.curve.lr_curve import StopReason

    Points: TypeAlias = Generator[tuple[float, Tensor], None, StopReason]

# A gradient scaler that has halved its scale so often has nothing left to scale.
MOST_SKIPPED = 100


@dataclass
class Sweep:
    """
    Trains while the learning rate grows.

    Attributes
    ----------
    optimizer:
        What has the rates.
    first_step, step:
        Do one optimizer step with some batches, and return their loss.
    batches:
        The batches of each step; they may end.
    entered:
        The context of each training step, as the thread that began the test has it.
    patience:
        How many steps in a row the gradient scaler may skip whose loss is not finite.
    """

    optimizer: Optimizer
    first_step: Callable[[Sequence[Any]], Tensor]
    step: Callable[[Sequence[Any]], Tensor]
    batches: Iterator[Sequence[Any]]
    entered: Callable[[], AbstractContextManager[object]]
    patience: int

    def over(self, rates: Iterable[float]) -> Points:
        """
        Yield each rate as it was used with its loss, and return why they end.

        The loss stays on its device, unread, so that nobody waits for it here.

        Raises
        ------
        RuntimeError
            If a hundred steps in a row are skipped for want of a loss.
        """
        ratios = rate_ratios(self.optimizer)
        step = self.first_step
        for lr in rates:
            skipped: list[Tensor | None] = []
            while True:
                with self.entered():
                    window = next(self.batches, None)
                    if window is None:
                        return "exhausted"
                    used = set_rate(self.optimizer, lr, ratios)
                    try:
                        loss = step(window)
                        step = self.step
                        break
                    except StepSkippedError as error:
                        skipped.append(error.loss)
                        if self._hopeless(skipped):
                            return "non_finite"
            yield used, loss
        return "completed"

    def _hopeless(self, skipped: list[Tensor | None]) -> bool:
        """Whether so many steps in a row were skipped that no other one helps."""
        if skipped[-1] is None:
            if len(skipped) < MOST_SKIPPED:
                return False
            msg = (
                f"{len(skipped)} steps in a row were skipped, the last one since its "
                "batches have no loss; return one for each batch"
            )
            raise RuntimeError(msg)
        losses = [loss for loss in skipped if loss is not None]
        broken = takewhile(lambda loss: not loss.isfinite(), reversed(losses))
        return len(skipped) >= MOST_SKIPPED or len(list(broken)) >= self.patience


def windows(batches: Iterator[Any], size: int) -> Iterator[Sequence[Any]]:
    """Return the batches by so many at once; the last may be fewer."""
    if size == 1:
        return zip(batches, strict=False)  # which takes no time
    return iter(lambda: list(islice(batches, size)), [])


def several_steps(rates: Iterable[float], count: int) -> Iterator[float]:
    """Return each rate so many times."""
    if count == 1:
        return iter(rates)
    return chain.from_iterable(repeat(lr, count) for lr in rates)


def grouped(
    points: Points, size: int, validation_loss: Callable[[], Tensor] | None
) -> Points:
    """
    Yield one point for so many, with their mean loss or another one.

    Parameters
    ----------
    points:
        The rates and the losses. Where they end within a group, that is smaller.
    size:
        How many there are at each rate.
    validation_loss:
        What the loss at a rate is instead, where that of the training is finite.
    """
    reasons: list[StopReason] = []

    def noted() -> Generator[tuple[float, Tensor], None, None]:
        reasons.append((yield from points))

    with closing(noted()) as ungrouped:
        while group := list(islice(ungrouped, size)):
            loss = mean([loss for _, loss in group])
            # One look at each rate costs little beside its validation.
            if validation_loss is not None and loss.isfinite():
                loss = validation_loss()
            yield group[-1][0], loss
    return reasons[0]
