"""The default suggestion: a rate on the descent, at a distance from the rise."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lrwidget.curve.edge import FEWEST, WIDTH
from lrwidget.curve.suggestion import Suggestion
from lrwidget.curve.ticks import rounded, short

if TYPE_CHECKING:
    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.fit import Fit
    from lrwidget.curve.lr_curve import LRCurve

# A place is the decimal logarithm of a rate, so that distances are in decades. The
# clearness of a descent is its depth in multiples of its noise.
_RANGE = math.log10(2)  # on each side of the suggestion
_FEW_STEPS = 10  # a decade; from fewer, the reason asks for more
MORE_STEPS = "more steps would make it surer"

_LEAST_CLEARNESS = 4.0  # of a descent without an edge, or to one loss alone
_MOST_CLEARNESS = 1e6  # of a descent without noise
_SURE = 0.9  # the weight of descent or edge from which the reason mentions it alone
_TOO_EARLY = "the rise comes too early; begin at a lower rate"
_BEGINNING = 0.25  # of the start; a curve that is lowest there has no descent
_LEAST_SPAN = 1e-6  # decades, against a division by 0
# Parts of the descent, in words.
_PARTS = {
    0.0: "where {} begins",
    0.1: "a tenth of the way down {}",
    0.25: "a quarter of the way down {}",
    1 / 3: "a third of the way down {}",
    0.5: "halfway down {}",
    2 / 3: "two thirds of the way down {}",
    0.75: "three quarters of the way down {}",
    0.9: "nine tenths of the way down {}",
    0.97: "at the lower end of {}",
}


class Tuning(NamedTuple):
    """The constants that ``benchmarks/suggestions.py`` fits to half of its tasks."""

    first: float = 0.05  # the part of a descent to go down, if noise nearly hides it
    last: float = 0.95  # the part of a descent to go down, if it has no noise
    clear: float = 70.0  # the clearness for the mean of these two parts
    visible: float = 12.0  # the clearness at which descent and edge count equally
    setback: float = 1.1  # decades below the edge, if only the edge counts
    lateness: float = 0.7  # decades of correction for a lag ten times as long
    timely: float = 0.34  # the lag without a correction, in decades
    least_lag: float = 0.05  # the lag that is added for any optimizer, in decades


_TUNING = Tuning()


def descent(curve: LRCurve, tuning: Tuning = _TUNING) -> Suggestion:
    """
    Suggest a rate on the descent: the less noise, the further down.

    The *descent* goes from the level of the start to the lowest point of a fit without
    lag (0.35 decades wide). The *edge* is the rate from which on the loss is unstable.
    The suggestion is a weighted geometric mean of two rates: one where a part of the
    descent is done, and one at a distance below the edge. The more noise hides the
    descent, the smaller is that part, and the larger is the weight of the edge.

    The losses of the test are late: the rate grows while the optimizer still averages
    over former steps. The *lag* is the number of decades by which the rate grows during
    the steps that the optimizer averages over. The longer the lag, the lower the
    suggestion. A short lag raises the rate on the descent, but not the one at the edge.

    The range to try is from a half of the suggestion to twice as much. All constants
    come from ``benchmarks/suggestions.py``, which measures suggestion and range.

    Scaling or shifting the losses changes nothing, and neither does the smoothing of
    the display. NaN is left out. A lowest loss far below both losses beside it counts
    as the lower of these. There is no suggestion from fewer than ten points, from a
    loss that never falls or is lowest at the first rates, from noise or rounding alone,
    or if the edge comes too early.
    """
    count = int(np.isfinite(curve.losses).sum())
    if count < FEWEST:
        return _none(f"too few points ({count} of at least {FEWEST})")
    curve = _without_outlier(curve)
    edge = curve.unstable_from
    known = np.isfinite(curve.losses) | (curve.losses == np.inf)
    places = np.log10(curve.lrs[known & (curve.lrs < (edge or math.inf))])
    if len(places) < FEWEST // 2:
        return _none(_TOO_EARLY)
    fall = _Fall.of(curve.fit(WIDTH), places)
    problem = _problem(curve, fall, places, edge)
    if problem is not None:
        return _none(problem)
    clear = 1 - 1 / (1 + fall.clearness / tuning.clear)
    place = fall.place(tuning.first + clear * (tuning.last - tuning.first))
    density = _density(places, place)
    lag = curve.optimizer_memory / density + tuning.least_lag
    late = tuning.lateness * math.log10(lag / tuning.timely)
    place = min(place - late, float(fall.places[-1]))  # before the rise
    weight = 1 - 1 / (1 + (fall.clearness / tuning.visible) ** 2)
    if edge is not None:
        # A short lag is a reason to go further down a descent, but not near an edge.
        below = math.log10(edge) - tuning.setback - max(late, 0.0)
        place = weight * place + (1 - weight) * below
    place = min(place, float(places[-1]))  # and before the edge
    if place < places[1]:  # by a linear sweep, decades above the first step
        return _none(_TOO_EARLY)
    found = np.array([place, place - _RANGE, place + _RANGE])
    lr, low, high = np.clip(10.0**found, curve.lrs[0], curve.lrs[-1]).tolist()
    return Suggestion(lr, low, high, _reason(fall, lr, edge, weight, density))


def _without_outlier(curve: LRCurve) -> LRCurve:
    """
    Return a curve whose lowest loss is no outlier.

    The lowest loss is raised to the lower of the losses beside it if the difference is
    more than a half of its depth below the start, and more than the noise explains.
    """
    known = np.flatnonzero(np.isfinite(curve.losses) | (curve.losses == np.inf))
    losses = curve.losses[known]
    lowest = int(np.argmin(losses))
    beside = losses[max(lowest - 1, 0) : lowest + 2].copy()
    beside[min(lowest, 1)] = np.inf
    level, noise, *_ = curve.fit(WIDTH).start
    least = max(_LEAST_CLEARNESS * noise, (level - float(losses[lowest])) / 2)
    raised = float(beside.min())
    if raised - losses[lowest] <= least:
        return curve
    losses = curve.losses.copy()
    losses[known[lowest]] = raised
    return replace(curve, losses=losses)


def _problem(
    curve: LRCurve, fall: _Fall, places: FloatArray, edge: float | None
) -> str | None:
    """Return the reason for no suggestion from these steps; None if there is one."""
    # The level of the start is no reference if the losses rise within the start.
    start = (math.log10(curve.lrs[-1]) - places[0]) / 3
    to_lowest, to_edge = fall.places[-1] - places[0], places[-1] - places[0]
    early = to_lowest < _BEGINNING * start
    if early and to_edge < start:
        return _TOO_EARLY
    if fall.depth <= curve.fit(WIDTH).start.rounding:
        return "the loss never falls"
    if edge is None and fall.clearness < _LEAST_CLEARNESS:
        return "the loss neither falls nor rises beyond its noise"
    if edge is None and early:
        return "the loss is lowest at the first rates"
    return None


class _Fall(NamedTuple):
    """The descent of a fit, with its points from the first to the lowest one."""

    places: FloatArray
    losses: FloatArray
    level: float  # of the start
    depth: float
    clearness: float

    @classmethod
    def of(cls, fit: Fit, points: FloatArray) -> _Fall:
        """Return the descent of a fit, for the places of the steps before the edge."""
        before = int(np.searchsorted(fit.lrs, 10.0 ** points[-1], "right"))
        lowest = fit.lowest(max(before, 1))
        level, noise = fit.start.level, fit.start.noise
        depth = level - float(fit.losses[lowest])
        # The number of points that the kernel averages over, in the middle of a curve.
        decades = max(float(points[-1] - points[0]), WIDTH)
        averaged = 2 * math.sqrt(math.pi) * WIDTH * len(points) / decades
        noise = max(noise / math.sqrt(averaged), depth / _MOST_CLEARNESS)
        clearness = depth / noise if depth > 0 else 0.0
        places, losses = np.log10(fit.lrs[: lowest + 1]), fit.losses[: lowest + 1]
        return cls(places, losses, level, depth, clearness)

    def place(self, part: float) -> float:
        """Return the last place at which the fit falls below a part of the descent."""
        goal = self.level - part * self.depth
        before = np.flatnonzero(self.losses[:-1] >= goal)
        if not before.size:
            return float(self.places[0])
        i = int(before[-1])
        drop = float(self.losses[i] - self.losses[i + 1])
        share = float(self.losses[i] - goal) / drop if drop else 0.0
        return float(self.places[i] + share * (self.places[i + 1] - self.places[i]))

    def part(self, lr: float) -> float:
        """Return the part of the descent that is done at a rate."""
        loss = float(np.interp(math.log10(lr), self.places, self.losses))
        # An uncertain loss may be below that of the lowest point.
        return min((self.level - loss) / self.depth, 1.0)


def _density(places: FloatArray, place: float) -> float:
    """Return the number of steps a decade around a place."""
    near = np.abs(places - place) < max(WIDTH, 2 * float(np.median(np.diff(places))))
    inside = places[near] if near.sum() > 1 else places
    return (len(inside) - 1) / max(float(inside[-1] - inside[0]), _LEAST_SPAN)


def _none(reason: str) -> Suggestion:
    return Suggestion(None, reason=reason)


def _reason(
    fall: _Fall, lr: float, edge: float | None, weight: float, density: float
) -> str:
    """Return the reason of a suggestion: its position, and how clear that is."""
    part = fall.part(lr)
    few = f"; {MORE_STEPS} ({density:.0f} a decade)" if density < _FEW_STEPS else ""
    nearest = min(_PARTS, key=lambda known: abs(known - part))
    slope = "the slope" if weight > _SURE else "a noisy slope"
    on_slope = _PARTS[nearest].format(slope)
    if edge is None or weight > _SURE:
        return on_slope + few
    distance = rounded(edge) / rounded(lr)
    below = f"1/{short(distance)} of {short(edge)}, where the loss rises"
    if weight < 1 - _SURE:
        return f"Too noisy to see a slope. Rule of thumb: {below}{few}"
    return f"{on_slope}, and {below}{few}"
