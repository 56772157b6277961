"""The chart: the curves, the suggestion, and the handle that picks a rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bqplot
import ipywidgets as ipw
import numpy as np

from lrwidget.curve.spread import spread
from lrwidget.ui.axes import Axes
from lrwidget.ui.handle import Handle
from lrwidget.ui.marks import LatestLines, OtherLines, SuggestionMarks
from lrwidget.ui.messages import beside_the_handle
from lrwidget.ui.view import VisibleCurve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lrwidget.curve.lr_curve import LRCurve
    from lrwidget.curve.runs import Run
    from lrwidget.curve.spread import Spread
    from lrwidget.curve.suggestion import Suggestion
    from lrwidget.ui.view import Limits, ViewOptions

_HEIGHT = "320px"
_NOTHING = VisibleCurve(np.array([]), np.array([]), np.array([]), None)


class Chart(ipw.VBox):  # type: ignore[misc]  # untyped base
    """
    Loss curves over a logarithmic axis of rates, with a handle to pick one.

    Parameters
    ----------
    start_lr:
        The lowest rate, at the left edge.
    end_lr:
        The highest rate, at the right edge.
    view:
        The first view of the curves.
    on_pick:
        Function of the rate that the mouse picks, which may be outside the axis.
    loss_name:
        The name of the losses, at their axis.

    Attributes
    ----------
    words:
        The texts of the chosen rate, of the smoothed loss there, and of their ratio
        to the suggestion.
    """

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
        self.words: list[str] = []
        self._sight = _NOTHING
        self._limits: Limits | None = None  # in which the others are drawn
        self._others: list[tuple[Run, VisibleCurve]] = []
        self._spreads: list[tuple[Run, Spread]] = []
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
            layout={"width": "auto", "height": _HEIGHT},
        )
        super().__init__([self.figure])
        self.add_class("lrwidget-chart")

    @property
    def lines(self) -> list[bqplot.Lines]:
        """The lines of all curves; `labels` of each has its name."""
        return [*self.others.lines, *self.latest.marks]

    def show_range(self, start_lr: float, end_lr: float) -> None:
        """Set the rates at the edges."""
        self.axes.show_rates(start_lr, end_lr)
        self.show_rate(self._rate)

    def show_others(
        self, others: list[Run], repeats: list[Run], view: ViewOptions
    ) -> None:
        """
        Show runs beside the latest one.

        Parameters
        ----------
        others:
            The runs that have a line each.
        repeats:
            The runs to compare: three or more of one setting show their median and
            extent. The latest run may be one of these.
        view:
            The view of these runs, and of the latest curve when it is drawn next.
        """
        self._view = view
        runs = {run.name: run for run in (*others, *repeats)}
        sights = {name: view.of(runs[name].history.curve()) for name in runs}
        self._others = [(run, sights[run.name]) for run in others]
        self._spreads = _spreads(repeats, sights)
        self._limits = None
        self.others.show(others, [run for run, _ in self._spreads])
        self.figure.marks = self._marks()

    def draw(self, curve: LRCurve, suggestion: Suggestion) -> None:
        """
        Show the curve of the latest run.

        Parameters
        ----------
        curve:
            The curve.
        suggestion:
            The rate for the diamond, and the range for the band; none for a rate that
            is None.
        """
        latest = self._view.of(curve)
        # For the handle, which needs no raw losses; these take memory.
        self._sight = latest._replace(raw=_NOTHING.raw)
        self._suggested = suggestion.lr
        sights = [latest, *(sight for _, sight in self._others)]
        limits = _all(sight.limits for sight in sights)
        if limits is not None:
            self.axes.show_losses(limits, logarithmic=self._view.logarithmic)
        self.latest.draw(latest)
        # Without limits there is nothing to draw, but old points may have to go.
        if limits is None or self._limits != limits:
            self._limits = limits
            self._draw_others()
        self.suggestion.draw(suggestion, latest)
        # The handle itself may be on its way to another rate.
        self.handle.say(self._told())

    def show_rate(self, rate: float | None) -> None:
        """Put the handle to a rate, or hide it."""
        self._rate = rate
        self.handle.show(rate, self._told())

    def _told(self) -> list[str]:
        self.words = beside_the_handle(self._rate, self._loss(), self._suggested)
        return self.words

    def _draw_others(self) -> None:
        for run, sight in self._others:
            self.others.draw(run, sight)
        for run, spreading in self._spreads:
            self.others.draw_spread(run, spreading)

    def _loss(self) -> float | None:
        """Return the smoothed loss at the chosen rate, where there is one."""
        lrs, rate = self._sight.lrs, self._rate
        if rate is None or not len(lrs) or not lrs[0] <= rate <= lrs[-1]:
            return None
        height = np.interp(np.log(rate), np.log(lrs), self._sight.smoothed)
        return float(10**height if self._view.logarithmic else height)

    def _marks(self) -> list[bqplot.Mark]:
        return [
            self.suggestion.band,
            *self.others.marks,
            *self.latest.marks,
            self.suggestion.dot,
            *self.handle.marks,
        ]


def _all(limits: Iterable[Limits | None]) -> Limits | None:
    """Return the limits that hold all of some."""
    known = [pair for pair in limits if pair is not None]
    if not known:
        return None
    return min(low for low, _ in known), max(high for _, high in known)


def _spreads(
    runs: list[Run], sights: dict[str, VisibleCurve]
) -> list[tuple[Run, Spread]]:
    """Return how runs of one setting spread, with the first of each setting."""
    found = []
    for setting in dict.fromkeys(run.key for run in runs):
        repeating = [run for run in runs if run.key == setting]
        seen = [sights[run.name] for run in repeating]
        spreading = spread([(sight.lrs, sight.smoothed) for sight in seen])
        if spreading is not None:
            found.append((repeating[0], spreading))
    return found
