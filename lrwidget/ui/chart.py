"""The chart: the curve, the suggestion, and the handle that picks a rate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import bqplot
import ipywidgets as ipw
import numpy as np
from bqscales import LinearScale, LogScale

from lrwidget.curve.limits import loss_limits
from lrwidget.ui.marks import EMPTY_PICTURE, set_points
from lrwidget.ui.status import short

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from lrwidget.curve.record import LRCurve
    from lrwidget.curve.suggestion import Suggestion

_BLUE, _RED, _ORANGE = "#2f7ed8", "#e0393e", "#d9730d"
_BAND_OPACITY = 0.13
_PICKED_DIGITS = 3
_SPANS_KEPT = 10
_LEAST_TICKS = 3
_HANDLE_HEIGHT = 0.045
_LABEL_GAP = 14  # pixels
_LABEL_TURNS_AT = 0.85


class Chart(ipw.VBox):  # type: ignore[misc]  # untyped base
    """
    A loss curve over a logarithmic axis of rates, with a handle to pick one.

    Parameters
    ----------
    start_lr:
        The lowest rate, at the left edge.
    end_lr:
        The highest rate, at the right edge.
    on_pick:
        Called with the rate that the mouse picks, which may be outside the axis.
    loss_name:
        What the losses are, at their axis.
    """

    def __init__(
        self,
        start_lr: float,
        end_lr: float,
        on_pick: Callable[[float], object],
        loss_name: str = "loss",
    ) -> None:
        self._range = start_lr, end_lr
        self._on_pick = on_pick
        self._rate: float | None = None
        self._dragged = False
        rates = LogScale(min=start_lr, max=end_lr, allow_padding=False)
        self._losses = LinearScale(min=0.0, max=1.0, allow_padding=False)
        height = LinearScale(min=0.0, max=1.0, allow_padding=False)
        on_curve = {"x": rates, "y": self._losses}
        on_plot = {"x": rates, "y": height}

        self.raw = bqplot.Lines(
            x=[],
            y=[],
            scales=on_curve,
            colors=[_BLUE],
            opacities=[0.55],
            stroke_width=1,
        )
        self.smoothed = bqplot.Lines(
            x=[], y=[], scales=on_curve, colors=[_BLUE], stroke_width=3
        )
        self.band = bqplot.Lines(
            x=[],
            y=[],
            scales=on_plot,
            colors=[_RED],
            opacities=[0.0],
            fill="bottom",
            fill_colors=[_RED],
            fill_opacities=[_BAND_OPACITY],
        )
        self.suggestion = bqplot.Scatter(
            x=[], y=[], scales=on_curve, colors=[_RED], default_size=110
        )
        self.line = bqplot.Lines(
            x=[], y=[], scales=on_plot, colors=[_ORANGE], stroke_width=2
        )
        self.label = bqplot.Label(
            x=[], y=[], text=[], scales=on_plot, colors=[_ORANGE], default_size=13
        )
        self.handle = bqplot.Scatter(
            x=[],
            y=[_HANDLE_HEIGHT],
            scales=on_plot,
            colors=[_ORANGE],
            default_size=220,
            enable_move=True,
            restrict_x=True,
            update_on_move=True,
            drag_size=1,
        )
        self.background = bqplot.Image(
            image=ipw.Image(value=EMPTY_PICTURE, format="svg+xml"),
            x=[start_lr, end_lr],
            y=[0.0, 1.0],
            scales=on_plot,
        )
        ticks = _rate_ticks(start_lr, end_lr)
        self.figure = bqplot.Figure(
            marks=[
                self.background,
                self.band,
                self.raw,
                self.smoothed,
                self.suggestion,
                self.line,
                self.label,
                self.handle,
            ],
            axes=[
                bqplot.Axis(
                    scale=rates,
                    label="learning rate",
                    tick_values=ticks,
                    tick_format=".0e" if _are_round(ticks) else ".1e",
                    # "1", where the format says "1e+0"
                    tick_labels={
                        f"{tick:g}": f"{tick:g}" for tick in ticks if tick >= 1
                    },
                    tick_style={"transform": "translateY(4px)"},
                    label_offset="38px",
                ),
                bqplot.Axis(
                    scale=self._losses,
                    side="left",
                    label=loss_name,
                    label_offset="44px",
                ),
            ],
            fig_margin={"top": 12, "bottom": 48, "left": 62, "right": 18},
            display_toolbar=False,
            layout={"width": "auto", "height": "320px"},
        )
        super().__init__([self.figure])
        self.handle.observe(self._on_moved, "x")
        self.handle.on_drag_start(self._on_drag_start)
        self.handle.on_drag_end(self._on_drag_end)
        self.background.on_element_click(self._on_clicked)
        self.suggestion.on_element_click(self._on_suggestion_clicked)

    def draw(self, curve: LRCurve, beta: float, suggestion: Suggestion) -> None:
        """
        Show a curve.

        Parameters
        ----------
        curve:
            What to show.
        beta:
            How much to smooth, as `LRCurve.smoothed` takes it.
        suggestion:
            The rate for the red dot, and the range for the band; none for a rate that
            is None.
        """
        smoothed = curve.smoothed(beta)
        limits = loss_limits(curve.losses, smoothed)
        if limits is None:
            for mark in (self.raw, self.smoothed, self.suggestion, self.band):
                set_points(mark, [], [])
            return
        # Far outside the plot, coordinates overflow in the browser.
        reach = _SPANS_KEPT * (limits[1] - limits[0])
        shown = np.isfinite(smoothed)
        lrs = curve.lrs[shown]
        low, high = limits[0] - reach, limits[1] + reach
        with self._losses.hold_sync():
            self._losses.min, self._losses.max = limits
        set_points(self.raw, lrs, curve.losses[shown].clip(low, high))
        set_points(self.smoothed, lrs, smoothed[shown].clip(low, high))
        if suggestion.lr is None:
            set_points(self.suggestion, [], [])
        else:
            loss = np.interp(np.log(suggestion.lr), np.log(lrs), smoothed[shown])
            set_points(self.suggestion, [suggestion.lr], [loss])
        if suggestion.low is None or suggestion.high is None:
            set_points(self.band, [], [])
        else:
            set_points(self.band, [suggestion.low, suggestion.high], [1.0, 1.0])

    def show_rate(self, rate: float | None) -> None:
        """Put the handle to a rate, or hide it."""
        self._rate = rate
        # While it is dragged the handle is the mouse's: writing to it would tug.
        if not self._dragged:
            self.handle.x = np.array([] if rate is None else [rate])
        if rate is None:
            set_points(self.line, [], [])
            set_points(self.label, [], [])
            return
        set_points(self.line, [rate, rate], [0.0, 1.0])
        start, end = self._range
        turned = math.log(rate / start) > _LABEL_TURNS_AT * math.log(end / start)
        with self.label.hold_sync():
            self.label.text = [short(rate)]
            self.label.align = "end" if turned else "start"
            self.label.x_offset = -_LABEL_GAP if turned else _LABEL_GAP
            set_points(self.label, [rate], [_HANDLE_HEIGHT])

    def _on_moved(self, change: dict[str, Any]) -> None:
        places = change["new"].tolist()
        # At the rate that is shown it was put and not moved.
        if len(places) == 1 and places[0] != self._rate:
            self._pick(places[0])

    def _on_drag_start(self, _mark: object, _event: object) -> None:
        self._dragged = True

    def _on_drag_end(self, _mark: object, event: dict[str, Any]) -> None:
        # The last place of the mouse may arrive as a move after this.
        self._dragged = False
        self._pick(float(event["point"]["x"]))

    def _on_clicked(self, _mark: object, event: dict[str, Any]) -> None:
        self._dragged = False
        self._pick(float(event["data"]["click_x"]))

    def _on_suggestion_clicked(self, _mark: object, _event: object) -> None:
        self._on_pick(float(self.suggestion.x[0]))

    def _pick(self, place: float) -> None:
        """Pick the rate that is meant by a place on the axis: a short number."""
        # A press on the handle that does not move it is no pick.
        moved = self._rate is None or not math.isclose(place, self._rate)
        if moved and math.isfinite(place):
            self._on_pick(float(f"{place:.{_PICKED_DIGITS - 1}e}"))


def _rate_ticks(start_lr: float, end_lr: float) -> npt.NDArray[np.float64]:
    """
    Return where to set ticks on a logarithmic axis of rates.

    They are the decades or, within fewer than two of these, the 1-2-5 series or,
    within less than that, a few equal ratios.
    """
    first, last = math.floor(math.log10(start_lr)), math.ceil(math.log10(end_lr))
    decades = np.array([float(f"1e{power}") for power in range(first, last + 1)])
    for ticks in (decades, np.outer(decades, [1, 2, 5]).ravel()):
        inside = ticks[(ticks >= start_lr) & (ticks <= end_lr)]
        if len(inside) >= _LEAST_TICKS:
            return inside
    return np.geomspace(start_lr, end_lr, 5)


def _are_round(ticks: npt.NDArray[np.float64]) -> bool:
    """Whether one digit is enough to label each tick."""
    return all(math.isclose(float(f"{tick:.0e}"), tick) for tick in ticks.tolist())
