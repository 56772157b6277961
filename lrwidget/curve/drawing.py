"""A curve on the axes of matplotlib, and the colours of all charts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lrwidget.curve.checks import positive_rate
from lrwidget.curve.loss_limits import hull, loss_limits
from lrwidget.curve.rules import DEFAULT_RULE
from lrwidget.curve.thinning import thinned
from lrwidget.curve.ticks import plain, rate_ticks, short, tick_label
from lrwidget.curve.trend import AUTOMATIC, trend, usable_smoothing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.loss_limits import Limits
    from lrwidget.curve.lr_curve import LRCurve
    from lrwidget.curve.suggestion import Suggestion
    from lrwidget.curve.trend import Smoothing

# Okabe and Ito's colours, which colour-blind people can tell apart. Colours with too
# little contrast on white are darker here. Shapes and widths differ, too.
CURVE, SUGGESTION, CHOICE = "#0072b2", "#00805c", "#d55e00"
OTHERS = ("#b0558a", "#a66a00", "#6b6b6b")  # for further lines: pink, ochre and grey
BAND_OPACITY, RAW_OPACITY = 0.15, 0.5

_MOST_POINTS, _MOST_OF_BAND = 2000, 500
_MARGIN = 0.015
_AROUND_ONE = 4.0
_LOSS_TICKS = 7
_GRID = "#808080"
_HANDLE_HEIGHT = 0.045
_LABEL_GAP = 11  # points
_LABEL_TURNS_AT = 0.85


def draw(  # noqa: PLR0913 (the looks of a picture)
    ax: Axes,
    curve: LRCurve,
    *,
    smoothing: Smoothing = AUTOMATIC,
    rule: str = DEFAULT_RULE,
    choice: float | None = None,
    checked: Suggestion | None = None,
) -> None:
    """
    Draw a curve, its suggestion by a rule, and the chosen rate.

    A suggestion that is checked by training takes the place of that of the rule. The
    raw losses are faint and their trend is bold, with a band of two standard
    errors. The losses after a divergence may be outside the y range.
    """
    rate = None if choice is None else positive_rate("choice", choice)
    smoothing = usable_smoothing(smoothing)
    shown = np.isfinite(curve.losses)
    whole = trend(curve, smoothing)
    lrs, raw, line = curve.lrs[shown], curve.losses[shown], whole.losses[shown]
    rates = _rate_limits(curve.lrs if rate is None else np.append(curve.lrs, rate))
    losses = loss_limits(raw, line)
    batch, trained = "one batch", curve.train_losses
    if losses is not None and trained is not None:
        batch = "validation loss"
        losses = hull(losses, loss_limits(trained, trained))
    ax.set_xscale("log")
    _widen(ax, rates, losses)
    if losses is not None and trained is not None:
        _draw_squares(ax, curve.lrs, trained, label="training loss")
    _draw_line(ax, lrs, raw, label=batch, linewidth=1, alpha=RAW_OPACITY)
    _draw_line(ax, lrs, line, label="trend", linewidth=2.6)
    if whole.band is not None:
        _draw_band(ax, lrs, whole.band[:, shown])
    words = "range to try" if checked is None else "checked by training"
    _draw_suggestion(ax, checked or curve.suggestion(rule), words, lrs, line)
    if rate is not None:
        _draw_choice(ax, rate)
    _draw_frame(ax)
    if losses is None:
        ax.set_yticks([])
        text = ax.text(0.5, 0.5, "no finite loss", transform=ax.transAxes)
        text.set(horizontalalignment="center", verticalalignment="center")
    else:
        from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 (an extra)

        ax.yaxis.set_major_locator(MaxNLocator(_LOSS_TICKS, steps=[1, 2, 5, 10]))
        ax.yaxis.set_major_formatter(lambda loss, _place: plain(loss))


def _rate_limits(rates: FloatArray) -> Limits | None:
    if not len(rates):
        return None
    low, high = float(rates.min()), float(rates.max())
    margin = (high / low) ** _MARGIN if low < high else _AROUND_ONE
    return low / margin, high * margin


def _widen(ax: Axes, rates: Limits | None, losses: Limits | None) -> None:
    """Set the limits of axes; earlier drawings on them stay visible."""
    before = ax.has_data()
    if rates is not None:
        ax.set_xlim(hull(rates, ax.get_xlim()) if before else rates)
    if losses is not None:
        ax.set_ylim(hull(losses, ax.get_ylim()) if before else losses)


def _draw_line(ax: Axes, lrs: FloatArray, losses: FloatArray, **look: Any) -> None:  # noqa: ANN401 (of matplotlib)
    kept = thinned(np.log(lrs), losses, _MOST_POINTS)
    ax.plot(
        lrs[kept],
        losses[kept],
        color=CURVE,
        linestyle="-",
        marker="o" if len(lrs) == 1 else "",  # a line of one point is not visible
        markersize=4,
        solid_capstyle="round",
        solid_joinstyle="round",
        **look,
    )


def _draw_squares(ax: Axes, lrs: FloatArray, losses: FloatArray, label: str) -> None:
    shown = np.isfinite(losses)
    lrs, losses = lrs[shown], losses[shown]
    kept = thinned(np.log(lrs), losses, _MOST_POINTS)
    ax.plot(
        lrs[kept],
        losses[kept],
        color=CURVE,
        linestyle="",
        marker="s",
        fillstyle="none",
        markersize=3.5,
        markeredgecolor=CURVE,
        markeredgewidth=0.8,
        label=label,
    )


def _draw_band(ax: Axes, lrs: FloatArray, band: FloatArray) -> None:
    kept = thinned(np.log(lrs), band[1], _MOST_OF_BAND)
    ax.fill_between(
        lrs[kept],
        *band[:, kept],
        facecolor=CURVE,
        edgecolor="none",
        alpha=BAND_OPACITY,
        zorder=1,
        label="± 2 standard errors",
    )


def _draw_suggestion(
    ax: Axes, suggestion: Suggestion, words: str, lrs: FloatArray, line: FloatArray
) -> None:
    lr, low, high, _ = suggestion
    if lr is None:
        return
    ax.plot(
        [lr],
        [np.interp(np.log(lr), np.log(lrs), line)],
        color=SUGGESTION,
        linestyle="",
        marker="D",
        markersize=9,
        markeredgecolor=ax.get_facecolor(),
        markeredgewidth=1.2,
        zorder=5,
        label=f"suggestion {short(lr)}",
    )
    if low is not None and high is not None:
        ax.axvspan(
            low,
            high,
            facecolor=SUGGESTION,
            edgecolor="none",
            alpha=BAND_OPACITY,
            zorder=1,
            label=f"{words}: {short(low)} to {short(high)}",
        )


def _draw_choice(ax: Axes, rate: float) -> None:
    ax.plot(
        [rate, rate, rate],
        [0, _HANDLE_HEIGHT, 1],
        transform=ax.get_xaxis_transform(),
        color=CHOICE,
        linestyle="-",
        linewidth=2,
        solid_capstyle="butt",
        marker="o",
        markersize=11,
        markevery=[1],
        markeredgewidth=0,
        zorder=4,
        label=f"chosen {short(rate)}",
    )
    low, high = np.log(ax.get_xlim())
    turned = (math.log(rate) - low) / (high - low) > _LABEL_TURNS_AT
    ax.annotate(
        short(rate),
        (rate, _HANDLE_HEIGHT),
        xycoords=ax.get_xaxis_transform(),
        xytext=(-_LABEL_GAP if turned else _LABEL_GAP, 0),
        textcoords="offset points",
        horizontalalignment="right" if turned else "left",
        verticalalignment="center_baseline",
        color=CHOICE,
        weight="bold",
        bbox={
            "boxstyle": "round,pad=0.15",
            "facecolor": ax.get_facecolor(),
            "edgecolor": "none",
            "alpha": 0.8,
        },
        zorder=6,
    )


def _draw_frame(ax: Axes) -> None:
    """Draw the axes, their ticks, and the grid."""
    ticks = rate_ticks(*ax.get_xlim())
    ax.set_xticks(ticks, [tick_label(tick) for tick in ticks])
    ax.minorticks_off()
    ax.set_xlabel("learning rate", loc="center", labelpad=4)
    ax.set_ylabel("loss", loc="center", labelpad=4)
    ax.grid(
        visible=True,
        color=_GRID,
        alpha=0.2,
        linewidth=0.8,
        linestyle="-",
        solid_capstyle="butt",
    )
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_visible(True)
