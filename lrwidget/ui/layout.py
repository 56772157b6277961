"""The parts of the display, and the part of a snapshot that each shows."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import ipywidgets as ipw

from lrwidget.ui import messages
from lrwidget.ui.answer import Answer
from lrwidget.ui.answer_text import codes, headline, next_step
from lrwidget.ui.chart import Chart
from lrwidget.ui.controls import NextBar, PickBar, UndoButton
from lrwidget.ui.menu import Menu
from lrwidget.ui.outlook import check_button, check_tooltip, next_run
from lrwidget.ui.page import Page
from lrwidget.ui.points_table import PointsTable
from lrwidget.ui.runs_table import RunCommands, RunsTable
from lrwidget.ui.settings import SettingsPanel
from lrwidget.ui.snapshot import Snapshot
from lrwidget.ui.strip import Strip
from lrwidget.ui.trainings import TrainingsDisplay
from lrwidget.ui.view_options import ViewBar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lrwidget.curve.runs import Run
    from lrwidget.curve.trend import Smoothing
    from lrwidget.ui.view_options import ViewOptions

_OF_RUNS = {"runs", "opened", "growing"}
_BY_USER = {"choice", "bounds", "window", "undoable"}
# A chart without a size logs errors in the page, so these parts keep theirs.
_HIDDEN = {"height": "0", "overflow": "hidden", "visibility": "hidden"}
_SHOWN = {"height": None, "overflow": "visible", "visibility": None}
_FIELDS = [field.name for field in fields(Snapshot)]


class _Commands(RunCommands, Protocol):
    """The commands of the controller, given on any thread."""

    def toggle(self) -> None: ...
    def start_check(self) -> None: ...
    def configure(self, fields: Mapping[str, Any], total_steps: object) -> None: ...
    def refresh(self) -> None: ...
    def start(self) -> None: ...
    def pick(self, rate: float) -> None: ...
    def grab(self) -> None: ...
    def move(self, rate: float) -> None: ...
    def release(self) -> None: ...
    def zoom(self, low: float, high: float) -> None: ...
    def end_zoom(self) -> None: ...
    def show_all(self) -> None: ...
    def undo(self) -> str: ...
    def undo_pick(self) -> None: ...
    def step(self, count: int) -> None: ...
    def home(self) -> None: ...
    def apply(self) -> str: ...
    def export(self, kind: str, smoothing: Smoothing) -> bytes: ...


class Layout:
    """The parts of the widget, from top to bottom."""

    def __init__(
        self,
        commands: _Commands,
        snapshot: Snapshot,
        smoothing: Smoothing | None,
        rule: str,
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
        pick = answered(commands.pick)
        on_view = answered(self._on_view)
        on_settings = answered(self._on_settings)
        self.settings = SettingsPanel(config, snapshot.total_steps, on_settings)
        toggle, check = (
            answered(partial(self._start, command))
            for command in (commands.toggle, commands.start_check)
        )
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
        self.save = Menu("Save", "Save the curve as a file", answered(self._on_export))
        self.view_bar = ViewBar(smoothing, can.loss_name, on_view, self.save)
        move = answered(commands.move)
        self.chart = Chart(
            config.start_lr, config.end_lr, self.view_bar.view, move, can.loss_name
        )
        self.page.handle = self.chart.handle.dot
        margin = self.chart.figure.fig_margin
        margins = margin["left"], margin["right"]
        self.strip = Strip(
            *(commands, self._on_run_range, self._on_undo, margins), can_run=can.run
        )
        self.strip.page.handle = self.chart.handle.dot
        self.undo_button = UndoButton(answered(self._on_undo))
        self.runs_table = RunsTable(commands, self.page.answer)
        self.points_table = PointsTable()
        step, home = answered(commands.step), answered(commands.home)
        self.pick_bar = PickBar(config.start_lr, rule, pick, step, home)
        self.next_bar = NextBar(self.settings.toggle, self.undo_button, self.page, can)
        self.trainings = TrainingsDisplay(self.chart, pick, self.page.answer)
        # The page gets an answer to presses without an effect, too.
        self.chart.handle.dot.on_drag_end(self.page.answer)
        self.chart.suggestion.dot.on_element_click(self.page.answer)
        self.strip.everything.on_click(self.page.answer)
        # The moves of one drag are one pick.
        self.chart.handle.dot.on_drag_start(lambda *_: commands.grab())
        self.chart.handle.dot.on_drag_end(lambda *_: commands.release())
        self.chart.suggestion.dot.on_element_click(lambda *_: commands.release())
        chart = [self.view_bar, self.chart, self.strip]
        left = ipw.VBox([*chart, self.trainings.below])
        columns = ipw.Box([left, self.trainings.beside])
        columns.add_class("lrwidget-columns")
        # The parts that are hidden until there is a run to show.
        self.results = ipw.VBox(
            [self.pick_bar, columns, self.runs_table, self.points_table]
        )
        self.parts = [self.answer, self.results, self.next_bar, self.settings]

    def show(self, snapshot: Snapshot) -> None:
        """Write what differs from the state before, and what may have grown."""
        # If an error interrupts this, the next call writes the whole state.
        before, self._shown = self._shown, None
        changed = _changed(snapshot, before)
        self._show_rates(snapshot, changed)
        if changed - _BY_USER or self._view_changed:
            self._show_results(snapshot, before, changed)
        if changed - {"window", "bounds", "undoable"}:
            running = snapshot.running
            self.answer.show_headline(headline(snapshot), running=running)
        if "undoable" in changed:
            self.undo_button.show(snapshot.undoable)
        self._shown = snapshot

    def say(self, words: str) -> None:
        """Tell what was applied or undone, until another rate is chosen."""
        self.next_bar.say(words)

    def _show_rates(self, snapshot: Snapshot, changed: set[str]) -> None:
        """Show the visible rates and the chosen one, with the code that has it."""
        if "window" in changed:
            self.chart.show_range(*snapshot.window)
        if "bounds" in changed:
            self.page.bounds = snapshot.bounds
        if changed - {"choice", "undoable"}:
            self.strip.show(snapshot)
        if "choice" in changed:
            for part in (self.chart, self.pick_bar, self.answer, self.trainings):
                part.show_rate(snapshot.choice)
            self.next_bar.say("")
        if changed & {"choice", "total_steps"}:
            self.copy.show(codes(snapshot.choice, snapshot.total_steps))

    def _show_results(
        self, snapshot: Snapshot, before: Snapshot | None, changed: set[str]
    ) -> None:
        """Show the runs, the trainings and the job, which no other rate changes."""
        # Runs that are not opened may grow, too.
        others_grow = any(run is not snapshot.opened for run in snapshot.growing)
        if changed & _OF_RUNS or others_grow or self._view_changed:
            changed |= {"curve", "others"}
        if "problem" in changed:
            self.settings.show_problem(snapshot.problem)
        self._show_curves(snapshot, changed, anew=others_grow or "growing" in changed)
        self.trainings.show(snapshot, changed)
        self._show_job(snapshot, before)

    def _show_job(self, snapshot: Snapshot, before: Snapshot | None) -> None:
        """Show the progress and the status of the job, and what may be started."""
        job, running = snapshot.job, snapshot.running
        done, total = (0, 0) if job is None else (job.done, job.total)
        traceback = None if job is None or job.error is None else job.traceback
        sentence = messages.sentence(snapshot)
        self.answer.show(done, total, sentence, traceback)
        if not (running or job is None):
            self.answer.keep_room(sentence)
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
        step = None if running else next_step(snapshot)
        self._next = {} if step is None else step.settings
        self.answer.show_next("" if step is None else step.words)
        said = messages.announcement(snapshot)
        if self.page.said != said:
            self.page.said = said

    def _show_curves(
        self, snapshot: Snapshot, changed: set[str], *, anew: bool
    ) -> None:
        """Show the curves and the tables of them; all the other runs anew, if so."""
        self._prepare(snapshot)
        if "others" in changed:
            self._show_others(snapshot, anew=anew)
        if changed & {*_OF_RUNS, "suggestions"}:
            lines = [*self.chart.lines, self.chart.latest.training]
            self.runs_table.show(snapshot, lines)
            self.points_table.show(snapshot)
        self.view_bar.explain(
            dots=self.chart.latest.dotted,
            repeats=self._repeated,
            checked=snapshot.checked,
            training=snapshot.curve.train_losses is not None,
        )
        if changed & {"curve", "suggestion", "testing"}:
            ended = snapshot.opened not in snapshot.growing
            self.chart.draw(snapshot.curve, snapshot.suggestion, ended=ended)
            self.page.suggestion = snapshot.suggestion.lr

    def _show_others(self, snapshot: Snapshot, *, anew: bool) -> None:
        """Show the other runs beside the opened one, unless they are hidden."""
        self._view_changed = False
        opened, growing = snapshot.opened, snapshot.growing
        shown = [run for run in snapshot.runs if run is not opened and not run.hidden]
        ended = [] if opened is None or opened in growing else [opened]
        others = shown, [*shown, *ended], self.view_bar.view
        if anew or others != self._others:
            self._others = others
            self._repeated = self.chart.show_others(*others)

    def _prepare(self, snapshot: Snapshot) -> None:
        """Prepare the chart for the opened run, or before the first for the next."""
        opened = snapshot.opened
        plan = snapshot.config.plan if opened is None else opened.history.plan
        name = "trend" if opened is None or len(snapshot.runs) == 1 else opened.name
        steps = None if plan is None else plan.num_it
        self.chart.prepare(name, steps, linear=snapshot.linear)

    def _on_settings(self) -> None:
        self._commands.configure(self.settings.values, self.settings.total_steps)

    def _on_run_range(self, low: float, high: float) -> None:
        self.page.answer()
        self.settings.change({"start_lr": low, "end_lr": high})
        self._start(self._commands.start)

    def _on_undo(self) -> None:
        self._do(self._commands.undo)

    def _on_apply(self) -> None:
        self._do(self._commands.apply)

    def _start(self, command: Callable[[], object]) -> None:
        """Give a command that starts a job, and say why it could not."""
        try:
            command()
        except RuntimeError as error:  # a refusal; other errors are those of a job
            self.say(str(error))

    def _do(self, command: Callable[[], str]) -> None:
        """Give a command, and say what it did, or why it could not."""
        try:
            words = command()
        except Exception as error:  # noqa: BLE001 (any error is shown)
            words = str(error) or type(error).__name__
        self.say(words)

    def _on_next(self) -> None:
        """Start the run that may do better."""
        self.settings.change(self._next)
        self._start(self._commands.start)

    def _on_view(self) -> None:
        self._view_changed = True
        self._commands.refresh()

    def _on_export(self, kind: str) -> bytes:
        return self._commands.export(kind, self.view_bar.view.smoothing)


def _changed(snapshot: Snapshot, before: Snapshot | None) -> set[str]:
    """Return the names of what has changed; all fields without a former snapshot."""
    if before is None:
        return {*_FIELDS}
    changed = {name for name in _FIELDS if _differ(name, snapshot, before)}
    if "choice" in changed and None in {snapshot.choice, before.choice}:
        changed.add("first choice")  # or no choice any more
    return changed


def _differ(name: str, one: Snapshot, other: Snapshot) -> bool:
    """Whether a field of two snapshots differs."""
    if name == "config":  # its objects of the user, as a loader, compare in any way
        return one.config is not other.config
    return bool(getattr(one, name) != getattr(other, name))


def _phase(snapshot: Snapshot) -> dict[str, bool]:
    """Return whether a job runs, and whether there has been a result and a run."""
    running, again = snapshot.running, bool(snapshot.runs)
    found = any(len(run.history) for run in snapshot.runs)
    begun = found or running or snapshot.race is not None or snapshot.choice is not None
    return {"running": running, "begun": begun, "again": again}
