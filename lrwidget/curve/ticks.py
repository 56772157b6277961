"""The ticks of axes, and the texts of numbers there and elsewhere."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lrwidget.curve.arrays import FloatArray

_FEWEST, _MOST = 3, 9
_MOST_STEPS = 8
_DIGITS = 6
_SAME = 1e-6  # relative difference, by the rounding of computations
_LEAST_PLAIN, _MOST_PLAIN = 0.1, 1000


def rounded(rate: float) -> float:
    """Return a rate in the two digits that `short` shows."""
    return float(f"{rate:.1e}")


def short(rate: float) -> str:
    """Return a rate in two digits: 2.0e-2, 0.29, 10."""
    rate = rounded(rate)
    if _LEAST_PLAIN <= rate < _MOST_PLAIN:
        return plain(rate)
    factor, power = f"{rate:.1e}".split("e")
    return f"{factor}e{int(power)}"


def exact(rate: float) -> str:
    """Return a rate in two digits, or in as many as it has: 2.0e-2, 1.234e-2."""
    few = math.isclose(rounded(rate), rate, rel_tol=_SAME)
    return short(rate) if few else tick_label(rate)


def counted(count: int, noun: str) -> str:
    """Return a number of things: 1 step, 5 steps."""
    return f"1 {noun}" if count == 1 else f"{count} {noun}s"


def plain(number: float, digits: int = _DIGITS) -> str:
    """Return a number with so many digits at most: 0.0125, 1e-7."""
    text = f"{number:.{digits}g}"
    return text.replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def rate_ticks(low: float, high: float) -> FloatArray:
    """
    Return the ticks of a logarithmic axis of rates with ends above 0.

    They are powers of ten or, within fewer than two decades, the 1-2-5 series or,
    within less than that, equal steps of 1, 2 or 5 times such a power.
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = -(-(last - first) // _MOST)
    powers = [float(f"1e{power}") for power in range(first, last + 1)]
    for ticks in (np.array(powers[::every]), np.outer(powers, [1, 2, 5]).ravel()):
        inside = ticks[(ticks >= low) & (ticks <= high)]
        if len(inside) >= _FEWEST:
            return inside
    return equal_steps(low, high)


def equal_steps(low: float, high: float, most: int = _MOST_STEPS) -> FloatArray:
    """Return ticks, at most so many steps of 1, 2 or 5 times a power of ten."""
    least = (high - low) / most
    power = 10.0 ** math.floor(math.log10(least))
    step = next(n * power for n in (1, 2, 5, 10) if n * power >= least)
    first, last = math.ceil(low / step), math.floor(high / step)
    return step * np.arange(first, last + 1, dtype=np.float64)


def tick_label(rate: float) -> str:
    """Return a rate by its power of ten, if it is below 1: 1e-3, 2.5e-3, 1, 10."""
    return plain(rate) if round(rate, _DIGITS) >= 1 else _with_power(rate, _DIGITS)


def _with_power(number: float, digits: int) -> str:
    factor, power = f"{number:.{digits}e}".split("e")
    return f"{float(factor):g}e{int(power)}"
