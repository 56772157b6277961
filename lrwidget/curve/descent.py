"""The default suggestion: as far down the descent as its noise allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from lrwidget.curve.suggestion import Suggestion

if TYPE_CHECKING:
    import numpy.typing as npt

    FloatArray: TypeAlias = npt.NDArray[np.float64]

# Rates are compared on their logarithm to the base 10, in which one is a decade.
_WIDTH = 0.35  # of the smoothing kernel, its standard deviation
_BINS = 25  # in a decade
_REACH = 2.5  # how far before the edge the descent is looked for
_SPREAD = 0.75  # of the doubt about a rate that only the edge tells, to either side

_BEGUN, _NEARLY_DONE = 0.1, 0.95  # parts of the descent, at the ends of the range
_SURE = 0.9  # the weight of one of them, beyond which the other is not mentioned
_CLEAREST = 1e6  # times the noise, which is to say without any
_LEAST = 4.0  # times the noise, less than which is none

# Losses have risen that are above the start by so many times the noise and such a
# part of the descent.
_HIGH, _RISE = 2.5, 0.1
_SHARE = 0.25  # of the losses that have risen from the edge on, at least
# To so many times the noise above this quantile of the first third losses are cut.
_OUTLYING, _CEILING = 3.0, 0.9

_FEWEST = 10
_ROUNDING = 1e-12
_EQUAL = 1e-6  # of the descent
_MEDIAN = 0.6745  # of the absolute values of a standard normal distribution


class Tuning(NamedTuple):
    """
    What was fitted to the tasks of ``benchmarks/suggestions.py``.

    Attributes
    ----------
    first, last:
        The part of the descent to go down where it hardly stands out of the noise,
        and where there is no noise.
    clear:
        How many times its noise the descent is where the part is halfway between.
    visible:
        How many times its noise the descent is where it counts as much as the edge.
    setback:
        How many decades before the edge to go where it is all that counts.
    """

    first: float = 0.05
    last: float = 0.7
    clear: float = 120.0
    visible: float = 10.0
    setback: float = 1.3


class _Curve(NamedTuple):
    """
    Losses over places, many of which may be in one bin.

    Attributes
    ----------
    places, losses:
        The means of what is in each bin.
    weights:
        How many points that is.
    kernel:
        How much each bin counts for each other one.
    """

    places: FloatArray
    losses: FloatArray
    weights: FloatArray
    kernel: FloatArray

    @classmethod
    def of(cls, places: FloatArray, losses: FloatArray) -> _Curve:
        """Return the curve of some points."""
        bins = ((places - places[0]) * _BINS).astype(np.int64)
        counts = np.bincount(bins)
        full = counts > 0
        weights = counts[full].astype(np.float64)
        where = np.bincount(bins, places)[full] / weights
        means = np.bincount(bins, losses)[full] / weights
        kernel = np.exp(-0.5 * np.square((where[:, None] - where) / _WIDTH))
        return cls(where, means, weights, kernel)

    def until(self, place: float) -> _Curve:
        """Return the part before a place."""
        count = int(np.searchsorted(self.places, place))
        kernel = self.kernel[:count, :count]
        return _Curve(
            self.places[:count], self.losses[:count], self.weights[:count], kernel
        )

    def smoothed(self) -> FloatArray:
        """Return the losses without most of their noise, and without lag."""
        total = self.kernel @ (self.weights * self.losses)
        smoothed: FloatArray = total / (self.kernel @ self.weights)
        return smoothed

    def points(self, i: int) -> float:
        """Return how many points one smoothed loss stands for."""
        row = self.kernel[i]
        return float(np.square(row @ self.weights) / (np.square(row) @ self.weights))


class _Fall(NamedTuple):
    """
    The descent of a smoothed curve.

    Attributes
    ----------
    places, losses:
        The smoothed curve down to its lowest point.
    level:
        Where it comes from.
    clearness:
        How many times its noise the descent is.
    """

    places: FloatArray
    losses: FloatArray
    level: float
    clearness: float

    def place(self, part: float) -> float:
        """Return where a part of the descent is done, for the last time."""
        goal = self.level - part * (self.level - self.losses[-1])
        before = np.flatnonzero(self.losses >= goal)
        if not before.size:
            return float(self.places[0])
        i = before[-1]
        if i + 1 == len(self.places):
            return float(self.places[i])
        way = (self.losses[i] - goal) / (self.losses[i] - self.losses[i + 1])
        return float(self.places[i] + way * (self.places[i + 1] - self.places[i]))


_TUNING = Tuning()


def descent(
    lrs: FloatArray, losses: FloatArray, tuning: Tuning = _TUNING
) -> Suggestion:
    """
    Suggest a rate on the descent: the clearer it is, the further down.

    What is measured, in the raw losses over the logarithm of the rate: the *start*,
    the median of the first third, and the noise around it; the *edge*, the rate from
    which on the losses stay above the start; and the *descent* before the edge, on a
    smoothed curve that has no lag (a normal kernel of 0.35 decades). The suggestion
    is where a part of the descent is done: little of one that hardly stands out of
    the noise, and 70 % of one without noise, since noise is what a long training
    cannot afford at a high rate. As far as the noise hides the descent, it moves to a
    twentieth of the edge. The range goes from where a tenth of the descent is done to
    where 95 % are, and is a decade and a half around the rate that only the edge
    tells. Scaling or shifting the losses changes nothing, nor does the smoothing of
    the display.

    Parameters
    ----------
    lrs:
        The rates, strictly increasing.
    losses:
        The raw losses, as many. What follows the first that is not finite is left out.
    tuning:
        For the benchmark, which fits it.

    Returns
    -------
    :
        A rate within ``lrs`` and a range around it; no rate where there are fewer
        than ten points, where the loss never falls, or where there is only noise.
    """
    finite = np.isfinite(losses)
    count = len(losses) if finite.all() else int(np.argmin(finite))
    if count < _FEWEST:
        return Suggestion(
            None, reason=f"too few points: {count}, and it takes {_FEWEST}"
        )
    places, scaled = np.log10(lrs[:count]), _scaled(losses[:count])
    start, noise, most = _start(places, scaled)
    curve = _Curve.of(places, np.minimum(scaled, most))
    smoothed = curve.smoothed()
    lowest = _lowest(smoothed, smoothed.max())
    highest = int(np.argmax(smoothed[: lowest + 1]))
    # The highest one of many is so by its noise, unless the descent begins at once.
    beyond = _LEAST * noise / curve.points(highest) ** 0.5
    top = float(smoothed[highest])
    level = min(max(start, top - beyond), top)
    depth = level - float(smoothed[lowest])
    risen = scaled > level + max(_HIGH * noise, _RISE * depth)
    edge = _edge(risen, int(np.searchsorted(places, curve.places[lowest])))
    end = float(places[min(edge, count - 1)])
    fall = _fall(curve.until(end) if edge < count else curve, level, noise, end)
    if fall is None:
        return Suggestion(None, reason="the loss never falls")
    weight, setback = 1.0, end - tuning.setback
    if edge < len(losses):
        weight = 1 - 1 / (1 + (fall.clearness / tuning.visible) ** 2)
        if setback < places[0] and weight < 1 - weight:
            return Suggestion(
                None, reason="the loss rises from the start: begin at a lower rate"
            )
    elif fall.clearness < _LEAST:
        return Suggestion(
            None, reason="only noise: the loss neither falls nor rises beyond it"
        )
    clear = 1 - 1 / (1 + fall.clearness / tuning.clear)
    part = tuning.first + clear * (tuning.last - tuning.first)
    on_descent = [fall.place(x) for x in (part, min(part, _BEGUN), _NEARLY_DONE)]
    from_edge = (setback, setback - _SPREAD, setback + _SPREAD)
    first, last = float(lrs[0]), float(lrs[-1])
    lr, low, high = (
        min(max(10.0 ** (weight * a + (1 - weight) * b), first), last)
        for a, b in zip(on_descent, from_edge, strict=True)
    )
    return Suggestion(lr, low, high, _words(part, weight, 10**end))


def _scaled(losses: FloatArray) -> FloatArray:
    """Return losses of which no sum or difference at the start overflows."""
    largest = float(np.abs(losses[: max(len(losses) // 3, _FEWEST)]).max())
    with np.errstate(over="ignore"):  # an explosion, which is cut later
        return losses / largest if largest else losses


def _start(places: FloatArray, losses: FloatArray) -> tuple[float, float, float]:
    """Return mean and noise of the first third, and the most that they explain."""
    third = int(np.searchsorted(places, places[0] + (places[-1] - places[0]) / 3))
    head = losses[: max(third, _FEWEST // 2)]
    steps = np.diff(head)
    # Less their median, since a trend is no noise.
    noise = float(np.median(np.abs(steps - np.median(steps)))) / _MEDIAN / 2**0.5
    most = float(np.quantile(head, _CEILING)) + _OUTLYING * noise
    return float(np.minimum(head, most).mean()), noise, most


def _lowest(losses: FloatArray, level: float) -> int:
    """Return the first of the lowest points, between which rounding decides."""
    least = float(losses.min())
    return int(np.argmax(losses <= least + _EQUAL * max(level - least, 0.0)))


def _edge(risen: npt.NDArray[np.bool_], start: int) -> int:
    """
    Return from which point on the losses have risen; their number if they have not.

    It is the one from which on the surplus of risen ones is largest.
    """
    surplus = np.cumsum(risen[start:][::-1] - _SHARE)[::-1]
    first = int(np.argmax(surplus))
    return start + first if surplus[first] > 0 else len(risen)


def _fall(curve: _Curve, level: float, noise: float, end: float) -> _Fall | None:
    """Return the descent to the lowest point of a curve, if it is one."""
    smoothed = curve.smoothed()
    if np.all(np.diff(smoothed) >= -_ROUNDING * np.abs(smoothed[1:])):
        return None
    first = int(np.searchsorted(curve.places[:-1], end - _REACH))
    lowest = first + _lowest(smoothed[first:], level)
    depth = max(level - float(smoothed[lowest]), 0.0)
    noise /= curve.points(lowest) ** 0.5
    clearness = depth / max(noise, depth / _CLEAREST) if depth else 0.0
    down = slice(lowest + 1)
    return _Fall(curve.places[down], smoothed[down], level, clearness)


def _words(part: float, weight: float, edge: float) -> str:
    """Tell how much of a suggestion is due to the descent, and how much to the edge."""
    on_descent = f"where {part:.0%} of the raw losses' descent is done"
    from_edge = f"a twentieth of {edge:.1e}, from where on the loss has risen"
    if weight > _SURE:
        return on_descent
    if weight < 1 - _SURE:
        return f"the descent is lost in noise: {from_edge}"
    return f"the descent is noisy: between {on_descent} and {from_edge}"
