"""The chart: the curves, the suggestion, and the handle that picks a rate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import bqplot
import ipywidgets as ipw

from lrwidget.curve.loss_limits import hull
from lrwidget.ui.axes import Axes
from lrwidget.ui.handle import Handle
from lrwidget.ui.marks import LatestLines, OtherLines, SuggestionMarks
from lrwidget.ui.overlay import Overlay
from lrwidget.ui.view_options import NOTHING
from lrwidget.ui.zones import ZoneMarks, zones_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from lrwidget.curve.loss_limits import Limits
    from lrwidget.curve.lr_curve import LRCurve
    from lrwidget.curve.runs import RepeatKey, Run
    from lrwidget.curve.suggestion import Suggestion
    from lrwidget.ui.view_options import ViewOptions, VisibleCurve


class Chart(ipw.VBox):  # type: ignore[misc]  # untyped base
    """Loss curves over an axis of rates, with a handle to pick one."""

    def __init__(
        self,
        start_lr: float,
        end_lr: float,
        view: ViewOptions,
        on_pick: Callable[[float], object],
        loss_name: str = "loss",
    ) -> None:
        self._view = view
        self._limits: Limits | None = None  # in which the others are drawn
        self._others: list[tuple[Run, VisibleCurve]] = []
        self._repeats: list[tuple[Run, VisibleCurve]] = []
        self.axes = Axes(start_lr, end_lr, loss_name)
        self.zones = ZoneMarks(self.axes)
        self.latest = LatestLines(self.axes)
        self.others = OtherLines(self.axes)
        self.suggestion = SuggestionMarks(self.axes, on_pick)
        self.handle = Handle(self.axes, on_pick)
        self.figure = bqplot.Figure(
            marks=self._marks(),
            axes=self.axes.both,
            fig_margin={"top": 26, "bottom": 42, "left": 62, "right": 20},
            display_toolbar=False,
            layout={"width": "auto", "height": "360px"},
        )
        self.overlay = Overlay(
            handle=self.handle.dot,
            needle=self.handle.line,
            raw=self.latest.raw,
            training=self.latest.training,
            latest=self.latest.trend,
            axes=[*self.axes.rates, self.axes.both[1]],
            figures=[self.figure],
            loss_name=loss_name,
        )
        super().__init__([self.figure, self.overlay])
        self.add_class("lrwidget-chart")

    @property
    def lines(self) -> list[bqplot.Lines]:
        """The lines of all curves; `labels` of each has its name."""
        return [*self.others.lines, *self.latest.lines]

    def show_range(self, start_lr: float, end_lr: float) -> None:
        """Set the rates at the edges."""
        self.axes.show_rates(start_lr, end_lr)
        self.zones.reach_the_edge()

    def prepare(self, name: str, steps: int | None, *, linear: bool) -> None:
        """Name the opened run, and prepare for its steps and the axis of its rates."""
        if self.latest.trend.labels != [name] * 3:
            self.latest.trend.labels = [name] * 3
        if steps is not None:
            self.latest.show_steps(steps)
        self._use_axis(linear=linear)

    def _use_axis(self, *, linear: bool) -> None:
        """Show all on a linear axis of rates, or on a logarithmic one."""
        if linear == self.axes.linear:
            return
        before = self.axes.both[0]
        self.axes.use(linear=linear)
        rates = self.axes.both[0]
        for figure in self.overlay.figures:
            figure.axes = [rates if axis is before else axis for axis in figure.axes]
            for mark in figure.marks:
                if mark.scales["x"] is before.scale:
                    mark.scales = {**mark.scales, "x": rates.scale}

    def show_others(
        self, others: list[Run], repeats: list[Run], view: ViewOptions
    ) -> bool:
        """
        Show runs beside the latest one, and set the view of all that is drawn next.

        Three or more repeats of one setting show their common trend; the latest run
        may be one of these. Return whether there are such.
        """
        self._view = view
        self._others = [(run, view.of(run.history.curve())) for run in others]
        settings: dict[RepeatKey, list[Run]] = {}
        for run in repeats:
            settings.setdefault(run.key, []).append(run)
        self._repeats = []
        for same in settings.values():
            common = view.of_repeats([run.history.curve() for run in same])
            if len(common.lrs):
                self._repeats.append((same[0], common))
        self._limits = None
        self.others.show(others, [run for run, _ in self._repeats])
        self.figure.marks = self._marks()
        with self.overlay.hold_sync():
            self.overlay.others = self.others.lines
            self.overlay.logarithmic = view.logarithmic
        return bool(self._repeats)

    def draw(self, curve: LRCurve, suggestion: Suggestion, *, ended: bool) -> None:
        """Show the latest run and its suggestion; its zones once it has ended."""
        latest = self._view.of(curve) if len(curve) else NOTHING
        training = self._view.training_of(curve) if len(curve) else None
        limits = latest.limits
        if limits is not None and training is not None:
            limits = hull(limits, training.limits)
        for _run, seen in self._others:
            limits = seen.limits if limits is None else hull(limits, seen.limits)
        if limits is not None:
            self.axes.show_losses(limits, logarithmic=self._view.logarithmic)
        self.latest.draw(latest, training)
        # Without limits there is nothing to draw, but old points may have to go.
        if limits is None or self._limits != limits:
            self._limits = limits
            for run, seen in self._others:
                self.others.draw(run, seen)
            for run, seen in self._repeats:
                self.others.draw_repeats(run, seen)
        self.suggestion.draw(suggestion, latest)
        self._draw_zones(curve, suggestion, known=ended and limits is not None)

    def show_rate(self, rate: float | None) -> None:
        """Put the handle to a rate, or hide it."""
        self.handle.show(rate)

    def _draw_zones(
        self, curve: LRCurve, suggestion: Suggestion, *, known: bool
    ) -> None:
        zones = zones_of(curve) if known else []
        start = curve.fit().start.level if known else None
        height = start
        if start is not None and self._view.logarithmic:
            height = math.log10(start) if start > 0 else None
        unstable_from = next(
            (low for name, low, _ in zones if name == "unstable"), None
        )
        self.zones.draw(unstable_from, height)
        with self.overlay.hold_sync():
            self.overlay.suggestion = suggestion.lr
            self.overlay.start = start
            self.overlay.zones = [[*zone] for zone in zones]

    def _marks(self) -> list[bqplot.Mark]:
        return [
            self.zones.unstable,
            self.suggestion.band,
            self.zones.start,
            self.latest.training,
            *self.lines,
            self.handle.line,
            self.suggestion.dot,
            self.handle.dot,
        ]
