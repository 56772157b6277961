"""The default suggestion: down the descent, and away from the rise."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lrwidget.curve.edge import FEWEST, WIDTH
from lrwidget.curve.suggestion import Suggestion
from lrwidget.curve.ticks import short

if TYPE_CHECKING:
    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.fit import Fit
    from lrwidget.curve.lr_curve import LRCurve

# Rates are compared on their logarithm to the base 10, in which one is a decade.
_RANGE = math.log10(2)  # to either side of the suggestion
_FEW = 10  # steps a decade, below which a suggestion says so

_LEAST = 4.0  # the smallest descent, over its noise, that counts without an edge
_SURE = 0.9  # the weight of descent or edge, beyond which the other is not mentioned
_TOO_EARLY = "too little comes before the rise; begin at a lower rate"
_NOISELESS = 1e6  # times its noise is a descent without any
_BEGINNING = 0.25  # of the start: a lowest point there is no descent
_NARROW = 1e-6  # decades, in which steps are hardly apart
_HARDLY = 0.01  # of the descent at the suggestion is none of it


class Tuning(NamedTuple):
    """The constants that ``benchmarks/suggestions.py`` fits to half of its tasks."""

    first: float = 0.05  # the part of a descent to go down, if noise nearly hides it
    last: float = 0.95  # the part of a descent to go down, if it has no noise
    clear: float = 70.0  # the descent, in multiples of its noise, halfway between both
    visible: float = 12.0  # the same, where descent and edge count equally
    setback: float = 1.1  # decades below the edge, if only the edge counts
    lateness: float = 0.7  # decades later, if the lag is ten times as long
    timely: float = 0.34  # the lag, in decades, that needs no correction
    least_lag: float = 0.05  # decades, of any optimizer


_TUNING = Tuning()


def descent(curve: LRCurve, tuning: Tuning = _TUNING) -> Suggestion:
    """
    Suggest a rate on the descent: the less noise, the further down.

    The *descent* goes from the level of the start to the lowest point of a fit without
    lag (0.35 decades wide). The *edge* is the rate from which on the loss is unstable.
    The rate where a part of the descent is done, and a rate some way below the edge,
    are averaged in the logarithm: the more noise hides the descent, the smaller is that
    part, and the more the edge counts.

    The test itself is late: its rate grows while the optimizer still averages over
    former steps, and before the loss has followed. The *lag* is the number of decades
    by which the rate grows during the steps that the optimizer averages over. The
    longer the lag, the lower the suggestion; the correction by the edge is never up.

    The range to try is from a half of the suggestion to twice as much. All constants
    come from ``benchmarks/suggestions.py``, which says what suggestion and range are
    worth.

    Scaling or shifting the losses changes nothing, and neither does the smoothing of
    the display. NaN is left out. A lowest loss that is alone counts as the lower loss
    beside it. There is no suggestion from fewer than ten points, from a loss that never
    falls or is lowest at the first rates, from noise or rounding alone, or if the edge
    comes so early that there is little before it.
    """
    count = int(np.isfinite(curve.losses).sum())
    if count < FEWEST:
        return _none(f"too few points ({count} of at least {FEWEST})")
    curve = _without_lucky_point(curve)
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
    return Suggestion(lr, low, high, _words(fall, lr, edge, weight, density))


def _without_lucky_point(curve: LRCurve) -> LRCurve:
    """
    Return a curve whose lowest loss is not alone.

    It is raised to the lower one beside it if that is not half as far below the start.
    """
    known = np.flatnonzero(np.isfinite(curve.losses) | (curve.losses == np.inf))
    losses = curve.losses[known]
    lowest = int(np.argmin(losses))
    beside = losses[max(lowest - 1, 0) : lowest + 2].copy()
    beside[min(lowest, 1)] = np.inf
    level, noise, *_ = curve.fit(WIDTH).start
    least = max(_LEAST * noise, (level - float(losses[lowest])) / 2)
    raised = float(beside.min())
    if raised - losses[lowest] <= least:
        return curve
    losses = curve.losses.copy()
    losses[known[lowest]] = raised
    return replace(curve, losses=losses)


def _problem(
    curve: LRCurve, fall: _Fall, places: FloatArray, edge: float | None
) -> str | None:
    """Return why the steps at these places tell no rate, if they do not."""
    # The losses rise within the start, of which the level is measured.
    start = (math.log10(curve.lrs[-1]) - places[0]) / 3
    low, high = fall.places[-1] - places[0], places[-1] - places[0]
    early = low < _BEGINNING * start
    if early and high < start:
        return _TOO_EARLY
    if fall.depth <= curve.fit(WIDTH).start.rounding:
        return "the loss never falls"
    if edge is None and fall.clearness < _LEAST:
        return "only noise, beyond which the loss neither falls nor rises"
    if edge is None and early:
        return "the loss is lowest at the first rates"
    return None


class _Fall(NamedTuple):
    """A fit down to its lowest point."""

    places: FloatArray
    losses: FloatArray
    level: float  # of the start
    depth: float
    clearness: float  # the depth over its noise

    @classmethod
    def of(cls, fit: Fit, points: FloatArray) -> _Fall:
        """Return the fall of a fit at the places of the steps before the edge."""
        before = int(np.searchsorted(fit.lrs, 10.0 ** points[-1], "right"))
        lowest = fit.lowest(max(before, 1))
        level, noise = fit.start.level, fit.start.noise
        depth = level - float(fit.losses[lowest])
        # The points that the kernel of the fit averages over, in the middle of a curve.
        decades = max(float(points[-1] - points[0]), WIDTH)
        averaged = 2 * math.sqrt(math.pi) * WIDTH * len(points) / decades
        noise = max(noise / math.sqrt(averaged), depth / _NOISELESS)
        clearness = depth / noise if depth > 0 else 0.0
        places, losses = np.log10(fit.lrs[: lowest + 1]), fit.losses[: lowest + 1]
        return cls(places, losses, level, depth, clearness)

    def place(self, part: float) -> float:
        """Return where a part of the descent is done, for the last time."""
        goal = self.level - part * self.depth
        before = np.flatnonzero(self.losses[:-1] >= goal)
        if not before.size:
            return float(self.places[0])
        i = int(before[-1])
        drop = float(self.losses[i] - self.losses[i + 1])
        way = float(self.losses[i] - goal) / drop if drop else 0.0
        return float(self.places[i] + way * (self.places[i + 1] - self.places[i]))

    def part(self, lr: float) -> float:
        """Return the part of the descent that is done at a rate."""
        loss = float(np.interp(math.log10(lr), self.places, self.losses))
        # A place before the lowest point may be lower, but by chance.
        return min((self.level - loss) / self.depth, 1.0)


def _density(places: FloatArray, place: float) -> float:
    """Return the number of steps a decade around a place."""
    near = np.abs(places - place) < max(WIDTH, 2 * float(np.median(np.diff(places))))
    inside = places[near] if near.sum() > 1 else places
    return (len(inside) - 1) / max(float(inside[-1] - inside[0]), _NARROW)


def _none(reason: str) -> Suggestion:
    return Suggestion(None, reason=reason)


def _words(
    fall: _Fall, lr: float, edge: float | None, weight: float, density: float
) -> str:
    """Tell where a suggestion is, and how sure that is."""
    part = fall.part(lr)
    few = f"; {density:.0f} steps a decade are few" if density < _FEW else ""
    how = "clear" if weight > _SURE else "noisy"
    on_slope = f"{part:.0%} of the way down a {how} slope"
    if part < _HARDLY:
        on_slope = f"where a {how} slope begins"
    if edge is None or weight > _SURE:
        return on_slope + few
    below = f"1/{edge / lr:.0f} of {short(edge)}, where the loss rises"
    if weight < 1 - _SURE:
        return f"too noisy to see a slope: by rule of thumb, {below}{few}"
    return f"{on_slope}, and {below}{few}"
