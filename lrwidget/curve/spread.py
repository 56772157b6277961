"""The spread of several losses over the same rates."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lrwidget.curve.arrays import FloatArray

_ENOUGH = 3


class Spread(NamedTuple):
    """The median and extent of the losses at each rate with three or more losses."""

    lrs: FloatArray
    median: FloatArray
    low: FloatArray
    high: FloatArray


def spread(lines: Sequence[tuple[FloatArray, FloatArray]]) -> Spread | None:
    """
    Return the spread of lines, or None where no rate has three losses.

    A line has increasing rates and finite losses, and may lack some rates of another.
    """
    if len(lines) < _ENOUGH:
        return None
    lrs = np.unique(np.concatenate([rates for rates, _ in lines]))
    losses = np.full((len(lines), len(lrs)), np.nan)
    for row, (rates, values) in zip(losses, lines, strict=True):
        row[np.searchsorted(lrs, rates)] = values
    common = np.isfinite(losses).sum(0) >= _ENOUGH
    if not common.any():
        return None
    losses = losses[:, common]
    low, high = np.nanmin(losses, 0), np.nanmax(losses, 0)
    return Spread(lrs[common], np.nanmedian(losses, 0), low, high)
