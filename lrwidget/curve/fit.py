"""The fit of a curve: its losses without their noise, and how sure it is of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lrwidget.curve.checks import invalid

if TYPE_CHECKING:
    from lrwidget.curve.arrays import FloatArray

# Widths are standard deviations of the kernel, in decades of the learning rate.
NARROWEST, WIDEST = 0.12, 0.5
_PILOT = 0.25  # the width of a first fit, which tells how deep the curve is
_BINS = 20  # in a decade
_SPACING = 1.1  # the least width, in steps
# The narrowest width counts with which two standard errors are this share of the depth.
_SHARE = 0.15
_CEILING = 0.25  # of the depth, above a high loss of the start, where losses are cut
_HIGH = 0.9  # the quantile of the losses at the start, above which losses may be cut
_OUTLYING = 3.0  # the noise above it, where losses are cut
_FEWEST = 5  # losses at the start
_QUANTILE, _DEVIATIONS = 0.8, 1.2816  # of the absolute values of a normal distribution


class Fit(NamedTuple):
    """
    A curve without its noise.

    Attributes
    ----------
    lrs:
        Learning rates, increasing: the mean of each bin, in the logarithm.
    losses:
        Fitted loss at each rate.
    errors:
        Standard error of each fitted loss. It does not contain the bias: a valley that
        is narrower than the kernel is deeper than its fit.
    width:
        Standard deviation of the kernel, in decades.
    """

    lrs: FloatArray
    losses: FloatArray
    errors: FloatArray
    width: float

    @property
    def has_risen(self) -> bool:
        """Whether the last fitted loss is above the lowest by two standard errors."""
        lowest = int(self.losses.argmin())
        error = math.hypot(self.errors[lowest], self.errors[-1])
        return bool(self.losses[-1] - self.losses[lowest] > 2 * error)

    def at(self, lrs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the fitted losses and their standard errors at other rates."""
        places, own = np.log10(lrs), np.log10(self.lrs)
        return np.interp(places, own, self.losses), np.interp(places, own, self.errors)


class _Bins(NamedTuple):
    """Losses in bins of the logarithm of the rate."""

    places: FloatArray  # the mean logarithm of the rates
    counts: FloatArray
    means: FloatArray  # of the losses
    squares: FloatArray  # the mean squared distance of the losses from their mean

    @classmethod
    def of(cls, places: FloatArray, losses: FloatArray) -> _Bins:
        index = ((places - places.min()) * _BINS).astype(np.int64)
        counts = np.bincount(index)
        full = counts > 0
        weights = counts[full].astype(np.float64)
        where = np.bincount(index, places)[full] / weights
        means = np.bincount(index, losses)[full] / weights
        apart = losses - means[np.cumsum(full)[index] - 1]
        squares = np.bincount(index, apart**2)[full] / weights
        return cls(where, weights, means, squares)


def local_fit(lrs: FloatArray, losses: FloatArray, width: float | None = None) -> Fit:
    """
    Fit a line to the losses around each rate: local linear regression.

    A line is fitted by least squares over the logarithm of the rate, with normal
    weights around the place, and its value there is the fitted loss: on a straight
    part of the curve, the fit has no lag and no bias [1]_. Losses far above the start
    are cut before, so that an explosion does not raise the fit of the valley. The
    standard error takes the noise around each place from the residuals there.

    Parameters
    ----------
    lrs:
        Learning rates, above 0 and in any order; several runs of the same settings
        are fitted together.
    losses:
        Raw losses, as many as ``lrs``. NaN and minus infinity are left out; infinity
        is cut as any high loss.
    width:
        Standard deviation of the kernel in decades, above 0. If None, it is between
        0.12 and 0.5, and no less than the distance of two steps: the smallest with
        which two standard errors are 15 % of the depth of the curve.

    Raises
    ------
    ValueError
        If ``width`` is not above 0.

    References
    ----------
    .. [1] Fan, Gijbels: Local Polynomial Modelling and Its Applications, 1996, ch. 3.
    """
    if width is not None and not width > 0:
        raise invalid(width, "width", "must be above 0; pass for example 0.2, or None")
    known = np.isfinite(losses) | (losses == np.inf)
    places, kept = np.log10(lrs[known]), losses[known]
    order = np.argsort(places, kind="stable")
    places, kept = places[order], kept[order]
    if not np.isfinite(kept).any():
        empty = np.array([])
        return Fit(empty, empty, empty, WIDEST if width is None else width)
    level, high, noise = _start(places, kept)
    pilot = _Bins.of(places, np.minimum(kept, high + _OUTLYING * noise))
    spacing = float(np.median(np.diff(pilot.places))) if len(pilot.places) > 1 else 0
    fitted = _weights(pilot, max(_PILOT, _SPACING * spacing)) @ pilot.means
    depth = max(level - float(fitted.min()), 0.0)
    ceiling = high + max(_OUTLYING * noise, _CEILING * depth)
    cut = np.minimum(kept, ceiling)
    bins = _Bins.of(places, cut)
    if width is None:
        low = max(NARROWEST, _SPACING * spacing)
        lowest = float(pilot.places[int(np.argmin(fitted))])
        wanted = _width(places, cut, lowest, depth)
        width = min(max(wanted, low), max(WIDEST, low))
    weights = _weights(bins, width)
    means = weights @ bins.means
    return Fit(10**bins.places, means, _errors(bins, weights, means, width), width)


def _start(places: FloatArray, losses: FloatArray) -> tuple[float, float, float]:
    """Return the level, a high loss and the noise of the first third of a curve."""
    third = places < places[0] + (places[-1] - places[0]) / 3
    head = losses[: max(int(third.sum()), _FEWEST)]
    head = head[np.isfinite(head)]
    if len(head) < 2:  # noqa: PLR2004 (one loss has no difference)
        level = float(head[0] if len(head) else losses[np.isfinite(losses)][0])
        return level, level, 0.0
    noise = deviation(np.diff(head) / 2**0.5)
    return float(np.median(head)), float(np.quantile(head, _HIGH)), noise


def deviation(differences: FloatArray) -> float:
    """Return the standard deviation of differences, but for their few outliers."""
    apart = np.abs(differences - np.median(differences))
    return float(np.quantile(apart, _QUANTILE)) / _DEVIATIONS


def _width(
    places: FloatArray, losses: FloatArray, lowest: float, depth: float
) -> float:
    """Return the width with which two standard errors are a share of the depth."""
    # The noise is that of the second differences, which a slope does not change.
    near = places <= lowest + WIDEST
    losses, places = losses[near], places[near]
    if len(losses) < _FEWEST or depth <= 0:
        return WIDEST
    second = losses[:-2] - 2 * losses[1:-1] + losses[2:]
    noise = deviation(second / 6**0.5)
    decades = float(places[-1] - places[0])
    density = len(losses) / decades if decades else float("inf")
    # The variance of a normal kernel's mean is noise**2 / (2 sqrt(pi) width density).
    needed = 2 * noise / (_SHARE * depth)
    return needed * needed / (2 * math.sqrt(math.pi) * density)


def _weights(bins: _Bins, width: float) -> FloatArray:
    """Return the weight of each bin's mean, a column each, in each fitted value."""
    apart = bins.places - bins.places[:, None]
    kernel = np.exp(-0.5 * np.square(apart / width)) * bins.counts
    moment = kernel * apart
    total, first = kernel.sum(1), moment.sum(1)
    second = (moment * apart).sum(1)
    spread = total * second - first**2
    # Around a place that is alone, there is no line; its own mean is the fit.
    alone = spread <= 1e-6 * (total * width) ** 2
    spread[alone], first[alone], second[alone] = total[alone], 0.0, 1.0
    weights: FloatArray = second[:, None] * kernel - first[:, None] * moment
    weights /= spread[:, None]
    return weights


def _errors(
    bins: _Bins, weights: FloatArray, fitted: FloatArray, width: float
) -> FloatArray:
    """Return the standard errors of fitted values, from the residuals around them."""
    counts = bins.counts
    squares = bins.squares + np.square(bins.means - fitted)
    own = np.diagonal(weights) / counts
    # The part of the noise that the residuals of a fit have.
    freedom = 1 - 2 * own + (np.square(weights) / counts).sum(1)
    apart = (bins.places - bins.places[:, None]) / (2 * width)
    kernel = np.exp(-0.5 * np.square(apart)) * counts
    variances = (kernel @ squares) / np.maximum(kernel @ freedom, 1e-12)
    errors: FloatArray = np.sqrt(np.square(weights) @ (variances / counts))
    return errors
