"""The trend of a curve: its bold line, by one of two ways to smooth the losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

from lrwidget.curve.checks import invalid, usable_number
from lrwidget.curve.fit import local_fit
from lrwidget.curve.smoothing import exponential_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.curve_files import Stored

Smoothing: TypeAlias = Literal["automatic", "fastai"] | float
AUTOMATIC: Literal["automatic"] = "automatic"
FASTAI: Literal["fastai"] = "fastai"
# The largest width is below the usual values of beta, so that a beta raises an error.
LEAST_WIDTH, MOST_WIDTH = 0.05, 0.8
_ENOUGH = 3  # finite losses at a rate of a common trend


class Trend(NamedTuple):
    """The losses of a curve without their noise, at some of its rates."""

    lrs: FloatArray
    losses: FloatArray  # NaN at a rate without a finite loss
    errors: FloatArray | None  # standard errors; None for fastai's mean

    @property
    def band(self) -> FloatArray | None:
        """Two standard errors below (first row) and above; None without errors."""
        if self.errors is None:
            return None
        margin = 2 * self.errors
        return np.array([self.losses - margin, self.losses + margin])


def usable_smoothing(smoothing: object) -> Smoothing:
    """Return ``"automatic"``, ``"fastai"`` or a width as a float; raise for others."""
    if isinstance(smoothing, str) and smoothing in {AUTOMATIC, FASTAI}:
        return smoothing
    problem = (
        f"must be 'automatic', 'fastai' (fastai's mean, with beta=0.98) or the width "
        f"of the fit in decades, from {LEAST_WIDTH} to {MOST_WIDTH}; pass for example "
        "smoothing=0.2"
    )
    if isinstance(smoothing, str):
        raise invalid(smoothing, "smoothing", problem)
    width = usable_number("smoothing", smoothing, "smoothing=0.2")
    if not LEAST_WIDTH <= width <= MOST_WIDTH:
        raise invalid(smoothing, "smoothing", problem)
    return width


def trend(curve: Stored, smoothing: Smoothing = AUTOMATIC) -> Trend:
    """Return the trend of a curve at each of its rates."""
    if smoothing == FASTAI:
        return Trend(curve.lrs, exponential_mean(curve.losses), None)
    return Trend(curve.lrs, *fit_at_steps(curve, _width(smoothing)))


def fit_at_steps(
    curve: Stored, width: float | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return the fit and its errors at each rate; NaN where the loss is not finite."""
    fitted = curve.fit(width).at(curve.lrs)
    losses, errors = np.where(np.isfinite(curve.losses), fitted, np.nan)
    return losses, errors


def common_trend(curves: Sequence[Stored], smoothing: Smoothing) -> Trend:
    """Return one trend of several curves, at rates with three finite losses or more."""
    lrs = np.concatenate([curve.lrs for curve in curves])
    losses = np.concatenate([curve.losses for curve in curves])
    finite = np.isfinite(losses)
    rates, counts = np.unique(lrs[finite], return_counts=True)
    rates = rates[counts >= _ENOUGH]
    if not len(rates):
        return Trend(rates, rates, None)
    if smoothing != FASTAI:
        return Trend(rates, *local_fit(lrs, losses, _width(smoothing)).at(rates))
    order = np.argsort(lrs[finite], kind="stable")
    means = exponential_mean(losses[finite][order])
    last = np.searchsorted(lrs[finite][order], rates, "right") - 1
    return Trend(rates, means[last], None)


def _width(smoothing: Smoothing) -> float | None:
    return None if smoothing == AUTOMATIC else float(smoothing)
