"""Where the axes have their ticks, and what is written there."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lrwidget.curve.arrays import FloatArray

_LEAST_TICKS = 3
_FEW_DECADES = 4


def rate_ticks(start_lr: float, end_lr: float) -> FloatArray:
    """
    Return where to set ticks on a logarithmic axis of rates.

    They are the decades or, within fewer than two of these, the 1-2-5 series or,
    within less than that, a few equal ratios.
    """
    for digits in ([1], [1, 2, 5]):
        ticks = _inside(start_lr, end_lr, digits)
        if len(ticks) >= _LEAST_TICKS:
            return ticks
    return np.geomspace(start_lr, end_lr, 5)


def loss_ticks(low: float, high: float) -> dict[float, str]:
    """
    Return the ticks of an axis of decimal logarithms of losses.

    Parameters
    ----------
    low, high:
        The logarithms at the ends of the axis.

    Returns
    -------
    :
        From each logarithm to the loss that is written there: decades, the 1-2-5
        series or, within less than that, a few equal ratios.
    """
    ends = 10.0 ** max(low, -300), 10.0 ** min(high, 300)
    digits = [1] if high - low > _FEW_DECADES else [1, 2, 5]
    ticks = _inside(*ends, digits)
    if len(ticks) < _LEAST_TICKS:
        ticks = np.geomspace(*ends, 5)[1:-1]
    return {math.log10(tick): f"{tick:.3g}" for tick in ticks.tolist()}


def are_round(ticks: FloatArray) -> bool:
    """Whether one digit is enough to label each tick."""
    return all(math.isclose(float(f"{tick:.0e}"), tick) for tick in ticks.tolist())


def _inside(low: float, high: float, digits: list[int]) -> FloatArray:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    # Not too many, over very many decades.
    step = (last - first) // 20 + 1
    decades = [float(f"1e{power}") for power in range(first, last + 1, step)]
    ticks = np.outer(decades, digits).ravel()
    return ticks[(ticks >= low) & (ticks <= high)]
