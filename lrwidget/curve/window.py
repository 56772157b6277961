"""The part of a sweep that is worth showing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from lrwidget.curve.loss_limits import hull

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lrwidget.curve.loss_limits import Limits
    from lrwidget.curve.lr_curve import LRCurve

# in decades
_BEFORE = 1.0  # below the rate from which the loss falls
_AFTER = 0.5  # above the rate from which it is unstable
_LEAST = 2.0
_ROOM = 0.1  # beyond a chosen rate that was outside


class Zoom(NamedTuple):
    """A part of the rates that a person wants to see."""

    low: float
    high: float
    choice: float | None  # the rate that was chosen then, which may be outside

    def window(self, bounds: Limits, choice: float | None) -> Limits:
        """Return the rates to show; a rate that was chosen later is inside."""
        part = within((self.low, self.high), bounds)
        return part if choice == self.choice else around(part, choice, bounds)


def around(part: Limits, rate: float | None, bounds: Limits) -> Limits:
    """Return a range, extended to a little more than a rate outside of it."""
    if rate is None or part[0] <= rate <= part[1]:
        return part
    low, high = hull(part, (rate / 10**_ROOM, rate * 10**_ROOM))
    # The room is only at the side of the rate.
    wider = (low, part[1]) if rate < part[0] else (part[0], high)
    return within(wider, bounds)


def extended(part: Limits, rate: float | None) -> Limits:
    """Return a range of rates, extended to a rate outside of it."""
    return part if rate is None else hull(part, (rate, rate))


def rates_that_matter(
    curves: Sequence[LRCurve], held: Iterable[float], whole: Limits
) -> Limits:
    """
    Return the part of a range of rates in which curves fall and become unstable.

    It begins a decade below where the first of the curves begins to fall, ends half a
    decade above where the last one is unstable or ends, and has at least two decades. A
    curve that only rises has no lower end. It is the whole range if the last curve
    neither falls nor rises.

    Parameters
    ----------
    curves:
        Curves that are shown, the most important last.
    held:
        Further rates in the part.
    whole:
        Lowest and highest rate of all.
    """
    parts = [_part(curve) for curve in curves]
    if not parts or parts[-1] is None:
        return whole
    part = parts[-1]
    for other in parts:
        part = part if other is None else hull(part, other)
    for rate in held:
        part = extended(part, rate)
    low, high = within(part, whole)
    lacking = _LEAST - math.log10(high / low)
    if lacking > 0:
        grown = low / 10 ** (lacking / 2), high * 10 ** (lacking / 2)
        low, high = within(grown, whole)
        # At an end of the whole range, the other end of the part takes the rest.
        rest = 10**_LEAST
        low, high = within((min(low, high / rest), max(high, low * rest)), whole)
    return low, high


def within(part: Limits, whole: Limits) -> Limits:
    """Return a range without what is outside of another one; that one if all is."""
    low, high = max(part[0], whole[0]), min(part[1], whole[1])
    return (low, high) if low < high else whole


def _part(curve: LRCurve) -> Limits | None:
    """Return the part of one curve, perhaps from 0 on; None if no part matters."""
    first, last = curve.learning_from, curve.unstable_from
    if first is None and last is None:
        return None
    low = 0.0 if first is None else first / 10**_BEFORE
    return low, float(curve.lrs[-1] if last is None else last) * 10**_AFTER
