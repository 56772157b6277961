"""The losses of short trainings over their steps, a line for each rate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import bqplot
import ipywidgets as ipw
import numpy as np
from bqscales import LinearScale

from lrwidget.curve.loss_limits import common_limits
from lrwidget.curve.ticks import equal_steps, short
from lrwidget.ui.lane_looks import LaneLosses, lane_colours
from lrwidget.ui.marks import set_line, set_points
from lrwidget.ui.text_places import apart

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.loss_limits import Limits
    from lrwidget.curve.training_curve import TrainingCurve
    from lrwidget.ui.text_places import Places

_THIN, _THICK = 1.5, 3.5
_MOST_STEP_TICKS, _MOST_LOSS_TICKS = 5, 6
_ASPECT = 1.5  # of the plot, about
# One text above the plot names the lanes that leave it, the first ones one by one.
_MOST_LISTED = 3
_ABOVE, _ROOM_ABOVE = 1.05, 0.4
# While lanes grow, the axis of losses has room for more, and stays as it is.
_ROOM, _WIDE = 0.1, 1.6
# An empty picture over the whole plot receives the clicks: bqplot gives the place of a
# click only on an image.
_EMPTY_PICTURE = b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'


class _Lane(NamedTuple):
    lr: float
    line: bqplot.Lines


class LanesChart:
    """
    The smoothed losses of each lane; a click picks the rate of the nearest line.

    The rate of a lane is written at the end of its line, once it has ended: while a
    lane grows, one message for each drawing is enough.
    """

    def __init__(
        self,
        rates: Sequence[float],
        steps: int,
        on_pick: Callable[[float], object],
        loss_name: str,
    ) -> None:
        self._on_pick = on_pick
        self._named: tuple[object, ...] = ()  # the lanes and limits of the labels
        self._steps = LinearScale(min=1.0, max=max(steps, 2.0), allow_padding=False)
        self.losses = LaneLosses(loss_name, _MOST_LOSS_TICKS)
        width, height = (
            LinearScale(min=0.0, max=1.0, allow_padding=False) for _ in range(2)
        )
        on_plot = {"x": width, "y": height}
        image = ipw.Image(value=_EMPTY_PICTURE, format="svg+xml")
        whole = [0.0, 1.0]
        self.background = bqplot.Image(image=image, x=whole, y=whole, scales=on_plot)
        self.background.on_element_click(self._on_clicked)
        look = {"default_size": 12, "x_offset": 6, "apply_clip": False}
        self.labels = bqplot.Label(x=[], y=[], text=[], scales=on_plot, **look)
        scales = {"x": self._steps, "y": self.losses.scale}
        self.lanes = [
            _Lane(
                lr,
                bqplot.Lines(
                    x=[], y=[], scales=scales, colors=[colour], stroke_width=_THIN
                ),
            )
            for lr, colour in zip(rates, lane_colours(len(rates)), strict=True)
        ]
        self.figure = bqplot.Figure(
            marks=[self.background, *(x.line for x in self.lanes), self.labels],
            axes=[
                bqplot.Axis(
                    scale=self._steps,
                    label="training step",
                    tick_format="d",
                    tick_values=_step_ticks(steps),
                    tick_style={"transform": "translateY(4px)"},
                    label_offset="34px",
                ),
                self.losses.axis,
            ],
            fig_margin={"top": 24, "bottom": 44, "left": 72, "right": 64},
            display_toolbar=False,
            layout={"width": "auto", "height": "280px"},
        )
        self.figure.add_class("lrwidget-lanes")

    def draw(self, curves: dict[int, TrainingCurve], *, ended: bool) -> None:
        """Show the trainings so far, by the positions of their rates."""
        smoothed = {number: curve.smoothed() for number, curve in curves.items()}
        seen = [losses[np.isfinite(losses)] for losses in smoothed.values()]
        self.losses.logarithmic = all((losses > 0).all() for losses in seen)
        heights = {number: self.losses.heights(x) for number, x in smoothed.items()}
        limits = common_limits(heights.values())
        if limits is None:
            return
        self.losses.show(limits if ended else _with_room(limits, self.losses.limits))
        for number, line in heights.items():
            shown = np.isfinite(line)
            steps = np.arange(1.0, len(line) + 1)[shown]
            kept = self.losses.kept(line[shown])
            set_line(self.lanes[number].line, steps, steps, kept)
        done = [number for number, x in curves.items() if ended or x.stop_reason]
        if done and (done, self.losses.limits) != self._named:
            self._named = done, self.losses.limits
            self._draw_labels(done)

    def mark(self, best: float | None) -> None:
        """Draw the line of the best rate thicker than the others."""
        for lr, line in self.lanes:
            line.stroke_width = _THICK if lr == best else _THIN

    def _draw_labels(self, lanes: list[int]) -> None:
        """Write the rate at the end of each line, or where the line leaves the plot."""
        ends: Places = {}
        exits: dict[int, float] = {}
        for number in lanes:
            x, y = self._on_plot(self.lanes[number].line)
            if len(x) and y[-1] <= 1:
                ends[number] = float(x[-1]), max(float(y[-1]), 0.0)
            elif len(x):
                inside = np.flatnonzero(y <= 1)
                exits[number] = float(x[inside[-1] + 1 if len(inside) else 0])
        places = apart(ends)
        texts = [short(self.lanes[number].lr) for number in places]
        corners = [*places.values()]
        if exits:
            rates = [short(self.lanes[number].lr) for number in exits]
            few = len(rates) <= _MOST_LISTED
            texts.append(", ".join(rates) if few else f"{rates[0]} to {rates[-1]}")
            corners.append((min(*exits.values(), _ROOM_ABOVE), _ABOVE))
        with self.labels.hold_sync():
            self.labels.text = texts
            set_points(self.labels, *np.array(corners).reshape(-1, 2).T)

    def _on_plot(self, line: bqplot.Lines) -> tuple[FloatArray, FloatArray]:
        """Return the points of a line as shares of the plot's width and height."""
        x = self._steps
        return (line.x - x.min) / (x.max - x.min), self.losses.shares(line.y)

    def _on_clicked(self, _mark: object, event: dict[str, Any]) -> None:
        x, y = float(event["data"]["click_x"]), float(event["data"]["click_y"])
        distances = {
            _distance(x, y, *self._on_plot(line)): lr
            for lr, line in self.lanes
            if len(line.x)
        }
        if distances and math.isfinite(x + y):
            self._on_pick(distances[min(distances)])


def _with_room(limits: Limits, before: Limits) -> Limits:
    """Return limits with some room around them, or those before if they still fit."""
    low, high = limits
    fit = before[0] <= low and high <= before[1]
    if fit and before[1] - before[0] <= _WIDE * (high - low):
        return before
    room = _ROOM * (high - low)
    return low - room, high + room


def _distance(x: float, y: float, xs: FloatArray, ys: FloatArray) -> float:
    """Return the distance of a point of the plot from a line through some others."""
    begins = np.stack([(xs - x) * _ASPECT, ys - y])
    ways = np.diff(begins, append=begins[:, -1:])
    lengths = np.maximum((ways**2).sum(0), np.finfo(float).tiny)
    along = (-(begins * ways).sum(0) / lengths).clip(0, 1)
    return float(np.hypot(*(begins + along * ways)).min())


def _step_ticks(steps: int) -> FloatArray:
    """Return the first step and some round numbers of steps."""
    _zero, *round_steps = equal_steps(0, steps, min(steps, _MOST_STEP_TICKS)).tolist()
    return np.unique([1.0, *round_steps])
