"""All that is displayed: the charts, the controls, and the part in the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import ipywidgets as ipw

from lrwidget.ui.capabilities import EVERYTHING
from lrwidget.ui.chart import Chart
from lrwidget.ui.closing import close_with_parts
from lrwidget.ui.controls import ApplyBar, PickBar, RunBar
from lrwidget.ui.legend import Legend
from lrwidget.ui.messages import as_code
from lrwidget.ui.page import Page
from lrwidget.ui.race_chart import RaceChart
from lrwidget.ui.settings import SettingsPanel
from lrwidget.ui.view import ViewBar

if TYPE_CHECKING:
    from collections.abc import Callable

    from lrwidget.curve.lr_curve import LRCurve
    from lrwidget.curve.runs import Run
    from lrwidget.curve.suggestion import Suggestion
    from lrwidget.ui.capabilities import Controls


class Hands(NamedTuple):
    """
    What is called when a user does something by mouse or keys, on any thread.

    Attributes
    ----------
    toggle:
        The test is to run, or what runs is to stop.
    race:
        A race is to start.
    pick:
        A rate is chosen, which may be outside the range.
    step:
        The choice is to move by tenths of a decade.
    home:
        The suggestion is to be chosen.
    apply:
        The choice is to be written; returns what was written where.
    export:
        A file of some format is wanted; returns its contents.
    remove:
        The former run of some name is to be forgotten.
    settings:
        There are other settings for the next run.
    look:
        Curves are to be looked at in another way.
    """

    toggle: Callable[[], object]
    race: Callable[[], object]
    pick: Callable[[float], object]
    step: Callable[[int], object]
    home: Callable[[], object]
    apply: Callable[[], str]
    export: Callable[[str], bytes]
    remove: Callable[[str], object]
    settings: Callable[[], object]
    look: Callable[[], object]


class Display:
    """
    The parts of the widget, from top to bottom.

    Parameters
    ----------
    hands:
        What is called when a user does something.
    settings:
        What the fields for the next run say at first.
    beta:
        Where the smoothing slider stands at first.
    rule:
        Which rule the menu shows at first.
    loss_name:
        What the losses are.
    controls:
        What there is to press.

    Attributes
    ----------
    parts:
        They, to be put into a box.
    """

    def __init__(  # noqa: PLR0913 (what differs between widgets)
        self,
        hands: Hands,
        settings: dict[str, Any],
        beta: float,
        rule: str,
        loss_name: str,
        *,
        controls: Controls = EVERYTHING,
    ) -> None:
        hands = Hands(*(self._heard(hand) for hand in hands))
        start, end = settings["start_lr"], settings["end_lr"]
        self.settings = SettingsPanel(**settings, on_change=hands.settings)
        self.run_bar = RunBar(hands.toggle, hands.race, self.settings.toggle, controls)
        self.view_bar = ViewBar(beta, settings["num_it"], hands.look)
        view = self.view_bar.view
        self.chart = Chart(start, end, view, hands.pick, loss_name)
        self.legend = Legend(hands.look, hands.remove)
        self.pick_bar = PickBar(start, rule, hands.pick, hands.step, hands.home)
        self.page = Page(self.chart.handle.dot, hands.home, hands.export)
        self.apply_bar = ApplyBar(hands.apply, self.page, controls)
        self.race: RaceChart | None = None
        self._race_box = ipw.VBox()
        self._pick = hands.pick
        self._loss_name = loss_name
        # Presses that change nothing are heard, too.
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

    def show_rate(self, rate: float | None) -> None:
        """Show which rate is chosen, if any."""
        for part in (self.chart, self.pick_bar, self.apply_bar, self.race):
            if part is not None:
                part.show_rate(rate)
        with self.page.hold_sync():
            self.page.rate = rate
            self.page.code = "" if rate is None else as_code(rate)
            self._tell_words()

    def show_range(self, start_lr: float, end_lr: float) -> None:
        """Have some rates at the edges of the chart."""
        self.chart.show_range(start_lr, end_lr)
        self.page.range = start_lr, end_lr

    def show_runs(
        self, former: list[Run], latest: Run | None, *, running: bool
    ) -> None:
        """
        Have some runs in the chart beside the latest one, and in the legend.

        Parameters
        ----------
        former:
            The former runs, of which the legend tells which are to be seen.
        latest:
            The latest run, if any.
        running:
            Whether that one goes on.
        """
        self.legend.show(former, latest)
        shown = self.legend.shown(former)
        ended = [] if latest is None or running else [latest]
        view = self.view_bar.view
        self.chart.show_others(shown, [*shown, *ended], view)
        self.legend.explain_spread(shown=bool(self.chart.others.medians))
        with self.page.hold_sync():
            self.page.lines = self.chart.lines
            self.page.logarithmic = view.logarithmic

    def draw(self, curve: LRCurve, suggestion: Suggestion) -> None:
        """Draw the curve of the latest run, and what it suggests."""
        self.chart.draw(curve, suggestion)
        with self.page.hold_sync():
            self.page.suggestion = suggestion.lr
            self._tell_words()

    def show_race(self, rates: list[float], steps: int) -> RaceChart:
        """Have a chart for a race at some rates, instead of that of the one before."""
        earlier, race = self.race, RaceChart(rates, steps, self._pick, self._loss_name)
        # A click before there is a line is heard, too.
        race.background.on_element_click(lambda *_: self.page.answer())
        race.show_rate(self.page.rate)
        self.race, self._race_box.children = race, (race,)
        if earlier is not None:
            close_with_parts(earlier)
        return race

    def _tell_words(self) -> None:
        """Let the page say what stands beside the handle."""
        self.page.words = ", ".join(self.chart.words)

    def _heard(self, hand: Callable[..., Any]) -> Callable[..., Any]:
        """Return what tells the page that the kernel hears, and then does its work."""

        def heard(*what: object) -> object:
            self.page.answer()
            return hand(*what)

        return heard
