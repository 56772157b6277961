"""The display of a check by training, or of a race."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import ipywidgets as ipw

from lrwidget.curve.outcomes import ERRORS, best_of
from lrwidget.curve.race_history import RaceHistory
from lrwidget.curve.ticks import counted, plain, short
from lrwidget.curve.verdict import lane_results
from lrwidget.ui.answer_text import unbroken
from lrwidget.ui.controls import show_if
from lrwidget.ui.final_losses import FinalLosses
from lrwidget.ui.lane_looks import lane_colours
from lrwidget.ui.lanes_chart import LanesChart
from lrwidget.ui.widgets import close_with_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from lrwidget.curve.history import RunHistory
    from lrwidget.curve.outcomes import Outcome
    from lrwidget.ui.chart import Chart
    from lrwidget.ui.snapshot import Snapshot, Trainings

_KINDS = {"race", "verification"}
_LEAST_PLAIN, _MOST_PLAIN = 1e-4, 1000.0  # margins that are written without a power
_MOST_DIFFERENCES = 4
_SAME = 1e-6  # a rate in a tensor is rounded
_ERRORS = (
    f"final loss; bars: ± {ERRORS:g} standard errors of the difference from the lowest"
)
_WAITING = "The trainings begin after the range test."
_ENDS = {
    "diverged": "unstable",
    "non_finite": "infinite or NaN",
    "exhausted": "no batches left",
    "stopped": "stopped",
}


class _Shown(NamedTuple):
    """The trainings in the display, and the run that was the latest at their start."""

    history: Trainings
    run: RunHistory | None


class TrainingsDisplay:
    """
    The final losses below the chart; the losses step by step and a verdict beside it.

    It shows trainings until another run begins.
    """

    def __init__(
        self,
        chart: Chart,
        on_pick: Callable[[float], object],
        answer: Callable[..., object],
    ) -> None:
        self._chart = chart
        self._on_pick = on_pick
        self._answer = answer  # the page gets one to a click without an effect, too
        self._shown: _Shown | None = None
        self._taken_away: Trainings | None = None
        self._drawn: object = None  # the number of ended lanes, and the job's state
        self._rate: float | None = None
        self._waiting = False
        # These are made anew for each check and race.
        self.lanes: LanesChart | None = None
        self.final: FinalLosses | None = None
        self.buttons: list[ipw.Button] = []
        self._title, self._verdict = ipw.HTML(), ipw.HTML()
        self._verdict.add_class("lrwidget-verdict")
        # A figure is taken out rather than hidden: without a size, it logs errors.
        self._losses, self._steps = ipw.VBox(), ipw.VBox()
        heading = ipw.HTML("<b>Loss of each training, step by step</b>")
        self.below = ipw.VBox([self._title, self._losses])
        self.beside = ipw.VBox([heading, self._steps, self._verdict])
        self.beside.add_class("lrwidget-beside")
        for box in (self.below, self.beside):
            show_if(box, shown=False)

    def show(self, snapshot: Snapshot, changed: Collection[str]) -> None:
        """Write what differs from the state before, and what may have grown."""
        history, job = snapshot.race, snapshot.job
        run = None if snapshot.latest is None else snapshot.latest.history
        training = job is not None and job.kind in _KINDS
        shown = self._shown
        if shown is not None and (shown.history is not history or shown.run is not run):
            self._take_away()
        if history is None:
            self._wait(waiting=training and snapshot.running)
        elif self._shown is None and history is not self._taken_away:
            self._begin(history, run, snapshot.capabilities.loss_name)
            changed = {"job", "suggestion"}
            training = True
        if self._shown is None:
            return
        if (training and "job" in changed) or "verification" in changed:
            self._draw(snapshot)
        if "suggestion" in changed and self.final is not None:
            self.final.show_range(snapshot.suggestion)

    def show_rate(self, rate: float | None) -> None:
        """Mark the button of a rate, if one of the trainings has this rate."""
        self._rate = rate
        rates = [] if self._shown is None else self._shown.history.rates
        for lr, button in zip(rates, self.buttons, strict=True):
            chosen = rate is not None and math.isclose(rate, lr, rel_tol=_SAME)
            button.icon = "check" if chosen else ""
            button.style.font_weight = "bold" if chosen else None

    def _begin(
        self, history: Trainings, run: RunHistory | None, loss_name: str
    ) -> None:
        """Show trainings, of which there may be no step yet."""
        # The lines of a check are training losses, also with a val_loader.
        name = loss_name if isinstance(history, RaceHistory) else "loss"
        rates = list(history.rates)
        chart, pick = self._chart, self._on_pick
        self.lanes = LanesChart(rates, history.steps, pick, name)
        self.final = FinalLosses(chart.axes, chart.figure.fig_margin, pick)
        for mark in (self.lanes.background, *self.final.to_pick):
            mark.on_element_click(self._answer)
        colours = lane_colours(len(rates))
        self.buttons = [
            self._button(*look) for look in zip(rates, colours, strict=True)
        ]
        row = ipw.HBox(self.buttons)
        row.add_class("lrwidget-rates")
        self._shown, self._drawn, self._waiting = _Shown(history, run), None, False
        self.show_rate(self._rate)
        for box in (self.below, self.beside):
            show_if(box, shown=True)
        self._losses.children = (self.final.figure,)
        chart.overlay.figures = [chart.figure, self.final.figure]
        self._steps.children = (self.lanes.figure, row)

    def _wait(self, *, waiting: bool) -> None:
        """Take the place of trainings that begin after a range test."""
        if waiting != self._waiting:
            self._waiting = waiting
            show_if(self.beside, shown=waiting)
            self._verdict.value = _WAITING if waiting else ""

    def _take_away(self) -> None:
        """Show no trainings."""
        if self._shown is None:
            return
        self._taken_away, self._shown = self._shown.history, None
        self.lanes, self.final, self.buttons = None, None, []
        self._chart.overlay.figures = [self._chart.figure]
        for outer, inner in ((self.below, self._losses), (self.beside, self._steps)):
            show_if(outer, shown=False)
            parts, inner.children = inner.children, ()
            for part in parts:
                close_with_parts(part, kept=self._chart.axes.shared)

    def _draw(self, snapshot: Snapshot) -> None:
        """Show the trainings so far, and what has changed with the end of one."""
        if self._shown is None or self.lanes is None or self.final is None:
            return
        history, running = self._shown.history, snapshot.running
        curves = history.curves()
        self.lanes.draw(curves, ended=not running)
        reasons = [x.stop_reason for x in curves.values() if x.stop_reason]
        state = reasons, running, snapshot.verification
        if state == self._drawn:
            return
        self._drawn = state
        outcomes = history.outcomes(curves)
        best = best_of([*outcomes.values()])
        number = next((i for i, x in outcomes.items() if x is best), None)
        self.lanes.mark(None if number is None else history.rates[number])
        self.final.draw(outcomes, history.rates)
        self._title.value = _title(history, running=running)
        if running:  # no button is written to while trainings run
            self._verdict.value = _so_far(len(reasons), len(history.rates))
            return
        for i, outcome in outcomes.items():
            words = [short(history.rates[i]), _words(outcome)]
            self.buttons[i].description = " · ".join(filter(None, words))
        self._verdict.value = _verdict(history, outcomes, snapshot)

    def _button(self, lr: float, colour: str) -> ipw.Button:
        button = ipw.Button(
            description=short(lr),
            tooltip=f"Choose the learning rate {short(lr)}",
            layout={"width": "auto", "border_left": f"6px solid {colour}"},
        )
        button.add_class("lrwidget-small")
        button.on_click(lambda _button: self._on_pick(lr))
        return button


def _title(history: Trainings, *, running: bool) -> str:
    """Return the heading of the final losses."""
    steps = counted(history.steps, "step")
    if isinstance(history, RaceHistory):
        what = f"Trainings of {steps}, each at one rate"
    else:
        what = (
            f"Check by training, {steps} each"
            if running
            else f"Checked by training, {steps} each"
        )
    return f'<b>{what}</b> <span class="lrwidget-note">{_ERRORS}</span>'


def _words(outcome: Outcome) -> str:
    """Return the end of a lane; an empty text for one without an end."""
    reason = outcome.lane.stop_reason
    if reason != "completed":
        return _ENDS.get(reason or "", "")
    if outcome.state == "unstable":
        return "infinite or NaN"
    loss = plain(outcome.loss, 2)
    if len(outcome.lane.val_losses):
        loss = f"validation loss {loss}"
    return f"{loss}, learned nothing" if outcome.state == "nothing" else loss


def _so_far(ended: int, count: int) -> str:
    return f"<b>Verdict</b><p>{ended} of {counted(count, 'training')} done.</p>"


def _verdict(
    history: Trainings, outcomes: Mapping[int, Outcome], snapshot: Snapshot
) -> str:
    """Return the verdict, and the differences that it is based on."""
    found = snapshot.verification
    every = [*outcomes.values()]
    if found is not None and not isinstance(history, RaceHistory):
        words = found.verdict
    elif every:
        words = lane_results(every, history.steps)
    else:
        words = "No training has begun."
    text = f"<b>Verdict</b><p>{words}</p>"
    best = best_of(every)
    known = [
        x for x in every if x.state in ("close", "worse") and math.isfinite(x.error)
    ]
    differences = [
        f"{_with_margin(x.above, ERRORS * x.error)} at {short(x.lane.lr)}"
        for x in sorted(known, key=lambda x: x.above)[:_MOST_DIFFERENCES]
    ]
    if best is not None and differences:
        text += (
            f'<p class="lrwidget-note">Lowest loss: {plain(best.loss, 2)} at '
            f"{short(best.lane.lr)}. Higher by {', by '.join(differences)}.</p>"
        )
    return unbroken(text)


def _with_margin(number: float, margin: float) -> str:
    """Return a number and its margin of error, of which one digit counts."""
    if not _LEAST_PLAIN <= margin < _MOST_PLAIN:
        return f"{plain(number, 2)} ± {plain(margin, 1)}"
    places = max(-math.floor(math.log10(margin)), 0)
    return f"{number:.{places}f} ± {margin:.{places}f}"
