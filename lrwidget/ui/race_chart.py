"""The second chart: the losses of a race, a line for each rate, to pick one from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import bqplot
import ipywidgets as ipw
import numpy as np
from bqscales import LinearScale

from lrwidget.curve.loss_limits import common_limits
from lrwidget.curve.ticks import equal_steps, short
from lrwidget.ui.axes import loss_axis, near
from lrwidget.ui.marks import RACE_COLOURS, set_line, set_points
from lrwidget.ui.messages import outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.training_curve import TrainingCurve

# With six colours, twelve lines differ.
_STYLES = ("solid", "dashed")
_THIN, _THICK = 2, 5
_MOST_TICKS = 10
_ASPECT = 3.0  # of the plot, about
_SAME = 1e-6  # a rate in a tensor is rounded
# An empty picture over the whole plot receives the clicks: bqplot gives the place of a
# click only on an image.
_EMPTY_PICTURE = b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'
# The size of a text, in shares of the plot.
_TEXT_WIDTH, _TEXT_HEIGHT = 0.09, 0.075
_ABOVE = 1.05

Place: TypeAlias = tuple[float, float]


class _Entry(NamedTuple):
    """The line and the button of one rate."""

    lr: float
    line: bqplot.Lines
    button: ipw.Button


class RaceChart(ipw.VBox):  # type: ignore[misc]  # untyped base
    """
    The smoothed losses of a race over its steps.

    A click picks the rate of the nearest line. Under the chart, a button for each rate
    picks it, too.
    """

    def __init__(
        self,
        rates: list[float],
        steps: int,
        on_pick: Callable[[float], object],
        loss_name: str,
    ) -> None:
        self._on_pick = on_pick
        self._steps = LinearScale(min=1.0, max=max(steps, 2.0), allow_padding=False)
        self._losses, share, height = (
            LinearScale(min=0.0, max=1.0, allow_padding=False) for _ in range(3)
        )
        scales = {"x": share, "y": height}
        image = ipw.Image(value=_EMPTY_PICTURE, format="svg+xml")
        whole = [0.0, 1.0]
        self.background = bqplot.Image(image=image, x=whole, y=whole, scales=scales)
        self.background.on_element_click(self._on_clicked)
        look = {"default_size": 13, "x_offset": 6, "apply_clip": False}
        self.labels = bqplot.Label(x=[], y=[], text=[], scales=scales, **look)
        self._entries = [self._entry(number, lr) for number, lr in enumerate(rates)]
        figure = bqplot.Figure(
            marks=[self.background, *(x.line for x in self._entries), self.labels],
            axes=[
                bqplot.Axis(
                    scale=self._steps,
                    label="optimizer step",
                    tick_format="d",
                    tick_values=_step_ticks(steps),
                    label_offset="34px",
                ),
                loss_axis(self._losses, f"{loss_name}, smoothed"),
            ],
            fig_margin={"top": 26, "bottom": 44, "left": 72, "right": 70},
            display_toolbar=False,
            layout={"width": "auto", "height": "280px"},
        )
        figure.add_class("lrwidget-race")
        hint = ipw.Label("Click a line to choose its rate, or")
        buttons = [entry.button for entry in self._entries]
        row = ipw.HBox([hint, *buttons], layout={"flex_flow": "row wrap"})
        super().__init__([figure, row])

    def draw(self, curves: dict[int, TrainingCurve], *, ended: bool) -> None:
        """Show the trainings so far, by the positions of their rates."""
        if ended:  # a button is not written to during a race
            for number, curve in curves.items():
                parts = [short(self._entries[number].lr), outcome(curve)]
                text = " · ".join(part for part in parts if part)
                self._entries[number].button.description = text
        smoothed = {number: curve.smoothed() for number, curve in curves.items()}
        limits = common_limits(smoothed.values())
        if limits is None:
            return
        with self._losses.hold_sync():
            self._losses.min, self._losses.max = limits
        for number, losses in smoothed.items():
            shown = np.isfinite(losses)
            steps = np.arange(1.0, len(losses) + 1)[shown]
            heights = near(losses[shown], limits)
            set_line(self._entries[number].line, steps, steps, heights)
        self._draw_labels()

    def show_rate(self, rate: float | None) -> None:
        """Mark the line and the button of a rate, if the race has this rate."""
        for entry in self._entries:
            chosen = rate is not None and math.isclose(rate, entry.lr, rel_tol=_SAME)
            entry.line.stroke_width = _THICK if chosen else _THIN
            entry.button.icon = "check" if chosen else ""
            entry.button.style.font_weight = "bold" if chosen else None

    def _entry(self, number: int, lr: float) -> _Entry:
        colour = RACE_COLOURS[number % len(RACE_COLOURS)]
        style = _STYLES[(number + number // len(RACE_COLOURS)) % len(_STYLES)]
        line = bqplot.Lines(
            x=[],
            y=[],
            scales={"x": self._steps, "y": self._losses},
            colors=[colour],
            line_style=style,
            stroke_width=_THIN,
        )
        button = ipw.Button(
            description=short(lr),
            tooltip=f"Choose the learning rate {short(lr)}",
            layout={"width": "auto", "border_bottom": f"4px {style} {colour}"},
        )
        button.on_click(lambda _button: self._on_pick(lr))
        return _Entry(lr, line, button)

    def _on_plot(self, line: bqplot.Lines) -> tuple[FloatArray, FloatArray]:
        """Return the points of a line as shares of the plot's width and height."""
        x, y = self._steps, self._losses
        return (line.x - x.min) / (x.max - x.min), (line.y - y.min) / (y.max - y.min)

    def _draw_labels(self) -> None:
        """Write each rate at the end of its line, or where the line leaves the plot."""
        ends: dict[str, Place] = {}
        exits: dict[str, float] = {}
        for entry in self._entries:
            x, y = self._on_plot(entry.line)
            if len(x) and y[-1] <= 1:
                ends[short(entry.lr)] = float(x[-1]), max(float(y[-1]), 0.0)
            elif len(x):
                inside = np.flatnonzero(y <= 1)
                exits[short(entry.lr)] = float(x[inside[-1] + 1 if len(inside) else 0])
        places = {**apart(ends), **in_a_row(exits)}
        with self.labels.hold_sync():
            self.labels.text = list(places)
            x, y = np.array([*places.values()]).reshape(-1, 2).T
            set_points(self.labels, x, y)

    def _on_clicked(self, _mark: object, event: dict[str, Any]) -> None:
        x, y = float(event["data"]["click_x"]), float(event["data"]["click_y"])
        distances = {
            _distance(x, y, *self._on_plot(entry.line)): entry.lr
            for entry in self._entries
            if len(entry.line.x)
        }
        if distances and math.isfinite(x + y):
            self._on_pick(distances[min(distances)])


def _distance(x: float, y: float, xs: FloatArray, ys: FloatArray) -> float:
    """Return the distance of a point of the plot from a line through some others."""
    begins = np.stack([(xs - x) * _ASPECT, ys - y])
    ways = np.diff(begins, append=begins[:, -1:])
    lengths = np.maximum((ways**2).sum(0), np.finfo(float).tiny)
    along = (-(begins * ways).sum(0) / lengths).clip(0, 1)
    return float(np.hypot(*(begins + along * ways)).min())


def _step_ticks(steps: int) -> FloatArray:
    """Return the first step and round numbers of steps, about ten at most."""
    _zero, *round_steps = equal_steps(0, steps, min(steps, _MOST_TICKS)).tolist()
    return np.unique([1.0, *round_steps])


def apart(places: dict[str, Place]) -> dict[str, Place]:
    """
    Move texts up or down until none covers another, in the order of their heights.

    Each text is given and returned with its place, in shares of the plot.
    """
    rising = sorted(places, key=lambda text: places[text][1])
    moved: dict[str, Place] = {}
    for text in rising:
        x, y = places[text]
        floors = [height + _TEXT_HEIGHT for height in _beside(x, moved)]
        moved[text] = x, max([y, *floors])
    settled: dict[str, Place] = {}
    for text in reversed(rising):
        x, y = moved[text]
        top = max(1.0, places[text][1])
        ceilings = [height - _TEXT_HEIGHT for height in _beside(x, settled)]
        settled[text] = x, min([y, top, *ceilings])
    return settled


def _beside(x: float, places: dict[str, Place]) -> list[float]:
    """Return the heights of the texts that a text at a place might cover."""
    return [height for other, height in places.values() if abs(other - x) < _TEXT_WIDTH]


def in_a_row(places: dict[str, float]) -> dict[str, Place]:
    """Put texts into a row above the plot, each at its x or right of the one before."""
    row: dict[str, Place] = {}
    free = 0.0
    for text in sorted(places, key=lambda text: places[text]):
        x = max(places[text], free)
        row[text] = x, _ABOVE
        free = x + _TEXT_WIDTH * 0.6
    return row
