"""The fit of a curve: its losses without their noise, with standard errors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lrwidget.curve.arrays import quantile
from lrwidget.curve.checks import invalid

if TYPE_CHECKING:
    import numpy.typing as npt

    from lrwidget.curve.arrays import FloatArray

# A place is the decimal logarithm of a learning rate. Widths are standard deviations of
# the kernel, in decades.
NARROWEST, WIDEST = 0.12, 0.5
_PILOT = 0.25  # the width of a preliminary fit, which gives the depth of the curve
_BINS, _FEWEST_BINS = 13, 50  # bins in a decade; the fewest bins in a curve
_SPACINGS = 1.1  # the least width, in distances of neighbouring bins
# The automatic width is the one with which two standard errors are this share of the
# depth of the curve.
_ERROR_SHARE = 0.15
_CEILING = 0.25  # share of the depth; losses are cut this far above ``Start.highest``
# ``Start.highest`` is this quantile of the losses, plus this multiple of the noise.
_HIGH_QUANTILE, _HIGH_NOISE = 0.9, 3.0
_FEWEST = 5  # losses, of a start or for an automatic width
# This quantile of the absolute values of a normal distribution is as many standard
# deviations. The median would be 0 if most losses were rounded to the same number.
_QUANTILE, _DEVIATIONS = 0.8, 1.2816
_ROUNDINGS = 2.0  # the least noise, in distances of neighbouring floating-point numbers
_BITS = {"bfloat16": 8, "float16": 11, "float32": 24}  # of the significand


class Start(NamedTuple):
    """
    The first third of a curve, over the logarithm of the rate.

    Attributes
    ----------
    level:
        Mean loss, with outliers cut at ``highest``.
    noise:
        Standard deviation of the losses around a trend, at least ``rounding``.
    rounding:
        Twice the distance of two neighbouring numbers in the precision of the losses:
        bfloat16 or float16 if all losses are such numbers, else float32, since most
        losses in double precision were computed from float32.
    highest:
        Highest loss that the noise explains.
    """

    level: float
    noise: float
    rounding: float
    highest: float

    @classmethod
    def of(cls, places: FloatArray, losses: FloatArray) -> Start:
        """Measure a curve with at least one finite loss, at increasing places."""
        third = places < places[0] + (places[-1] - places[0]) / 3
        head = losses[: max(int(third.sum()), _FEWEST)]
        head, finite = head[np.isfinite(head)], losses[np.isfinite(losses)]
        if not len(head):
            head = finite[:1]
        largest = int(np.frexp(head)[1].max())
        rounding = noise = _ROUNDINGS * math.ldexp(1.0, largest - _bits(finite))
        if len(head) > 1:
            noise = max(rounding, _deviation(np.diff(head)) / math.sqrt(2))
        highest = quantile(head, _HIGH_QUANTILE) + _HIGH_NOISE * noise
        level = float(np.minimum(head, highest).mean())
        return cls(level, noise, rounding, highest)


class Fit(NamedTuple):
    """
    A curve without its noise.

    Attributes
    ----------
    lrs:
        Increasing learning rates: the geometric mean of the rates in each bin.
    losses:
        Fitted loss at each rate.
    errors:
        Standard error of each fitted loss. It does not contain the bias: a valley that
        is narrower than the kernel is deeper than its fit.
    width:
        Standard deviation of the kernel, in decades.
    start:
        Level and noise of the first third of the curve.
    """

    lrs: FloatArray
    losses: FloatArray
    errors: FloatArray
    width: float
    start: Start

    @property
    def has_risen(self) -> bool:
        """
        Whether the last fitted loss is clearly above the lowest.

        The difference has to be more than two standard errors, and more than rounding.
        """
        if not len(self.losses):  # no loss was finite
            return False
        lowest = int(self.losses.argmin())
        error = math.hypot(self.errors[lowest], self.errors[-1])
        least = max(2 * error, self.start.rounding)
        return bool(self.losses[-1] - self.losses[lowest] > least)

    def lowest(self, count: int | None = None) -> int:
        """Return the index of the lowest sum of loss and error, of the first ones."""
        # The error of a loss that is low by chance is large.
        return int(np.argmin((self.losses + self.errors)[:count]))

    def at(self, lrs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the fitted losses and their standard errors at other rates."""
        if not len(self.lrs):  # no loss was finite
            return np.full(len(lrs), np.nan), np.full(len(lrs), np.nan)
        places, own = np.log10(lrs), np.log10(self.lrs)
        return np.interp(places, own, self.losses), np.interp(places, own, self.errors)


class _Bins(NamedTuple):
    """Steps in bins of the logarithm of the rate."""

    of_step: npt.NDArray[np.int64]  # the number of the bin of each step
    places: FloatArray  # the mean place of the steps in each bin
    counts: FloatArray
    offsets: FloatArray  # in row i and column j, place j minus place i

    @classmethod
    def of(cls, places: FloatArray) -> _Bins:
        """Return the bins that contain a step, for increasing places of steps."""
        decades = float(places[-1] - places[0])
        bins_per_decade = max(_BINS, _FEWEST_BINS / decades) if decades else _BINS
        numbers = ((places - places[0]) * bins_per_decade).astype(np.int64)
        full = np.bincount(numbers) > 0
        index = np.cumsum(full)[numbers] - 1
        counts = np.bincount(index).astype(np.float64)
        where = np.bincount(index, places) / counts
        return cls(index, where, counts, where - where[:, None])

    def means(self, losses: FloatArray) -> FloatArray:
        """Return the mean loss in each bin."""
        means: FloatArray = np.bincount(self.of_step, losses) / self.counts
        return means

    @property
    def spacing(self) -> float:
        """The median distance of two places."""
        places = self.places
        return quantile(np.diff(places), 0.5) if len(places) > 1 else 0.0


@np.errstate(over="ignore", under="ignore")  # an explosion; weights of distant bins
def local_fit(lrs: FloatArray, losses: FloatArray, width: float | None = None) -> Fit:
    """
    Fit a line to the losses around each rate: local linear regression.

    A line is fitted by least squares over the logarithm of the rate, with the weights
    of a normal kernel around the rate. The fitted loss is the value of the line at this
    rate: on a straight part of the curve, the fit has no lag and no bias [1]_. Losses
    far above the start are cut first, so that an explosion does not raise the fit of
    the valley. The standard error is computed from the residuals around each rate.

    Parameters
    ----------
    lrs:
        Learning rates, above 0 and in any order; several runs of the same settings
        are fitted together.
    losses:
        Raw losses, as many as ``lrs``. NaN and minus infinity are left out; infinity
        is cut like any high loss.
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
    if np.any(places[1:] < places[:-1]):
        order = np.argsort(places, kind="stable")
        places, kept = places[order], kept[order]
    if not np.isfinite(kept).any():
        empty = np.array([])
        unknown = Start(math.nan, math.nan, math.nan, math.nan)
        return Fit(empty, empty, empty, WIDEST if width is None else width, unknown)
    unit = _unit(kept)
    kept = kept / unit
    start = Start.of(places, kept)
    bins = _Bins.of(places)
    pilot, _ = _weights(bins, max(_PILOT, _SPACINGS * bins.spacing))
    fitted = _product(pilot, bins.means(np.minimum(kept, start.highest)))
    depth = max(start.level - float(fitted.min()), 0.0)
    cut = np.minimum(kept, start.highest + _CEILING * depth)
    if width is None:
        low = max(NARROWEST, _SPACINGS * bins.spacing)
        lowest = float(bins.places[int(np.argmin(fitted))])
        wanted = _width(places, cut, lowest, depth)
        width = min(max(wanted, low), max(WIDEST, low))
    weights, normal = _weights(bins, width)
    means = bins.means(cut)
    fitted = _product(weights, means)
    squares = bins.means(np.square(cut - means[bins.of_step]))
    squares += np.square(means - fitted)
    errors = _errors(bins, weights, normal, squares)
    scaled = Start(*(unit * x for x in start))
    return Fit(10**bins.places, unit * fitted, unit * errors, width, scaled)


def _unit(losses: FloatArray) -> float:
    """Return a power of two; the squares of the losses in this unit do not overflow."""
    finite = losses[np.isfinite(losses)]
    # An explosion does not count, since the fit cuts it.
    head = finite[: max(len(finite) // 3, _FEWEST)]
    largest = max(float(np.abs(head).max()), -float(finite.min()))
    return math.ldexp(1.0, int(np.frexp(largest)[1]) - 1)


def _product(weights: FloatArray, values: FloatArray) -> FloatArray:
    """Return the product of a matrix and a vector."""
    # numpy's own product starts threads that keep a processor busy after it: a training
    # at the same time takes three times as long.
    product: FloatArray = (weights * values).sum(1)
    return product


def _bits(losses: FloatArray) -> int:
    """Return the number of bits in the significands of finite losses."""
    significands = np.frexp(losses)[0]
    for bits in _BITS.values():
        scaled = np.ldexp(significands, bits)
        if np.array_equal(scaled, np.rint(scaled)):
            break
    return bits  # of float32 if the losses fit no precision


def _deviation(differences: FloatArray) -> float:
    """Return the standard deviation of differences, unchanged by a few outliers."""
    apart = np.abs(differences - quantile(differences, 0.5))
    return quantile(apart, _QUANTILE) / _DEVIATIONS


def _width(
    places: FloatArray, losses: FloatArray, lowest: float, depth: float
) -> float:
    """Return the width at which two standard errors are `_ERROR_SHARE` of the depth."""
    # The noise is taken from second differences, which do not depend on a slope.
    near = places <= lowest + WIDEST
    losses, places = losses[near], places[near]
    if len(losses) < _FEWEST or depth <= 0:
        return WIDEST
    second = losses[:-2] - 2 * losses[1:-1] + losses[2:]
    noise = _deviation(second / 6**0.5)
    decades = float(places[-1] - places[0])
    density = len(losses) / decades if decades else float("inf")
    # The variance of a normal kernel's mean is noise**2 / (2 sqrt(pi) width density).
    needed = 2 * noise / (_ERROR_SHARE * depth)
    return needed * needed / (2 * math.sqrt(math.pi) * density)


def _weights(bins: _Bins, width: float) -> tuple[FloatArray, FloatArray]:
    """
    Return the weight of each bin's mean (column) in each fitted value (row).

    The second matrix is the normal kernel of the distances of these bins.
    """
    normal = np.exp(-0.5 * np.square(bins.offsets / width))
    kernel = normal * bins.counts
    moment = kernel * bins.offsets
    total, first = kernel.sum(1), moment.sum(1)
    second = (moment * bins.offsets).sum(1)
    spread = total * second - first**2
    # No line can be fitted around an isolated bin: its mean is the fitted value.
    reach = min(width, float(bins.places[-1] - bins.places[0]))
    isolated = spread <= 1e-6 * (total * reach) ** 2
    spread[isolated], first[isolated], second[isolated] = total[isolated], 0.0, 1.0
    kernel *= (second / spread)[:, None]
    kernel -= moment * (first / spread)[:, None]
    return kernel, normal


def _errors(
    bins: _Bins, weights: FloatArray, normal: FloatArray, squares: FloatArray
) -> FloatArray:
    """Return the standard errors of fitted values, from mean squared residuals."""
    influence = np.square(weights)
    # The share of the noise that is left in the residuals of each bin.
    own = np.diagonal(weights) / bins.counts
    remaining = 1 - 2 * own + _product(influence, 1 / bins.counts)
    # The kernel of twice the width: its fourth power is the normal kernel.
    kernel = np.sqrt(np.sqrt(normal)) * bins.counts
    variances = _product(kernel, squares)
    variances /= np.maximum(_product(kernel, remaining), 1e-12)
    errors: FloatArray = np.sqrt(_product(influence, variances / bins.counts))
    return errors
