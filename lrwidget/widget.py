"""The widget: the range test, its chart and its controls, wired together."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import traitlets

from lrwidget.choice import RateChoice
from lrwidget.curve.race import neighbours
from lrwidget.curve.smoothing import DEFAULT_BETA
from lrwidget.curve.suggest import DEFAULT_RULE, check_rule
from lrwidget.curve.suggestion import NO_SUGGESTION
from lrwidget.engine.ambient import Ambient
from lrwidget.engine.race import Race
from lrwidget.engine.range_test import RangeTest
from lrwidget.engine.settings import with_settings_of
from lrwidget.frameworks.constructors import FromFrameworks
from lrwidget.session import Session
from lrwidget.ui import arguments, status
from lrwidget.ui.chart import Chart
from lrwidget.ui.closing import close_with_parts
from lrwidget.ui.controls import PickBar, RunBar
from lrwidget.ui.race_chart import RaceChart
from lrwidget.ui.style import style_sheet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch import nn
    from torch.optim import Optimizer
    from typing_extensions import Unpack

    from lrwidget.curve.record import LRCurve
    from lrwidget.curve.suggestion import Suggestion
    from lrwidget.curve.training import TrainingCurve
    from lrwidget.engine.losses import LossFunction
    from lrwidget.engine.settings import Settings
    from lrwidget.follower import Follower


@with_settings_of(RangeTest)
class LRWidget(FromFrameworks, RateChoice):
    """
    A learning-rate range test to run, watch, and pick a rate from.

    Display it, press Run, and drag the handle, click in the chart or type into the
    field: `value` is the rate. Race trains shortly at it and at its neighbours. Model
    and optimizer stay as they are; only `apply` writes to the optimizer.

    Parameters
    ----------
    model, optimizer, dataloader, loss_fn, **settings:
        As `RangeTest` takes them.
    smoothing:
        Where the smoothing slider stands at first, from 0 to 0.99.
    value:
        A rate that is chosen from the start.
    rule:
        The rule whose suggestion is shown; see `suggestions`.

    Raises
    ------
    TypeError, ValueError
        As `RangeTest` raises them, and for a bad smoothing, value or rule.
    """

    def __init__(  # noqa: PLR0913 (the four parts of a training, and the display)
        self,
        model: nn.Module,
        optimizer: Optimizer,
        dataloader: Iterable[Any],
        loss_fn: LossFunction | None = None,
        *,
        smoothing: float = DEFAULT_BETA,
        value: float | None = None,
        rule: str = DEFAULT_RULE,
        **settings: Unpack[Settings],
    ) -> None:
        arguments.check_smoothing(smoothing)
        arguments.check_value(value)
        check_rule(rule)
        test = RangeTest(model, optimizer, dataloader, loss_fn, **settings)
        self._session = Session(test, self._draw, self._on_end)
        # A press on Run may come on a thread that lacks this one's settings.
        self._ambient = Ambient()
        # Callbacks of the front end may come on any thread, beside the worker's.
        self._lock = threading.RLock()

        self._run_bar = RunBar(self._on_toggle, self._on_race)
        validated = settings.get("val_loader") is not None
        loss_name = "validation loss" if validated else "loss"
        start, end = test.start_lr, test.end_lr
        self._chart = Chart(start, end, self._on_picked, loss_name)
        self._pick_bar = PickBar(start, end, smoothing, rule, self._on_picked)
        self._race_chart = RaceChart(self._on_picked, loss_name)
        parts = style_sheet(), self._run_bar, self._chart, self._pick_bar
        super().__init__([*parts, self._race_chart], test, optimizer)
        self.add_class("lrwidget")
        self._pick_bar.smoothing.observe(lambda _change: self._draw(), "value")
        self._draw()
        self.rule = rule
        traitlets.link((self, "rule"), (self._pick_bar.rule, "value"))
        self.value = value

    @property
    def curve(self) -> LRCurve:
        """The curve so far."""
        return self._session.curve

    @property
    def suggestions(self) -> dict[str, float | None]:
        """What each rule suggests for the curve so far, by its name."""
        return self.curve.suggestions

    @property
    def race_curves(self) -> list[TrainingCurve]:
        """The trainings of the latest race so far, in increasing order of the rates."""
        return self._session.raced.curves()

    @property
    def running(self) -> bool:
        """Whether a test or a race is running."""
        return self._session.running

    @property
    def progress(self) -> float:
        """The share of the steps of the latest run that are done, from 0 to 1."""
        latest = self._session.latest
        return len(latest) / (latest.total or 1)

    @property
    def status(self) -> str:
        """How the latest run is, in words."""
        running = self.running
        suggestion = NO_SUGGESTION if running else self._suggestion()
        return self._session.in_words(suggestion, running=running)

    def run(self) -> None:
        """
        Start a test in the background, and return at once.

        What it trains is set apart before this returns, so that later changes to
        the model are not seen by the test.

        Raises
        ------
        RuntimeError
            If something is running already, or the widget is closed.
        """
        self._start(self._session.run)

    def race(
        self, rates: Sequence[float] | None = None, steps: int | None = None
    ) -> None:
        """
        Start short trainings at some rates in the background, and return at once.

        Each starts from the same model, on a copy that is made when its turn comes,
        and sees the same batches. The second chart shows them, and a click there
        picks a rate; `race_curves` are they. The race itself leaves `value` as it is.

        Parameters
        ----------
        rates:
            The learning rates, within the swept range. If None, the chosen rate, the
            suggestion, and what lies around these.
        steps:
            How many optimizer steps each training has; as many as the test if None.

        Raises
        ------
        RuntimeError
            If something is running already, the widget is closed, or ``rates`` is None
            where nothing is chosen or suggested.
        TypeError, ValueError
            If rates or steps are not as described.
        """
        self._start(lambda: self._begin_race(rates, steps))

    def stop(self) -> None:
        """Ask what runs to stop after its present step, and return at once."""
        self._session.stop()

    def wait(self, timeout: float | None = None) -> LRCurve:
        """
        Wait for what runs to end. An interrupt of the kernel stops it.

        Parameters
        ----------
        timeout:
            How many seconds to wait at most; for ever if None.

        Returns
        -------
        :
            The curve of the test.

        Raises
        ------
        RuntimeError
            If nothing was run.
        TimeoutError
            If it has not ended by then. It goes on.
        Exception
            What the run raised, or an observer of `value` at its end.
        """
        self._session.wait(timeout)
        return self.curve

    def close(self) -> None:
        """Stop what runs, and close the widget with all its parts."""
        if self.comm is None:  # closed already, or never finished
            return
        self._session.abandon()
        close_with_parts(self)

    def __repr__(self) -> str:
        """Return one short line; the default one writes out the whole chart."""
        return f"<LRWidget: value={self.value!r}, status={self.status!r}>"

    @traitlets.observe("value")
    def _show_value(self, _change: object = None) -> None:
        # The present value, not the change's: threads may come out of order.
        with self._lock:
            self._chart.show_rate(self.value)
            self._pick_bar.show_rate(self.value)
            self._race_chart.show_rate(self.value)
            self._show_running()

    @traitlets.observe("rule")
    def _show_rule(self, _change: object = None) -> None:
        self._draw()
        if not self.running:
            self._follow(self._suggestion().lr)

    def _suggestion(self) -> Suggestion:
        return self.curve.suggestion(self.rule)

    def _start(self, start: Callable[[], object]) -> None:
        # Copying the model is inside the lock, so that two calls start one run.
        with self._lock:
            if self.comm is None:
                msg = "the widget is closed; make a new one"
                raise RuntimeError(msg)
            self._session.check_idle()
            try:
                start()
            finally:
                self._show_running()
                self._draw()

    def _begin_race(self, rates: Sequence[float] | None, steps: int | None) -> None:
        test = self._test
        if rates is None:
            rates = neighbours(
                self._suggestion(), self.value, test.start_lr, test.end_lr
            )
            if not rates:
                msg = "nothing to race: run() and wait() first, or pass rates"
                raise RuntimeError(msg)
        race = Race(test, rates, test.num_it if steps is None else steps)
        arguments.check_inside(race.rates, test.start_lr, test.end_lr)
        self._race_chart.begin(race.rates, race.steps)
        self._session.race(race)

    def _show_running(self) -> None:
        raceable = self.value is not None or self._suggestion().lr is not None
        self._run_bar.show_running(running=self.running, raceable=raceable)

    def _on_picked(self, rate: float) -> None:
        self._suggested = None  # since it is chosen now, even if it was suggested
        self.value = rate
        self._show_value()  # also where it is clamped to what it was

    def _on_toggle(self) -> None:
        if self.running:
            self.stop()
        else:
            # What keeps it from starting is in the status, and raised by wait().
            with suppress(Exception), self._ambient.entered():
                self.run()

    def _on_race(self) -> None:
        with suppress(Exception), self._ambient.entered():  # as above
            self.race()

    def _on_end(self, follower: Follower) -> None:
        """Show the end, and choose the suggestion unless the user has chosen."""
        with self._lock:
            if follower is not self._session.follower:  # the next has begun
                return
            self._draw()
            self._show_running()
            if self._session.racing:
                self._race_chart.show_outcomes()
                return
        try:
            self._follow(self._suggestion().lr)
        except Exception as error:  # of an observer
            follower.error = error
            self._draw()
            raise

    def _draw(self) -> None:
        with self._lock:
            session, running = self._session, self.running
            curve = self.curve
            testing = running and not session.racing
            suggestion = NO_SUGGESTION if testing else self._suggestion()
            self._chart.draw(curve, self._pick_bar.smoothing.value, suggestion)
            if session.racing:
                self._race_chart.draw(self.race_curves)
            done, total = len(session.latest), session.latest.total
            self._run_bar.show(
                done=done,
                total=total,
                pace=status.pace(done, total, session.seconds, running=running),
                status=session.in_words(suggestion, running=running),
                failed=session.failed,
            )
