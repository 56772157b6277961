"""A curve as a still picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lrwidget.curve.limits import loss_limits

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lrwidget.curve.record import LRCurve

_BLUE, _RED = "#2f7ed8", "#e0393e"


def plot(curve: LRCurve, ax: Axes | None = None) -> Axes:
    """
    Draw a curve and its suggestion with matplotlib; see `LRCurve.plot`.

    The raw losses are faint and the smoothed ones bold. The y range leaves out
    what follows a divergence.
    """
    if ax is None:
        ax = _new_axes()
    smoothed = curve.smoothed()
    ax.plot(curve.lrs, curve.losses, color=_BLUE, alpha=0.35, lw=1, label="loss")
    ax.plot(curve.lrs, smoothed, color=_BLUE, lw=2.5, label="smoothed")
    lr, low, high, _ = curve.suggestion()
    if lr is not None and low is not None and high is not None:
        ax.axvspan(low, high, color=_RED, alpha=0.13, lw=0, label="look as good")
        height = np.interp(np.log(lr), np.log(curve.lrs), smoothed)
        ax.plot(lr, height, "o", color=_RED, ms=9, label=f"suggestion {lr:.2e}")
    limits = loss_limits(curve.losses, smoothed)
    if limits is not None:
        ax.set_ylim(*limits)
    ax.set(xscale="log", xlabel="learning rate", ylabel="loss")
    ax.grid(visible=True, alpha=0.25)
    ax.legend()
    return ax


def _new_axes() -> Axes:
    try:
        from matplotlib import pyplot as plt  # noqa: PLC0415 (an extra)
    except ImportError as error:
        msg = "plot needs matplotlib: pip install 'lrwidget[plot]'"
        raise ImportError(msg) from error
    return plt.subplots(layout="constrained")[1]
