"""The default suggestion: as far down the descent as its noise allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lrwidget.curve.suggestion import Suggestion

if TYPE_CHECKING:
    from lrwidget.curve.arrays import FloatArray

# Rates are compared on their logarithm to the base 10, in which one is a decade.
_WIDTH = 0.35  # of the smoothing kernel, its standard deviation
_BINS = 10  # in a decade

# Heights above the start are in multiples of the noise.
_LEAST = 4.0  # the smallest descent, over its noise, that counts without an edge
_HIGH = 2.5  # a loss above this height has risen
_FAR = 10.0  # a loss above this height counts as three risen losses
_SHARE = 0.25  # the smallest share of risen losses from the edge on
# Losses are cut at a multiple of the noise above a quantile of the start.
_OUTLYING, _CEILING = 3.0, 0.9

_BEGUN, _NEARLY_DONE = 0.3, 0.9  # parts of the descent, at the ends of the range
_SPREAD = 0.5  # of the range to either side of a rate that only the edge tells
_SURE = 0.9  # the weight of one of them, beyond which the other is not mentioned

_FEWEST = 10
_TOO_EARLY = "too little comes before the rise; begin at a lower rate"
_CLEAREST = 1e6  # times its noise is a descent without any
_ROUNDING = 1e-12
_EQUAL = 1e-6  # of the descent is no difference
# The relative error of losses that are computed in single precision.
_PRECISION = 8 * float(np.finfo(np.float32).eps)
# A quantile of the absolute values of a normal distribution. The median would see
# no noise where most losses are rounded to the same number.
_QUANTILE, _DEVIATIONS = 0.8, 1.2816


class Tuning(NamedTuple):
    """The constants that ``benchmarks/suggestions.py`` fits to half of its tasks."""

    first: float = 0.1  # the part of a descent to go down, if noise nearly hides it
    last: float = 0.85  # the part of a descent to go down, if it has no noise
    clear: float = 120.0  # the descent, in multiples of its noise, halfway between both
    visible: float = 10.0  # the same, where descent and edge count equally
    setback: float = 1.3  # decades below the edge, if only the edge counts


_TUNING = Tuning()


class _Start(NamedTuple):
    """The level and the noise of a curve's start, and the most that they explain."""

    level: float
    noise: float
    most: float

    @classmethod
    def of(cls, places: FloatArray, losses: FloatArray) -> _Start:
        """Measure the first third of a curve."""
        third = places < places[0] + (places[-1] - places[0]) / 3
        head = losses[: max(int(third.sum()), _FEWEST // 2)]
        steps = np.diff(head)
        # Less their median, since a trend is no noise.
        rough = np.abs(steps - np.median(steps))
        noise = float(np.quantile(rough, _QUANTILE)) / _DEVIATIONS / 2**0.5
        most = float(np.quantile(head, _CEILING)) + _OUTLYING * noise
        return cls(float(np.minimum(head, most).mean()), noise, most)


class _Fall(NamedTuple):
    """A smoothed curve down to its lowest point."""

    places: FloatArray
    losses: FloatArray
    level: float  # of its start
    clearness: float  # the descent over its noise

    @classmethod
    def of(cls, places: FloatArray, losses: FloatArray, start: _Start) -> _Fall | None:
        """Smooth the losses before the edge; None if they fall by rounding at most."""
        finite = losses[np.isfinite(losses)]
        if np.ptp(finite) <= _PRECISION * np.abs(finite).max():
            return None
        bins = ((places - places[0]) * _BINS).astype(np.int64)
        counts = np.bincount(bins)
        full = counts > 0
        weights = counts[full].astype(np.float64)
        where = np.bincount(bins, places)[full] / weights
        sums = np.bincount(bins, np.minimum(losses, start.most))[full]
        kernel = np.exp(-0.5 * np.square((where[:, None] - where) / _WIDTH))
        smoothed = (kernel @ sums) / (kernel @ weights)
        if np.all(np.diff(smoothed) >= -_ROUNDING * np.abs(smoothed[1:])):
            return None
        least = float(smoothed.min())
        depth = max(start.level - least, 0.0)
        # The first of the lowest, between which rounding would decide.
        lowest = int(np.argmax(smoothed <= least + _EQUAL * depth))
        row = kernel[lowest]
        points = float(np.square(row @ weights) / (np.square(row) @ weights))
        noise = max(start.noise / points**0.5, depth / _CLEAREST)
        clearness = depth / noise if depth else 0.0
        return cls(where[: lowest + 1], smoothed[: lowest + 1], start.level, clearness)

    def place(self, part: float) -> float:
        """Return where a part of the descent is done, for the last time."""
        goal = self.level - part * (self.level - self.losses[-1])
        before = np.flatnonzero(self.losses[:-1] >= goal)
        if not before.size:
            return float(self.places[0])
        i = int(before[-1])
        drop = float(self.losses[i] - self.losses[i + 1])
        way = float(self.losses[i] - goal) / drop if drop else 0.0
        return float(self.places[i] + way * (self.places[i + 1] - self.places[i]))


def descent(
    lrs: FloatArray, losses: FloatArray, tuning: Tuning = _TUNING
) -> Suggestion:
    """
    Suggest a rate on the descent: the less noise, the further down.

    Three things are measured in the raw losses over the logarithm of the rate. The
    *start* is the mean of the first third, with the noise around it. The *edge* is the
    rate from which on many losses are above the start by more than the noise. The
    *descent* goes from the start to the lowest point before the edge, on a smoothed
    curve without lag (a normal kernel of 0.35 decades).

    The suggestion is the rate where a part of the descent is done: a small part if
    noise nearly hides the descent, and 85 % if there is no noise, since a long
    training at a high rate cannot afford noise. The more the noise hides the descent,
    the closer the suggestion moves to a twentieth of the edge. The range goes from
    30 % to 90 % of the descent; if only the edge gives the rate, the range is a decade
    around that rate.

    Scaling or shifting the losses changes nothing, and neither does the smoothing of
    the display. NaN is left out. There is no suggestion from fewer than ten points,
    from a loss that never falls, from noise or rounding alone, or if the edge comes so
    early that there is little before it.
    """
    known = np.isfinite(losses) | (losses == np.inf)
    count = int(np.isfinite(losses).sum())
    if count < _FEWEST:
        return _none(f"too few points ({count} of at least {_FEWEST})")
    places, scaled = np.log10(lrs[known]), _scaled(losses[known])
    finite = np.isfinite(scaled)
    start = _Start.of(places[finite], scaled[finite])
    fall = _Fall.of(places, scaled, start)
    if fall is not None:
        # High losses before the descent are no rise.
        lowest = int(np.searchsorted(places, fall.places[-1]))
        edge = lowest + _edge(scaled[lowest:], start)
        if edge < _FEWEST // 2:
            return _none(_TOO_EARLY)
        if edge < len(scaled):
            fall = _Fall.of(places[:edge], scaled[:edge], start)
    if fall is None:
        return _none("the loss never falls")
    clear = 1 - 1 / (1 + fall.clearness / tuning.clear)
    part = tuning.first + clear * (tuning.last - tuning.first)
    parts = part, min(part, _BEGUN), max(part, _NEARLY_DONE)
    found = np.array([fall.place(x) for x in parts])
    reason = f"where {part:.0%} of the raw losses' descent is done"
    if edge < len(scaled):
        weight = 1 - 1 / (1 + (fall.clearness / tuning.visible) ** 2)
        setback = float(places[edge]) - tuning.setback
        from_edge = np.array([setback, setback - _SPREAD, setback + _SPREAD])
        found = weight * found + (1 - weight) * from_edge
        at = f"1/{10**tuning.setback:.0f} of {10 ** places[edge]:.2g}"
        reason = _words(weight, reason, f"{at}, where the loss rises")
    elif fall.clearness < _LEAST:
        return _none("only noise, beyond which the loss neither falls nor rises")
    if found[0] < places[0]:
        return _none(_TOO_EARLY)
    lr, low, high = np.clip(10.0**found, lrs[0], lrs[-1]).tolist()
    return Suggestion(lr, low, high, reason)


def unstable_from(lrs: FloatArray, losses: FloatArray) -> float | None:
    """Return the rate from which on the loss has risen above the start, if it has."""
    known = np.isfinite(losses) | (losses == np.inf)
    if int(np.isfinite(losses).sum()) < _FEWEST:
        return None
    places, scaled = np.log10(lrs[known]), _scaled(losses[known])
    finite = np.isfinite(scaled)
    start = _Start.of(places[finite], scaled[finite])
    fall = _Fall.of(places, scaled, start)
    lowest = 0 if fall is None else int(np.searchsorted(places, fall.places[-1]))
    edge = lowest + _edge(scaled[lowest:], start)
    return float(lrs[known][edge]) if edge < len(scaled) else None


def _none(reason: str) -> Suggestion:
    return Suggestion(None, reason=reason)


def _words(weight: float, on_descent: str, from_edge: str) -> str:
    """Tell what a suggestion is due to."""
    if weight > _SURE:
        return on_descent
    if weight < 1 - _SURE:
        return f"the descent is lost in noise: {from_edge}"
    return f"the descent is noisy: between {on_descent} and {from_edge}"


def _scaled(losses: FloatArray) -> FloatArray:
    """Return losses of which no sum or difference at the start overflows."""
    head = np.abs(losses[: max(len(losses) // 3, _FEWEST)])
    largest = float(head[np.isfinite(head)].max(initial=0.0))
    with np.errstate(over="ignore"):  # an explosion, which is cut later
        return losses / largest if largest else losses


def _edge(losses: FloatArray, start: _Start) -> int:
    """Return the first point from which on losses have risen, or their number."""
    # From it on, the surplus of risen losses is largest. A single one that is not far
    # above the start may be so by its noise.
    risen = (losses > start.level + _HIGH * start.noise).astype(np.float64)
    bound = max(start.most, start.level + _FAR * start.noise)
    risen += 2.0 * (losses > bound)
    surplus = np.cumsum(risen[::-1] - _SHARE)[::-1]
    first = int(np.argmax(surplus))
    return first if surplus[first] > 1 else len(losses)
