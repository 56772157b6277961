"""The rules that stop a range test early."""

from __future__ import annotations

import math
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lrwidget.curve.fit import local_fit
from lrwidget.curve.lr_curve import Step
from lrwidget.curve.smoothing import DEFAULT_BETA as _BETA

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from lrwidget.config import StopDiv
    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.lr_curve import StopReason

# Faster than the constructor, which is a Python function.
_step = partial(tuple.__new__, Step)

# Constants of FitStopRule. A place is in decades from the first rate.
_BINS = 20  # in a decade
_LEAST_SPAN = 3.0  # decades; the places of a shorter plan are stretched to it
_SMALLEST_SPAN = 1e-12  # decades, against a division by 0
_FEWEST = 6  # bins of the start, and of a rise
_SHARE = 0.8  # the least share of high bins in a rise
_LONG = 2.0  # decades of a rise without a clear descent
_CLEAR = 3.0  # standard errors; a deeper descent is clear
_NOISE, _WITHOUT_DESCENT = 3.0, 10.0  # the least rise, in multiples of the noise
_DEPTH = 0.15  # the least rise, as a share of the depth of the descent
_HIGH = 2.0  # losses this far above the start, in median differences, need a fit
_FIRST_BINS = 4  # which an explosion is compared with
_EXPLOSION = 4.0  # times the largest absolute value in these

_MOST = float(np.finfo(np.float64).max)

# Constants of StopRule.
_TIMES_BEST = 4  # the limit, in multiples of the best smoothed loss
_FIRST = 10  # losses whose means are uncertain
_FIRST_NOISE = 4  # standard deviation allowed for these, in multiples of their mean


class Rule(Protocol):
    """A rule that sees the losses of one test in turn."""

    def update(self, loss: float) -> StopReason | None:
        """Add the next raw loss; return the reason to stop, or None to go on."""


class FitStopRule:
    """
    The default rule: stop where the fit of the curve is well above its start.

    The start is the first third of the planned rates on a logarithmic axis; its level
    is the highest fitted loss there, and the descent goes from it to the lowest fitted
    loss after it. After a clear descent, the test stops where five of the last six
    losses are above the level by three times the noise of the start, and by 15 % of
    the depth of the descent. Losses are compared with the level, and not the fit, which
    cuts high losses. Without a clear descent, four fifths of the losses of the last two
    decades have to be above the level by ten times the noise, or five of the last six
    above four times the largest absolute value of the first four losses, which also
    stops an explosion within the start. A loss that is NaN or infinite stops the test
    at once.

    The rule sees means of losses in bins, at most twenty in a decade, so that its
    memory does not grow with the number of steps. The fit is computed only at the end
    of a bin after high losses.

    Parameters
    ----------
    lrs:
        Planned learning rates, strictly increasing.
    """

    def __init__(self, lrs: Sequence[float] | FloatArray) -> None:
        places = np.log10(np.asarray(lrs))
        places -= places[0]
        # Neighbouring rates may have the same logarithm.
        places *= max(_LEAST_SPAN / max(float(places[-1]), _SMALLEST_SPAN), 1.0)
        firsts = np.flatnonzero(np.diff((places * _BINS).astype(np.int64), prepend=-1))
        sizes = np.diff(firsts, append=len(places))
        self._places: FloatArray = np.add.reduceat(places, firsts) / sizes
        self._sizes: list[int] = sizes.tolist()
        before = int(np.searchsorted(self._places, places[-1] / 3))
        self._bins_at_start = max(before, _FEWEST)
        self._means: list[float] = []
        self._sum = 0.0
        self._left = self._sizes[0]  # losses that are missing in the present bin
        self._high = math.inf  # the height of losses that need a fit, once it is known
        self._explosion = math.inf  # the height of one, once it is known

    def update(self, loss: float) -> StopReason | None:
        """Add the next raw loss; return the reason to stop, or None to go on."""
        self._sum += loss
        self._left -= 1
        if -_MOST <= loss <= _MOST:
            return None if self._left else self._next_bin()
        return "non_finite"

    def _next_bin(self) -> StopReason | None:
        means = self._means
        number = len(means)
        mean = max(self._sum / self._sizes[number], -_MOST)
        means.append(mean)
        number += 1
        self._sum = 0.0
        if number < len(self._sizes):
            self._left = self._sizes[number]
        if number == self._bins_at_start:
            # Lower losses are no rise, and a fit takes longer than a short step.
            noise = float(np.median(np.abs(np.diff(means))))
            self._high = float(np.median(means)) + _HIGH * noise
        elif mean > self._high and self._last_above(self._high) and self._has_risen():
            return "diverged"
        if number == _FIRST_BINS:
            self._explosion = _EXPLOSION * max(map(abs, means))
        elif mean > self._explosion and self._last_above(self._explosion):
            return "diverged"
        return None

    def _last_above(self, height: float) -> bool:
        """Whether nearly all of the last losses are above a height."""
        last = [mean > height for mean in self._means[-_FEWEST:]]
        return sum(last) >= _SHARE * _FEWEST

    def _has_risen(self) -> bool:
        """Whether the curve so far ends well above its start."""
        means = np.array(self._means)
        places = self._places[: len(means)]
        fit = local_fit(10**places, means)
        noise = fit.start.noise
        start = fit.lrs < 10 ** places[self._bins_at_start]
        highest = int(fit.losses[start].argmax())
        level = float(fit.losses[highest])
        lowest = highest + int(fit.losses[highest:].argmin())
        depth = level - float(fit.losses[lowest])
        rise = max(_NOISE * noise, _DEPTH * depth)
        first = len(means) - _FEWEST
        if depth <= max(_CLEAR * float(fit.errors[lowest]), noise):
            rise = max(rise, _WITHOUT_DESCENT * noise)
            first = min(first, int(np.searchsorted(places, places[-1] - _LONG)))
        return float(np.mean(means[first:] > level + rise)) >= _SHARE


class StopRule:
    """
    fastai's rule: stop where the smoothed loss passes four times its best.

    The first ten smoothed values are means of few losses, and may be small by chance,
    so that fastai may stop a noisy training. Here, such a mean of ``t`` losses is
    multiplied by ``1 + 4 / sqrt(t)`` before it counts as the best value: this allows
    for noise of four times the loss. After a negative loss, a multiple of the best
    value is no limit. The limit is then above the best value by three times its
    distance from zero, or from the highest of the first ten losses if that is more; the
    test does not stop during these ten. A loss that is NaN or infinite stops it at
    once.
    """

    def __init__(self) -> None:
        self._sum = 0.0
        self._bias = 1.0
        self._best = math.inf
        self._limit = -math.inf
        self._highest = -math.inf
        self._count = 0
        self._signed = False

    def update(self, loss: float) -> StopReason | None:
        """Add the next raw loss; return the reason to stop, or None to go on."""
        # the mean of `exponential_mean`, one loss at a time
        self._sum = total = _BETA * self._sum + (1 - _BETA) * loss
        self._bias = bias = _BETA * self._bias
        smoothed = total / (1 - bias)
        known = self._best <= smoothed <= self._limit < math.inf
        if known and (loss >= 0 or self._signed):
            return None  # the usual case, without further computation
        if not math.isfinite(loss):
            return "non_finite"
        self._signed = self._signed or loss < 0
        if self._count < _FIRST:
            return self._update_early(loss, smoothed)
        self._best = self._lowered(smoothed)
        self._limit = self._limit_above(self._best)
        return "diverged" if smoothed > self._limit else None

    def _update_early(self, loss: float, smoothed: float) -> StopReason | None:
        self._count += 1
        self._highest = max(self._highest, loss)
        if self._signed and self._count < _FIRST:
            return None
        margin = _FIRST_NOISE / self._count**0.5 * abs(smoothed)
        self._best = min(self._best, smoothed + margin)
        limit = self._limit_above(self._best)
        if self._count == _FIRST:
            self._limit = limit
        return "diverged" if smoothed > limit else None

    def _limit_above(self, best: float) -> float:
        unit = max(abs(best), self._highest - best) if self._signed else abs(best)
        return best + (_TIMES_BEST - 1) * unit

    def _lowered(self, smoothed: float) -> float:
        """Return the best value after a loss beyond the first ten."""
        return min(self._best, smoothed)


class SteadyStopRule(StopRule):
    """
    The rule for a training at one rate: the best of the first ten is never lowered.

    The loss of such a training may come so close to zero that its noise exceeds four
    times its best value.
    """

    def _lowered(self, _smoothed: float) -> float:
        return self._best


def stop_rule_of(stop_div: StopDiv, lrs: Sequence[float]) -> Callable[[], Rule] | None:
    """Return a function that makes the rule for these rates; None for no rule."""
    if stop_div == "fastai":
        return StopRule
    return partial(FitStopRule, lrs) if stop_div else None


def apply_stop_rule(
    points: Generator[tuple[float, float], None, StopReason],
    stop_rule: Callable[[], Rule] | None,
) -> Generator[Step, None, StopReason]:
    """
    Yield rates with their losses as steps, and return the reason of the end.

    The code makes few calls for each point, since each call is slow: a training step
    removes the code from the caches of the processor.
    """
    rule = None if stop_rule is None else stop_rule()
    iteration = 0
    with closing(points):
        while True:
            try:
                lr, loss = next(points)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # untyped
            yield _step((iteration, lr, loss, None))
            iteration += 1
            reason = None if rule is None else rule.update(loss)
            if reason is not None:
                return reason
