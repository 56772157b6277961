"""The losses that are worth showing."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from lrwidget.curve.arrays import quantile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lrwidget.curve.arrays import FloatArray

Limits: TypeAlias = tuple[float, float]

_MARGIN = 0.08
_LEAST_SPAN = 0.02
_FENCE = 1.5
_FEW = 10
_RISE = 0.25  # of the range so far


def loss_limits(losses: FloatArray, trend: FloatArray) -> Limits | None:
    """
    Return the range of losses to show, so that an explosion flattens nothing.

    It spans the trend down to its minimum, and the raw losses up to there except high
    outliers, by Tukey's fence of one and a half quartile ranges. It has the raw losses
    below where the trend has risen again, and a quarter more for the rise above that.
    Higher losses after the minimum are outside. Without a finite loss, there is no
    range.
    """
    finite = np.isfinite(losses) & np.isfinite(trend)
    if not finite.any():
        return None
    raw = losses[finite]
    # A fit of a few losses may be beyond them.
    mean = trend[finite].clip(raw.min(), raw.max())
    bottom = int(np.argmin(mean)) + 1
    # A minimum among the first few points is noise.
    way_down = raw[: max(bottom, min(len(raw) // 4, _FEW))]
    first, third = quantile(way_down, 0.25), quantile(way_down, 0.75)
    fence = _FENCE * (third - first)
    high = max(mean[:bottom].max(), way_down[way_down <= third + fence].max())
    low = min(mean.min(), raw[mean <= high].min())
    rise = min(mean.max(), high + _RISE * (high - low))
    return _with_margin(float(low), float(max(high, rise)))


def whole_limits(losses: FloatArray) -> Limits | None:
    """Return the range of all finite losses, explosions too; None without one."""
    finite = losses[np.isfinite(losses)]
    if not len(finite):
        return None
    return _with_margin(float(finite.min()), float(finite.max()))


def common_limits(trends: Iterable[FloatArray]) -> Limits | None:
    """
    Return the range of losses to show several trends in.

    Curves that end below their beginning are inside, by `loss_limits`, but for what is
    further above their beginning than the lowest loss is below it. A curve that only
    rises may be outside. Without a finite loss, there is no range.
    """
    falling: list[Limits] = []
    rising: list[Limits] = []
    first = -np.inf
    for curve in trends:
        limits = loss_limits(curve, curve)
        if limits is not None:
            finite = curve[np.isfinite(curve)]
            falls = finite[-1] < finite[0]
            first = max(first, float(finite[0])) if falls else first
            (falling if falls else rising).append(limits)
    if not falling and not rising:
        return None
    low = min(low for low, _ in (*falling, *rising))
    if falling:
        return low, min(max(high for _, high in falling), 2 * first - low)
    return low, min(high for _, high in rising)


def hull(one: Limits, other: Limits | None) -> Limits:
    """Return the limits that hold both."""
    if other is None:
        return one
    return min(one[0], other[0]), max(one[1], other[1])


def _with_margin(low: float, high: float) -> Limits:
    lacking = max(_LEAST_SPAN * max(abs(low), abs(high)), 1e-12) - (high - low)
    margin = _MARGIN * (high - low) + max(lacking, 0) / 2
    return low - margin, high + margin
