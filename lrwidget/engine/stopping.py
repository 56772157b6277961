"""When a range test has seen enough."""

from __future__ import annotations

import math
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from lrwidget.curve.lr_curve import Step
from lrwidget.curve.smoothing import DEFAULT_BETA as _BETA

if TYPE_CHECKING:
    from collections.abc import Generator

    from lrwidget.curve.lr_curve import Recording, StopReason

# without its constructor, which is a function of Python's
_step = partial(tuple.__new__, Step)

_TIMES_BEST = 4
_FIRST = 10
_DOUBT = 4


class StopRule:
    """
    fastai's rule: stop where the smoothed loss passes four times its best.

    The smoothed loss may rise by three times its best, which is to four times it.
    The first ten are means of few losses, and may be small by chance, which in fastai
    stops a noisy training: the mean of ``t`` losses counts as ``1 + 4 / sqrt(t)`` times
    as high, which allows for a noise of four times the loss. A loss that can be
    negative has no zero to measure from: once one was, the rise may be three times the
    descent from the highest of the first ten, if that is more, and nothing is apply_stop_rule
    before these. A loss that is NaN or infinite stops at once.
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
        """Take in the next raw loss, and return why to stop, or None to go on."""
        # the mean of `exponential_mean`, one loss at a time
        self._sum = total = _BETA * self._sum + (1 - _BETA) * loss
        self._bias = bias = _BETA * self._bias
        smoothed = total / (1 - bias)
        known = self._best <= smoothed <= self._limit < math.inf
        if known and (loss >= 0 or self._signed):
            return None  # as nearly always, in no time
        if not math.isfinite(loss):
            return "non_finite"
        self._signed = self._signed or loss < 0
        if self._count < _FIRST:
            return self._judged_early(loss, smoothed)
        self._best = self._lowered(smoothed)
        self._limit = self._limit_above(self._best)
        return "diverged" if smoothed > self._limit else None

    def _judged_early(self, loss: float, smoothed: float) -> StopReason | None:
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
        """Return what the best is after a loss that is not among the first ten."""
        return min(self._best, smoothed)


class SteadyStopRule(StopRule):
    """
    The same for a training at one rate: the best of the first ten is never lowered.

    Such a training may come so near to zero that its noise is four times its best.
    """

    def _lowered(self, _smoothed: float) -> float:
        return self._best


def apply_stop_rule(
    points: Generator[tuple[float, float], None, StopReason],
    rule: StopRule | None,
    recording: Recording,
) -> Generator[Step, None, StopReason]:
    """
    Yield rates with their losses as steps, until a rule says to stop; return why.

    What it does for each of them takes as few calls as can be: between two steps of a
    training everything is out of the processor's caches.

    Parameters
    ----------
    points:
        The rates and the losses, which end for a reason of their own.
    rule:
        When to stop; None to go on whatever the loss.
    recording:
        Has each step before it is yielded.
    """
    iteration = 0
    add_lr, add_loss = recording.lrs.append, recording.losses.append
    with closing(points):
        while True:
            try:
                lr, loss = next(points)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # it has no types
            add_lr(lr)
            add_loss(loss)
            yield _step((iteration, lr, loss))
            iteration += 1
            reason = None if rule is None else rule.update(loss)
            if reason is not None:
                return reason
