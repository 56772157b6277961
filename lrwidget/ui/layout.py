"""The parts of the display, and their share of each snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import ipywidgets as ipw

from lrwidget.ui import messages
from lrwidget.ui.chart import Chart
from lrwidget.ui.closing import close_with_parts
from lrwidget.ui.controls import ApplyBar, PickBar, RunBar
from lrwidget.ui.legend import Legend
from lrwidget.ui.page import Page
from lrwidget.ui.race_chart import RaceChart
from lrwidget.ui.settings import SettingsPanel
from lrwidget.ui.view import ViewBar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lrwidget.curve.race import RaceHistory
    from lrwidget.ui.snapshot import Snapshot


class Commands(Protocol):
    """The commands of the display, on any thread."""

    def toggle(self) -> None:
        """Start a test, or stop the job that runs."""

    def start_race(self) -> None:
        """Start a race around the suggestion and the chosen rate."""

    def configure(self, fields: Mapping[str, Any]) -> None:
        """Use other settings for the next run."""

    def refresh(self) -> None:
        """Show the present state."""

    def pick(self, rate: float) -> None:
        """Choose a rate, which may be outside the chart."""

    def step(self, count: int) -> None:
        """Move the chosen rate by tenths of a decade."""

    def home(self) -> None:
        """Choose the suggestion."""

    def apply(self) -> str:
        """Write the chosen rate, and return a text of what was written."""

    def export(self, kind: str, beta: float) -> bytes:
        """Return the curve as a file of a format, smoothed for a picture."""

    def remove(self, name: str) -> None:
        """Forget a former run."""


class Layout:
    """
    The parts of the widget, from top to bottom.

    Parameters
    ----------
    commands:
        The receiver of the commands.
    snapshot:
        The first state.
    beta:
        The first position of the smoothing slider.
    rule:
        The first rule in the menu.

    Attributes
    ----------
    parts:
        The widgets, to be put into a box.
    """

    def __init__(
        self, commands: Commands, snapshot: Snapshot, beta: float, rule: str
    ) -> None:
        self._commands = commands
        self._shown: Snapshot | None = None
        self._lines_changed = True
        self._buttons: tuple[bool, bool] | None = None
        config, can = snapshot.config, snapshot.capabilities
        answered = self._answered
        pick, home = answered(commands.pick), answered(commands.home)
        self._pick = pick
        self.settings = SettingsPanel(config, on_change=answered(self._on_settings))
        self.run_bar = RunBar(
            answered(commands.toggle),
            answered(commands.start_race),
            self.settings.toggle,
            can,
        )
        look = answered(self._on_look)
        self.view_bar = ViewBar(beta, config.num_it, look)
        view = self.view_bar.view
        self.chart = Chart(config.start_lr, config.end_lr, view, pick, can.loss_name)
        self.legend = Legend(look, answered(commands.remove))
        step = answered(commands.step)
        self.pick_bar = PickBar(config.start_lr, rule, pick, step, home)
        self.page = Page(self.chart.handle.dot, home, answered(self._on_export))
        self.apply_bar = ApplyBar(answered(commands.apply), self.page, can)
        self.race: RaceChart | None = None
        self._race_history: RaceHistory | None = None
        self._race_box = ipw.VBox()
        # Presses that change nothing are answered, too.
        self.chart.handle.dot.on_drag_end(lambda *_: self.page.answer())
        self.chart.suggestion.dot.on_element_click(lambda *_: self.page.answer())
        self.parts = [
            self.run_bar,
            self.settings,
            self.chart,
            self.legend,
            self.pick_bar,
            self.view_bar,
            self.apply_bar,
            self._race_box,
        ]

    def show(self, snapshot: Snapshot) -> None:
        """Write what differs from the state before, and what may have grown."""
        # Until all of it is shown, the next state is shown as a whole.
        before, self._shown = self._shown, None
        job = snapshot.job
        self._show_settings(snapshot, before)
        self._show_curves(snapshot, before)
        if before is None or snapshot.choice != before.choice:
            self._show_choice(snapshot.choice)
        if before is None or snapshot.race is not before.race or job is not before.job:
            self._show_race(snapshot, before)
        if (
            before is None
            or job is not before.job
            or snapshot.config is not before.config
        ):
            self._show_status(snapshot)
        running = job is not None and job.running
        raceable = snapshot.choice is not None or snapshot.suggestion.lr is not None
        if self._buttons != (running, raceable):
            self.run_bar.show_running(running=running, raceable=raceable)
            self._buttons = running, raceable
        self._shown = snapshot

    def _show_settings(self, snapshot: Snapshot, before: Snapshot | None) -> None:
        if before is None or snapshot.problem != before.problem:
            self.settings.problem.value = snapshot.problem
        if before is None or snapshot.bounds != before.bounds:
            self.chart.show_range(*snapshot.bounds)
            self.page.range = snapshot.bounds

    def _show_choice(self, choice: float | None) -> None:
        for part in (self.chart, self.pick_bar, self.apply_bar, self.race):
            if part is not None:
                part.show_rate(choice)
        with self.page.hold_sync():
            self.page.rate = choice
            self.page.code = f"lr={self.chart.words[0]}" if self.chart.words else ""
            self.page.words = ", ".join(self.chart.words)

    def _show_curves(self, snapshot: Snapshot, before: Snapshot | None) -> None:
        same_runs = (
            before is not None
            and snapshot.runs is before.runs
            and snapshot.testing == before.testing
            # Runs of a comparison that are not the latest grow, too.
            and not (snapshot.testing and self._compares(snapshot))
        )
        changed, self._lines_changed = self._lines_changed or not same_runs, False
        if changed:
            self._show_points(snapshot)
            self._show_runs(snapshot)
        elif before is not None and snapshot.curve.num_it != before.curve.num_it:
            self._show_points(snapshot)  # a followed test has begun
        if (
            changed
            or before is None
            or snapshot.curve is not before.curve
            or snapshot.suggestion is not before.suggestion
        ):
            self.chart.draw(snapshot.curve, snapshot.suggestion)
            with self.page.hold_sync():
                self.page.suggestion = snapshot.suggestion.lr
                self.page.words = ", ".join(self.chart.words)

    def _show_points(self, snapshot: Snapshot) -> None:
        """Show the number of points that the latest curve has, or will have."""
        latest = snapshot.latest
        if latest is not None:
            done = len(snapshot.curve)
            self.view_bar.show_total(
                latest.history.num_it if snapshot.testing else done
            )

    def _show_runs(self, snapshot: Snapshot) -> None:
        """Show the former runs beside the latest one, and in the legend."""
        former, latest = list(snapshot.runs[:-1]), snapshot.latest
        self.legend.show(former, latest)
        shown = self.legend.shown(former)
        ended = [] if latest is None or snapshot.testing else [latest]
        view = self.view_bar.view
        self.chart.show_others(shown, [*shown, *ended], view)
        self.legend.explain_spread(shown=bool(self.chart.others.medians))
        with self.page.hold_sync():
            self.page.lines = self.chart.lines
            self.page.logarithmic = view.logarithmic

    def _show_race(self, snapshot: Snapshot, before: Snapshot | None) -> None:
        history, job = snapshot.race, snapshot.job
        if history is None:
            return
        if history is not self._race_history:
            self._race_history = history
            self._make_race_chart(history, snapshot)
        elif job is None or job.kind != "race" or before is None or not before.running:
            return
        assert self.race is not None  # noqa: S101 (made above)
        self.race.draw(history.curves())
        if not snapshot.running:
            self.race.show_outcomes()

    def _make_race_chart(self, history: RaceHistory, snapshot: Snapshot) -> None:
        """Make the chart of a race, in place of the chart of the race before."""
        earlier, loss_name = self.race, snapshot.capabilities.loss_name
        race = RaceChart(list(history.rates), history.steps, self._pick, loss_name)
        # A click before there is a line is answered, too.
        race.background.on_element_click(lambda *_: self.page.answer())
        race.show_rate(snapshot.choice)
        self.race, self._race_box.children = race, (race,)
        if earlier is not None:
            close_with_parts(earlier)

    def _show_status(self, snapshot: Snapshot) -> None:
        job, text = snapshot.job, messages.status(snapshot)
        done = 0 if job is None else len(job.history)
        total = 0 if job is None else job.history.num_it
        if job is None or job.error is None:
            self.run_bar.show(done, total, text)
        else:
            self.run_bar.show_failure(done, total, text, job.traceback)

    @staticmethod
    def _compares(snapshot: Snapshot) -> bool:
        return snapshot.job is not None and snapshot.job.kind == "comparison"

    def _on_settings(self) -> None:
        self._commands.configure(self.settings.values)

    def _on_look(self) -> None:
        self._lines_changed = True
        self._commands.refresh()

    def _on_export(self, kind: str) -> bytes:
        return self._commands.export(kind, self.view_bar.view.beta)

    def _answered(self, command: Callable[..., Any]) -> Callable[..., Any]:
        """Return a command that tells the page first that the kernel has it."""

        def answered(*arguments: object) -> object:
            self.page.answer()
            return command(*arguments)

        return answered
