"""Means with their standard errors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lrwidget.curve.arrays import FloatArray

_MOST_CORRELATED = 0.97  # the highest correlation of one step with the next
# The polynomial of the 97.5 % quantile, whose variable is the number of lags over the
# number of values, for Bartlett's kernel.
_QUANTILE = (-0.5324, 0.4160, 2.9694, 1.9600)


def weighted_mean(values: FloatArray, weights: FloatArray) -> tuple[float, float]:
    """Return the weighted mean of at least two independent values, and its error."""
    shares = weights / weights.sum()
    mean = float(shares @ values)
    squares = np.square(shares * (values - mean))
    return mean, float(np.sqrt(squares.sum() * len(values) / (len(values) - 1)))


def mean_with_error(values: FloatArray) -> tuple[float, float]:
    """
    Return the mean of finite successive values, perhaps correlated, and its error.

    The standard error is that of Newey and West [1]_, with the number of lags by
    Andrews [2]_ for a correlation that falls by the same factor with each step. For few
    values, a factor of Kiefer and Vogelsang [3]_ makes the error larger, so that two
    errors on each side contain the mean about as often as for many values. It is
    infinite for fewer than three values, and where their squares are too large.

    References
    ----------
    .. [1] Newey, West: A Simple, Positive Semi-definite, Heteroskedasticity and
       Autocorrelation Consistent Covariance Matrix, Econometrica 55, 1987.
    .. [2] Andrews: Heteroskedasticity and Autocorrelation Consistent Covariance Matrix
       Estimation, Econometrica 59, 1991, equations 5.3 and 6.4.
    .. [3] Kiefer, Vogelsang: A New Asymptotic Theory for Heteroskedasticity-
       Autocorrelation Robust Tests, Econometric Theory 21, 2005, table 1.
    """
    count = len(values)
    mean = float(values.mean())
    if count < 3:  # noqa: PLR2004 (see above)
        return mean, math.inf
    apart = values - mean
    square = float(apart @ apart)
    if not 0 < square < math.inf:
        return mean, square
    next_to = float(apart[1:] @ apart[:-1]) / square
    # Kendall (1954): the correlation that a short series shows is too small.
    factor = min(abs(next_to + (1 + 3 * next_to) / count), _MOST_CORRELATED)
    alpha = (2 * factor / (1 - factor**2)) ** 2
    lags = min(1.1447 * (alpha * count) ** (1 / 3), count - 2)
    total = square
    for lag in range(1, int(lags) + 1):
        total += 2 * (1 - lag / (lags + 1)) * float(apart[lag:] @ apart[:-lag])
    error = math.sqrt(max(total, 0.0) / count / (count - 1))
    used = (int(lags) + 1) / count
    return mean, error * float(np.polyval(_QUANTILE, used)) / _QUANTILE[-1]
