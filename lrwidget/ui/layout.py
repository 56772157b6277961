"""The parts of the display, and the part of a snapshot that each shows."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Protocol

import ipywidgets as ipw

from lrwidget.curve.race_history import RaceHistory
from lrwidget.curve.trend import FASTAI
from lrwidget.ui import messages
from lrwidget.ui.answer import Answer
from lrwidget.ui.answer_text import codes, headline, next_step
from lrwidget.ui.chart import Chart
from lrwidget.ui.controls import NextBar, PickBar
from lrwidget.ui.legend import Legend
from lrwidget.ui.menu import Menu
from lrwidget.ui.outlook import check_button, check_tooltip, next_run
from lrwidget.ui.page import Page
from lrwidget.ui.race_chart import RaceChart
from lrwidget.ui.settings import SettingsPanel
from lrwidget.ui.snapshot import Snapshot
from lrwidget.ui.view_options import ViewBar
from lrwidget.ui.widgets import close_with_parts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lrwidget.curve.runs import Run
    from lrwidget.curve.trend import Smoothing
    from lrwidget.ui.snapshot import Trainings
    from lrwidget.ui.view_options import ViewOptions

_RACES = {"race", "verification"}
# A chart without a size logs errors in the page, so these parts keep theirs.
_HIDDEN = {"height": "0", "overflow": "hidden", "visibility": "hidden"}
_SHOWN = {"height": None, "overflow": "visible", "visibility": None}
_FIELDS = [field.name for field in fields(Snapshot)]


class _Commands(Protocol):
    """The commands of the controller, given on any thread."""

    def toggle(self) -> None: ...
    def start_check(self) -> None: ...
    def configure(self, fields: Mapping[str, Any], total_steps: object) -> None: ...
    def refresh(self) -> None: ...
    def pick(self, rate: float) -> None: ...
    def step(self, count: int) -> None: ...
    def home(self) -> None: ...
    def apply(self) -> str: ...
    def export(self, kind: str, smoothing: Smoothing) -> bytes: ...
    def remove(self, name: str) -> None: ...


class Layout:
    """The parts of the widget, from top to bottom."""

    def __init__(
        self, commands: _Commands, snapshot: Snapshot, smoothing: Smoothing, rule: str
    ) -> None:
        self._commands = commands
        self._shown: Snapshot | None = None
        self._view_changed = False
        self._repeated = False
        self._next: dict[str, Any] = {}  # the settings of a run that may do better
        self._others: tuple[list[Run], list[Run], ViewOptions] | None = None
        config, can = snapshot.config, snapshot.capabilities
        self.page = Page(commands.home)
        answered = self.page.answered
        self._pick = pick = answered(commands.pick)
        on_view = answered(self._on_view)
        on_settings = answered(self._on_settings)
        self.settings = SettingsPanel(config, snapshot.total_steps, on_settings)
        toggle, check = answered(commands.toggle), answered(commands.start_check)
        self.copy = Menu("Copy", "Copy the rate as code")
        apply, further = answered(self._on_apply), answered(self._on_next)
        self.answer = Answer(
            on_toggle=toggle,
            on_check=check,
            on_apply=apply,
            on_next=further,
            copy=self.copy,
            can=can,
        )
        self.view_bar = ViewBar(smoothing, config.num_it, on_view)
        self.chart = Chart(
            config.start_lr, config.end_lr, self.view_bar.view, pick, can.loss_name
        )
        self.page.handle = self.chart.handle.dot
        self.legend = Legend(on_view, answered(commands.remove))
        step, home = answered(commands.step), answered(commands.home)
        save = Menu("Save", "Save the curve as a file", answered(self._on_export))
        self.save = save
        self.pick_bar = PickBar(config.start_lr, rule, pick, step, home, save=save)
        self.next_bar = NextBar(self.settings.toggle, self.page, can)
        self.race: RaceChart | None = None
        self._race_history: Trainings | None = None
        self._race_box = ipw.VBox()
        # The page gets an answer to presses without an effect, too.
        self.chart.handle.dot.on_drag_end(self.page.answer)
        self.chart.suggestion.dot.on_element_click(self.page.answer)
        # The parts that are hidden until there is a run to show.
        self.results = ipw.VBox(
            [self.pick_bar, self.chart, self.legend, self.view_bar, self._race_box]
        )
        self.parts = [self.answer, self.results, self.next_bar, self.settings]

    def show(self, snapshot: Snapshot) -> None:
        """Write what differs from the state before, and what may have grown."""
        # If an error interrupts this, the next call writes the whole state.
        before, self._shown = self._shown, None
        changed = {
            name
            for name in _FIELDS
            if before is None or _differ(name, snapshot, before)
        }
        job, race = snapshot.job, snapshot.race
        # Runs of a comparison that are not the latest grow, too.
        comparing = snapshot.testing and job is not None and job.kind == "comparison"
        if "problem" in changed:
            self.settings.show_problem(snapshot.problem)
        if "bounds" in changed:
            self.chart.show_range(*snapshot.bounds)
            self.page.range = snapshot.bounds
        if snapshot.points and changed & {"points", "testing"}:
            self.view_bar.show_total(snapshot.points)
        if changed & {"runs", "testing"} or self._view_changed or comparing:
            self._view_changed = False
            view = self.view_bar.view
            self._show_runs(snapshot, view, anew=before is None or comparing)
            changed.add("curve")
        self.legend.explain(
            band=self.view_bar.view.smoothing != FASTAI,
            repeats=self._repeated,
            checked=snapshot.checked,
        )
        if changed & {"curve", "suggestion"}:
            self.chart.draw(snapshot.curve, snapshot.suggestion)
            with self.page.hold_sync():
                self.page.suggestion = snapshot.suggestion.lr
                self.page.words = ", ".join(self.chart.words)
        if "choice" in changed:
            self._show_choice(snapshot.choice)
        if changed & {"choice", "total_steps"}:
            self.copy.show(codes(snapshot.choice, snapshot.total_steps))
        grows = "job" in changed and job is not None and job.kind in _RACES
        if race is not None and ("race" in changed or grows):
            self._show_race(race, snapshot)
        self._show_job(snapshot, before, anew=bool(changed - {"choice", "bounds"}))
        self._shown = snapshot

    def _show_job(
        self, snapshot: Snapshot, before: Snapshot | None, *, anew: bool
    ) -> None:
        """Show the progress and the status of the job, and what may be started."""
        job, running = snapshot.job, snapshot.running
        if anew:
            done, total = (0, 0) if job is None else (job.done, job.total)
            traceback = None if job is None or job.error is None else job.traceback
            self.answer.show(done, total, messages.sentence(snapshot), traceback)
        self.answer.show_headline(headline(snapshot))
        if not running:
            words, tooltip = check_button(snapshot), check_tooltip(snapshot)
            self.answer.show_check(words, tooltip)
            self.next_bar.show_next(next_run(snapshot))
        phase = _phase(snapshot)
        if before is None or _phase(before) != phase:
            self.answer.show_running(**phase)
            with self.results.layout.hold_sync():
                for name, value in (_SHOWN if phase["begun"] else _HIDDEN).items():
                    setattr(self.results.layout, name, value)
        if not anew:
            return
        step = None if running else next_step(snapshot)
        self._next = {} if step is None else step.settings
        self.answer.show_next("" if step is None else step.words)
        said = messages.announcement(snapshot)
        if self.page.said != said:
            self.page.said = said

    def _show_runs(self, snapshot: Snapshot, view: ViewOptions, *, anew: bool) -> None:
        """Show the former runs beside the latest one, and in the legend."""
        runs = list(snapshot.runs)
        former, latest = runs[:-1], runs[-1] if runs else None
        shown = self.legend.show(former, latest)
        ended = [] if latest is None or snapshot.testing else [latest]
        others = shown, [*shown, *ended], view
        if anew or others != self._others:
            self._others = others
            self._repeated = self.chart.show_others(*others)
            with self.page.hold_sync():
                self.page.lines = self.chart.lines
                self.page.logarithmic = view.logarithmic

    def _show_choice(self, choice: float | None) -> None:
        for part in (self.chart, self.pick_bar, self.answer, self.race):
            if part is not None:
                part.show_rate(choice)
        self.next_bar.say("")
        with self.page.hold_sync():
            self.page.rate = choice
            self.page.words = ", ".join(self.chart.words)

    def _show_race(self, history: Trainings, snapshot: Snapshot) -> None:
        """Show short trainings, new ones in place of those before."""
        race = self.race
        if race is None or history is not self._race_history:
            rates, name = list(history.rates), snapshot.capabilities.loss_name
            # The lines of a check are training losses, also with a val_loader.
            name = name if isinstance(history, RaceHistory) else "loss"
            self.race = RaceChart(rates, history.steps, self._pick, name)
            # It gets an answer to a click before there is a line, too.
            self.race.background.on_element_click(self.page.answer)
            self.race.show_rate(snapshot.choice)
            self._race_box.children = (self.race,)
            self._race_history = history
            if race is not None:
                close_with_parts(race)
            race = self.race
        race.draw(history.curves(), ended=not snapshot.running)

    def _on_settings(self) -> None:
        self._commands.configure(self.settings.values, self.settings.total_steps)

    def _on_apply(self) -> None:
        try:
            words = self._commands.apply()
        except Exception as error:  # noqa: BLE001 (any error is shown)
            words = str(error) or type(error).__name__
        self.next_bar.say(words)

    def _on_next(self) -> None:
        """Start the run that may do better."""
        self.settings.change(self._next)
        self._commands.toggle()

    def _on_view(self) -> None:
        self._view_changed = True
        self._commands.refresh()

    def _on_export(self, kind: str) -> bytes:
        return self._commands.export(kind, self.view_bar.view.smoothing)


def _differ(name: str, one: Snapshot, other: Snapshot) -> bool:
    """Whether a field of two snapshots differs."""
    if name == "config":  # its objects of the user, as a loader, compare in any way
        return one.config is not other.config
    return bool(getattr(one, name) != getattr(other, name))


def _phase(snapshot: Snapshot) -> dict[str, bool]:
    """Return whether a job runs, and whether there has been a result and a run."""
    running, again = snapshot.running, bool(snapshot.runs)
    begun = again or running or snapshot.race is not None or snapshot.choice is not None
    return {"running": running, "begun": begun, "again": again}
