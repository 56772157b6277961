"""The suggestion rules by their names, and those of fastai."""

from __future__ import annotations

from bisect import bisect_left
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from lrwidget.curve.checks import check_known
from lrwidget.curve.default_rule import descent
from lrwidget.curve.suggestion import Suggestion

if TYPE_CHECKING:
    from collections.abc import Callable

    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.lr_curve import LRCurve

Rule: TypeAlias = "Callable[[LRCurve], Suggestion]"
# Of rates and smoothed losses.
ClassicRule: TypeAlias = "Callable[[FloatArray, FloatArray], float | None]"

_SKIP_END = 5
_SLIDE_WIDTH = 15
_SLIDE_THRESHOLD = 0.005
_ROUNDING = 1e-12


def valley(lrs: FloatArray, losses: FloatArray) -> float:
    """
    Return the rate about halfway down the longest valley: fastai's default.

    The valley ends at the first point where the longest strictly decreasing
    subsequence ends, and starts as many points before it as that has. The rate
    is half of its width from its start. Source: fastai's ``valley``, first in
    ESRI's arcgis; here in O(n log n), and never before the first point.
    """
    tails: list[float] = []
    end = 0
    for index, depth in enumerate((-losses).tolist()):
        place = bisect_left(tails, depth)
        if place < len(tails):
            tails[place] = depth
        else:
            tails.append(depth)
            end = index
    length = len(tails)
    third = length / 3
    return float(lrs[max(end - length + int(third) + int(third / 2), 0)])


def slide(lrs: FloatArray, losses: FloatArray) -> float | None:
    """
    Return where a window slid down from the end meets the flat of the valley.

    The window is 15 steps wide and stops where the slopes at its two sides
    differ by 0.005 or less; its left side is the rate. None for a curve of
    fewer than 16 points. Source: fastai's ``slide``, from Novetta.
    """
    if len(losses) <= _SLIDE_WIDTH:
        return None
    slope = np.gradient(losses)
    apart = np.abs(slope[_SLIDE_WIDTH:] - slope[:-_SLIDE_WIDTH]) > _SLIDE_THRESHOLD
    stops = np.flatnonzero(~apart)
    left = int(stops[-1]) + 1 if stops.size else 0
    return float(lrs[min(left, len(apart) - 1)])


def minimum(lrs: FloatArray, losses: FloatArray) -> float:
    """Return a tenth of the rate at the lowest loss. Source: fastai's ``minimum``."""
    return float(lrs[np.argmin(losses)]) / 10


def steep(lrs: FloatArray, losses: FloatArray) -> float:
    """
    Return the rate where the loss falls fastest over the logarithm of the rate.

    The slope is that from a point to the next. Source: fastai's ``steep``.
    """
    return float(lrs[np.argmin(np.diff(losses) / np.diff(np.log(lrs)))])


def min_grad(lrs: FloatArray, losses: FloatArray) -> float:
    """
    Return the rate where the loss falls fastest from step to step.

    The slope is the central difference. Source: fastai v1's ``min_grad_lr``,
    with which it agrees for 100 steps.
    """
    return float(lrs[np.argmin(np.gradient(losses))])


def _classic(rule: ClassicRule, words: str, curve: LRCurve) -> Suggestion:
    """
    Apply a rule of fastai to a curve, smoothed and trimmed as fastai does it.

    The losses are smoothed with ``beta=0.98``, whatever the display does. The first
    ``num_it // 10`` and the last 5 points are left out, and all from the first value
    that is not finite.
    """
    lrs = curve.lrs
    trimmed = slice(curve.num_it // 10, max(len(lrs) - _SKIP_END, 0))
    kept_lrs, kept = lrs[trimmed], curve.smoothed()[trimmed]
    broken = np.flatnonzero(~np.isfinite(kept))
    if broken.size:
        kept_lrs, kept = kept_lrs[: broken[0]], kept[: broken[0]]
    with np.errstate(over="ignore", invalid="ignore"):  # of huge losses
        # A constant loss falls by rounding alone, which does not count.
        falls = np.any(np.diff(kept) < -_ROUNDING * np.abs(kept[:-1]))
        rate = rule(kept_lrs, kept) if falls else None
    if len(kept) > 1 and not falls:
        return Suggestion(None, reason="the loss never falls")
    if rate is None:
        left = f"{len(kept)} without the first and last ones"
        return Suggestion(None, reason=f"too few points ({left})")
    if not lrs[0] <= rate <= lrs[-1]:
        return Suggestion(None, reason=f"{words} is not in the swept range")
    return Suggestion(rate, reason=words)


DEFAULT_RULE = "descent"
RULES: dict[str, Rule] = {
    DEFAULT_RULE: descent,
    "valley": partial(_classic, valley, "halfway down the longest valley"),
    "slide": partial(_classic, slide, "where the valley levels off, from the right"),
    "minimum": partial(_classic, minimum, "a tenth of the rate at the lowest loss"),
    "steep": partial(_classic, steep, "where the loss falls fastest"),
    "min_grad": partial(_classic, min_grad, "where the loss falls most in one step"),
}


def check_rule(rule: object) -> None:
    """Raise ValueError unless it is the name of a rule."""
    check_known("rule", rule, RULES)
