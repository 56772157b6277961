"""The rules that stop a range test early."""

from __future__ import annotations

import math
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from lrwidget.curve.lr_curve import Step
from lrwidget.curve.smoothing import DEFAULT_BETA as _BETA

if TYPE_CHECKING:
    from collections.abc import Generator

    from lrwidget.curve.lr_curve import StopReason

# faster than the constructor, which is a Python function
_step = partial(tuple.__new__, Step)

_TIMES_BEST = 4
_FIRST = 10
_DOUBT = 4


class StopRule:
    """
    fastai's rule: stop where the smoothed loss passes four times its best.

    The smoothed loss may rise by three times its best value. The first ten smoothed
    values are means of few losses, and may be small by chance, which in fastai stops a
    noisy training. Here, the mean of ``t`` losses counts as ``1 + 4 / sqrt(t)`` times
    as high, which allows for a noise of four times the loss. After a negative loss,
    zero is no reference: the rise may then be three times the descent from the highest
    of the first ten losses, if that is more, and nothing stops the test during the
    first ten. A loss that is NaN or infinite stops the test at once.
    """

    def __init__(self) -> None:
        self._sum = 0.0
        self._bias = 1.0
        self._best = math.inf
        self._limit = -math.inf
        self._highest = -math.inf
        self._count = 0
        self._signed = False

    def update(self, loss: float) -> StopReason | None:
        """Add the next raw loss; return the reason to stop, or None to go on."""
        # the mean of `exponential_mean`, one loss at a time
        self._sum = total = _BETA * self._sum + (1 - _BETA) * loss
        self._bias = bias = _BETA * self._bias
        smoothed = total / (1 - bias)
        known = self._best <= smoothed <= self._limit < math.inf
        if known and (loss >= 0 or self._signed):
            return None  # as nearly always
        if not math.isfinite(loss):
            return "non_finite"
        self._signed = self._signed or loss < 0
        if self._count < _FIRST:
            return self._update_early(loss, smoothed)
        self._best = self._lowered(smoothed)
        self._limit = self._limit_above(self._best)
        return "diverged" if smoothed > self._limit else None

    def _update_early(self, loss: float, smoothed: float) -> StopReason | None:
        self._count += 1
        self._highest = max(self._highest, loss)
        if self._signed and self._count < _FIRST:
            return None
        doubt = _DOUBT / self._count**0.5 * abs(smoothed)
        self._best = min(self._best, smoothed + doubt)
        limit = self._limit_above(self._best)
        if self._count == _FIRST:
            self._limit = limit
        return "diverged" if smoothed > limit else None

    def _limit_above(self, best: float) -> float:
        unit = max(abs(best), self._highest - best) if self._signed else abs(best)
        return best + (_TIMES_BEST - 1) * unit

    def _lowered(self, smoothed: float) -> float:
        """Return the best value after a loss beyond the first ten."""
        return min(self._best, smoothed)


class SteadyStopRule(StopRule):
    """
    The rule for a training at one rate: the best of the first ten is never lowered.

    The loss of such a training may come so near to zero that its noise is four times
    its best value.
    """

    def _lowered(self, _smoothed: float) -> float:
        return self._best


def apply_stop_rule(
    points: Generator[tuple[float, float], None, StopReason],
    stop_rule: type[StopRule] | None,
) -> Generator[Step, None, StopReason]:
    """
    Yield rates with their losses as steps, and return the reason of the end.

    The code makes few calls for each point, since it is slow here: a training step
    removes it from the caches of the processor.
    """
    rule = None if stop_rule is None else stop_rule()
    iteration = 0
    with closing(points):
        while True:
            try:
                lr, loss = next(points)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # it has no types
            yield _step((iteration, lr, loss))
            iteration += 1
            reason = None if rule is None else rule.update(loss)
            if reason is not None:
                return reason
