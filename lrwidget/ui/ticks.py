"""The ticks of an axis of losses, or of their logarithms."""

from __future__ import annotations

import math

from lrwidget.curve.axis import equal_steps, plain, rate_ticks

_MOST_DECADES = 300  # a little within what floats hold


def loss_ticks(low: float, high: float) -> dict[float, str]:
    """Return the ticks of an axis of losses, with what is written there."""
    if math.isinf(high - low):
        return {}
    return {tick: plain(tick) for tick in equal_steps(low, high).tolist()}


def logarithm_ticks(low: float, high: float) -> dict[float, str]:
    """
    Return the ticks of an axis of decimal logarithms.

    Parameters
    ----------
    low, high:
        The logarithms at the ends of the axis.

    Returns
    -------
    :
        From each logarithm to the number that is written there.
    """
    if low > _MOST_DECADES - 1:
        powers = range(math.ceil(low), math.floor(high) + 1)
        return {float(power): f"1e{power}" for power in powers}
    ends = 10.0 ** max(low, -_MOST_DECADES), 10.0 ** min(high, _MOST_DECADES)
    return {math.log10(tick): plain(tick) for tick in rate_ticks(*ends).tolist()}
