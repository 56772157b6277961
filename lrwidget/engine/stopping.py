"""When a range test has seen enough."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lrwidget.curve.smoothing import ExponentialMean

if TYPE_CHECKING:
    from lrwidget.curve.record import StopReason

_TIMES_BEST = 4
_FIRST = 10


class StopRule:
    """
    fastai's rule: stop where the smoothed loss passes four times its best.

    The smoothed loss may rise by three times its best, which is to four times it.
    Nothing is judged before the tenth loss, unlike in fastai, where the mean of the
    first few noisy losses may be four times the first. A loss that can be negative
    has no zero to measure from: once one was, the rise may be three times the descent
    from the highest of the first ten, if that is more. A loss that is NaN or infinite
    stops at once.
    """

    def __init__(self) -> None:
        self._mean = ExponentialMean()
        self._best = math.inf
        self._high = -math.inf
        self._count = 0
        self._signed = False

    def update(self, loss: float) -> StopReason | None:
        """Take in the next raw loss, and return why to stop, or None to go on."""
        if not math.isfinite(loss):
            return "non_finite"
        smoothed = self._mean.update(loss)
        self._count += 1
        self._signed = self._signed or loss < 0
        if self._count <= _FIRST:
            self._high = max(self._high, loss)
        if self._count < _FIRST:
            return None
        self._best = min(self._best, smoothed)
        unit = abs(self._best)
        if self._signed:
            unit = max(unit, self._high - self._best)
        limit = self._best + (_TIMES_BEST - 1) * unit
        return "diverged" if smoothed > limit else None
