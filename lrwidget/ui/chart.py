"""The chart: the curves, the suggestion, and the handle that picks a rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bqplot
import ipywidgets as ipw
import numpy as np

from lrwidget.curve.loss_limits import hull
from lrwidget.ui.axes import Axes
from lrwidget.ui.handle import Handle
from lrwidget.ui.marks import LatestLines, OtherLines, SuggestionMarks
from lrwidget.ui.messages import beside_the_handle
from lrwidget.ui.view_options import NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lrwidget.curve.loss_limits import Limits
    from lrwidget.curve.lr_curve import LRCurve
    from lrwidget.curve.runs import RepeatKey, Run
    from lrwidget.curve.suggestion import Suggestion
    from lrwidget.ui.view_options import ViewOptions, VisibleCurve


class Chart(ipw.VBox):  # type: ignore[misc]  # untyped base
    """Loss curves over a logarithmic axis of rates, with a handle to pick one."""

    def __init__(
        self,
        start_lr: float,
        end_lr: float,
        view: ViewOptions,
        on_pick: Callable[[float], object],
        loss_name: str = "loss",
    ) -> None:
        self._view = view
        self._rate: float | None = None
        self._suggested: float | None = None
        self.words: list[str] = []  # beside the handle: the rate, its loss, their ratio
        self._seen = NOTHING
        self._limits: Limits | None = None  # in which the others are drawn
        self._others: list[tuple[Run, VisibleCurve]] = []
        self._repeats: list[tuple[Run, VisibleCurve]] = []
        self.axes = Axes(start_lr, end_lr, loss_name)
        self.latest = LatestLines(self.axes)
        self.others = OtherLines(self.axes)
        self.suggestion = SuggestionMarks(self.axes, on_pick)
        self.handle = Handle(self.axes, on_pick)
        self.figure = bqplot.Figure(
            marks=self._marks(),
            axes=self.axes.both,
            fig_margin={"top": 12, "bottom": 48, "left": 72, "right": 18},
            display_toolbar=False,
            layout={"width": "auto", "height": "320px"},
        )
        super().__init__([self.figure])
        self.add_class("lrwidget-chart")

    @property
    def lines(self) -> list[bqplot.Lines]:
        """The lines of all curves; `labels` of each has its name."""
        return [*self.others.lines, *self.latest.lines]

    def show_range(self, start_lr: float, end_lr: float) -> None:
        """Set the rates at the edges."""
        self.axes.show_rates(start_lr, end_lr)
        self.show_rate(self._rate)

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
        return bool(self._repeats)

    def draw(self, curve: LRCurve, suggestion: Suggestion) -> None:
        """Show the curve of the latest run, and its suggestion."""
        latest = self._view.of(curve) if len(curve) else NOTHING
        self._seen = latest.trend_alone()
        self._suggested = suggestion.lr
        limits = latest.limits
        for _run, seen in self._others:
            limits = seen.limits if limits is None else hull(limits, seen.limits)
        if limits is not None:
            self.axes.show_losses(limits, logarithmic=self._view.logarithmic)
        self.latest.draw(latest)
        # Without limits there is nothing to draw, but old points may have to go.
        if limits is None or self._limits != limits:
            self._limits = limits
            for run, seen in self._others:
                self.others.draw(run, seen)
            for run, seen in self._repeats:
                self.others.draw_repeats(run, seen)
        self.suggestion.draw(suggestion, latest)
        if self._rate is not None:  # the handle may be on its way to another one
            self.handle.say(self._told())

    def show_rate(self, rate: float | None) -> None:
        """Put the handle to a rate, or hide it."""
        self._rate = rate
        self.handle.show(rate, self._told())

    def _told(self) -> list[str]:
        rate, loss, margin = self._rate, None, None
        if rate is not None:
            loss, upper = self._seen.height_at(rate), self._seen.upper_at(rate)
            if loss is not None and self._view.logarithmic:
                loss, upper = _power(loss), None if upper is None else _power(upper)
            margin = None if loss is None or upper is None else upper - loss
        self.words = beside_the_handle(rate, loss, margin, self._suggested)
        return self.words

    def _marks(self) -> list[bqplot.Mark]:
        return [
            self.suggestion.band,
            *self.lines,
            self.suggestion.dot,
            *self.handle.marks,
        ]


def _power(logarithm: float) -> float:
    return float(np.power(10.0, logarithm))  # infinite rather than an error
