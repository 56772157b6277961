"""Curves for the tests of what is found in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lrwidget.curve.arrays import FloatArray


def unsmoothed(smoothed: FloatArray) -> FloatArray:
    """Return raw losses that fastai's exponential mean makes these; gaps stay."""
    finite = np.isfinite(smoothed)
    weights = 1 - 0.98 ** np.arange(1, finite.sum() + 1)
    means = smoothed[finite] * weights
    raw: FloatArray = smoothed.copy()
    raw[finite] = np.diff(means, prepend=0.0) / 0.02 + np.r_[0.0, means[:-1]]
    return raw
