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
    A loss that can be negative has no zero to measure that from: once one was, the
    rise may be three times the descent from the highest of the first ten losses, if
    that is more, and nothing is judged before these. A loss that is NaN or infinite
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
        self._best = min(self._best, smoothed)
        self._signed = self._signed or loss < 0
        if self._count <= _FIRST:
            self._high = max(self._high, loss)
            if self._signed:
                return None
        unit = abs(self._best)
        if self._signed:
            unit = max(unit, self._high - self._best)
        limit = self._best + (_TIMES_BEST - 1) * unit
        return "diverged" if smoothed > limit else None
