"""The parts of the display, and the part of a snapshot that each shows."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Protocol

import ipywidgets as ipw

from lrwidget.curve.race_history import RaceHistory
from lrwidget.curve.ticks import short
from lrwidget.ui import messages
from lrwidget.ui.chart import Chart
from lrwidget.ui.controls import ApplyBar, PickBar, RunBar
from lrwidget.ui.legend import Legend
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
        self._others: tuple[list[Run], list[Run], ViewOptions] | None = None
        config, can = snapshot.config, snapshot.capabilities
        self.page = Page(commands.home, self._on_export)
        answered = self.page.answered
        self._pick = pick = answered(commands.pick)
        on_view = answered(self._on_view)
        on_settings = answered(self._on_settings)
        self.settings = SettingsPanel(config, snapshot.total_steps, on_settings)
        toggle, check = answered(commands.toggle), answered(commands.start_check)
        self.run_bar = RunBar(toggle, check, self.settings.toggle, can)
        self.view_bar = ViewBar(smoothing, can.loss_name, on_view)
        self.chart = Chart(
            config.start_lr, config.end_lr, self.view_bar.view, pick, can.loss_name
        )
        self.page.handle = self.chart.handle.dot
        self.legend = Legend(on_view, answered(commands.remove))
        step, home = answered(commands.step), answered(commands.home)
        self.pick_bar = PickBar(config.start_lr, rule, pick, step, home)
        self.apply_bar = ApplyBar(answered(commands.apply), self.page, can)
        self.race: RaceChart | None = None
        self._race_history: Trainings | None = None
        self._race_box = ipw.VBox()
        # The page gets an answer to presses without an effect, too.
        self.chart.handle.dot.on_drag_end(self.page.answer)
        self.chart.suggestion.dot.on_element_click(self.page.answer)
        upper = [self.run_bar, self.settings, self.view_bar, self.chart, self.legend]
        lower = [self.pick_bar, self.apply_bar, self._race_box]
        self.parts = [*upper, *lower]

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
            self.settings.problem.value = snapshot.problem
        if "bounds" in changed:
            self.chart.show_range(*snapshot.bounds)
        self._prepare(snapshot)
        if changed & {"runs", "testing"} or self._view_changed or comparing:
            self._view_changed = False
            view = self.view_bar.view
            self._show_runs(snapshot, view, anew=before is None or comparing)
            changed.add("curve")
        self.view_bar.explain(
            dots=self.chart.latest.dotted,
            repeats=self._repeated,
            checked=snapshot.checked,
        )
        if changed & {"curve", "suggestion", "testing"}:
            ended = not snapshot.testing
            self.chart.draw(snapshot.curve, snapshot.suggestion, ended=ended)
            self.page.suggestion = snapshot.suggestion.lr
        if "choice" in changed:
            self._show_choice(snapshot.choice)
        grows = "job" in changed and job is not None and job.kind in _RACES
        if race is not None and ("race" in changed or grows):
            self._show_race(race, snapshot)
        self._show_job(snapshot, before, anew=bool(changed - {"choice", "bounds"}))
        self._shown = snapshot

    def _show_job(
        self, snapshot: Snapshot, before: Snapshot | None, *, anew: bool
    ) -> None:
        """Show the progress and the status of the job, and what may be started."""
        job = snapshot.job
        if anew:
            done, total = (0, 0) if job is None else (job.done, job.total)
            traceback = None if job is None or job.error is None else job.traceback
            self.run_bar.show(done, total, messages.status(snapshot), traceback)
        if not snapshot.running:
            self.run_bar.show_check(messages.check_tooltip(snapshot))
        if before is None or before.running != snapshot.running:
            self.run_bar.show_running(running=snapshot.running)

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

    def _prepare(self, snapshot: Snapshot) -> None:
        """Prepare the chart for the latest run, or before the first for the next."""
        latest = snapshot.latest
        plan = snapshot.config.plan if latest is None else latest.history.plan
        name = "trend" if latest is None or len(snapshot.runs) == 1 else latest.name
        self.chart.prepare(name, plan)

    def _show_choice(self, choice: float | None) -> None:
        for part in (self.chart, self.pick_bar, self.apply_bar, self.race):
            if part is not None:
                part.show_rate(choice)
        self.page.code = "" if choice is None else f"lr={short(choice)}"

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
