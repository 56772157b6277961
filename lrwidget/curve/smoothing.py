"""Smoothing of raw losses: views of them, recomputed on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lrwidget.curve.checks import invalid

if TYPE_CHECKING:
    from lrwidget.curve.arrays import FloatArray

DEFAULT_BETA = 0.98


def exponential_mean(losses: FloatArray, beta: float = DEFAULT_BETA) -> FloatArray:
    """
    Smooth losses by fastai's debiased exponential mean.

    After ``t`` finite losses ``x`` the mean is ``a_t / (1 - beta**t)`` with
    ``a_t = beta * a_(t-1) + (1 - beta) * x_t`` and ``a_0 = 0``, the formula of
    fastai's ``AvgSmoothLoss`` and of Adam's moments (arXiv:1412.6980). It is NaN where
    a loss is not finite. A ``beta`` outside ``[0, 1)`` raises ValueError.
    """
    if not 0 <= beta < 1:
        problem = "must be at least 0 and below 1; pass for example 0.98"
        raise invalid(beta, "beta", problem)
    finite = np.isfinite(losses)
    kept = losses[finite]
    smoothed = np.full(len(losses), np.nan)
    # The bias is the difference between 1 and the mean of ones.
    smoothed[finite] = _means(kept, beta) / _means(np.ones(len(kept)), beta)
    return smoothed


def _means(losses: FloatArray, beta: float) -> FloatArray:
    """Return the means before debiasing, computed over 1, 2, 4, ... losses in turn."""
    # Not by a product of matrices: the threads that numpy has for these go on spinning,
    # and a training beside them takes three times as long.
    means: FloatArray = (1 - beta) * losses
    count, weight = 1, beta
    while count < len(means) and weight > 0:
        means[count:] += weight * means[:-count]
        count, weight = 2 * count, weight**2
    return means
