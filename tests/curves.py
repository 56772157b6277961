"""Curves for the tests of the suggestions and of the drawings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lrwidget.curve.fit import local_fit
from lrwidget.curve.history import Plan, RunHistory
from lrwidget.curve.lr_curve import LRCurve, Step
from lrwidget.curve.runs import RepeatKey, Run
from lrwidget.curve.ticks import rounded

if TYPE_CHECKING:
    from collections.abc import Sequence

    import bqplot

    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.suggestion import Suggestion
    from lrwidget.ui.view_options import VisibleCurve

LRS = np.geomspace(1e-7, 10, 100)
PLAN = Plan(1e-7, 10.0, 100)


def curve_of(*losses: float) -> LRCurve:
    """Return a curve of these losses at the first default rates."""
    return LRCurve(LRS[: len(losses)], np.array(losses))


def fitted(curve: LRCurve, width: float | None = None) -> FloatArray:
    """Return the fit at each rate of a curve, and its errors, in two rows."""
    return np.array(local_fit(curve.lrs, curve.losses, width).at(curve.lrs))


def run_of(
    losses: Sequence[float] | FloatArray,
    name: str = "run",
    number: int = 0,
    setting: str = "setting",
) -> Run:
    """Return an ended run with these losses at the first default rates."""
    history = RunHistory(PLAN)
    for iteration, loss in enumerate(losses):
        history.append(Step(iteration, LRS[iteration], loss))
    history.stop_reason = "diverged"
    return Run(name, number, repeat_key_of(setting), history)


def repeat_key_of(label: str) -> RepeatKey:
    """Return a key with the default rates."""
    return RepeatKey(label, PLAN, None)


def unsmoothed(smoothed: FloatArray) -> FloatArray:
    """Return the raw losses of which fastai's mean is `smoothed`; gaps stay gaps."""
    finite = np.isfinite(smoothed)
    weights = 1 - 0.98 ** np.arange(1, finite.sum() + 1)
    means = smoothed[finite] * weights
    raw: FloatArray = smoothed.copy()
    raw[finite] = np.diff(means, prepend=0.0) / 0.02 + np.r_[0.0, means[:-1]]
    return raw


def suggest(
    rule: str, lrs: FloatArray, losses: FloatArray, num_it: int = 100
) -> Suggestion:
    """Return the suggestion of a rule for rates and losses."""
    return LRCurve(lrs, losses, num_it=max(num_it, len(lrs))).suggestion(rule)


def sweep(rise: float = 0.1) -> LRCurve:
    """Return a sweep that descends around 1e-2, and rises at some rate."""
    noise = 0.01 * np.random.default_rng(0).standard_normal(len(LRS))
    losses = 2 / (1 + np.sqrt(LRS / 3e-3)) + np.where(rise <= LRS, 9.0, 0.0) + noise
    return LRCurve(LRS, losses, "completed")


def with_edges(sight: VisibleCurve) -> FloatArray:
    """Return the heights of a trend's mark: lower edge, trend and upper edge."""
    edges = [sight.trend, sight.trend] if sight.band is None else sight.band
    return np.array([edges[0], sight.trend, edges[1]])


def trend_of(line: bqplot.Lines) -> FloatArray:
    """Return the heights of a line without the edges of its band."""
    heights: FloatArray = line.y[1] if line.y.ndim > 1 else line.y
    return heights


def picked(suggestion: float | None) -> float:
    """Return the value of a widget that follows a suggestion, which there has to be."""
    assert suggestion is not None
    return rounded(suggestion)
