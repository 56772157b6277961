"""The widget: the range test, its chart and its controls, wired together."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import traitlets

from lrwidget.choice import RateChoice
from lrwidget.curve.smoothing import DEFAULT_BETA
from lrwidget.engine.ambient import Ambient
from lrwidget.engine.range_test import RangeTest
from lrwidget.engine.settings import with_settings_of
from lrwidget.frameworks.constructors import FromFrameworks
from lrwidget.session import Session
from lrwidget.ui import arguments, status
from lrwidget.ui.chart import Chart
from lrwidget.ui.closing import close_with_parts
from lrwidget.ui.controls import PickBar, RunBar
from lrwidget.ui.style import style_sheet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import nn
    from torch.optim import Optimizer
    from typing_extensions import Unpack

    from lrwidget.curve.record import LRCurve
    from lrwidget.engine.losses import LossFunction
    from lrwidget.engine.settings import Settings
    from lrwidget.follower import Follower


@with_settings_of(RangeTest)
class LRWidget(FromFrameworks, RateChoice):
    """
    A learning-rate range test to run, watch, and pick a rate from.

    Display it, press Run, and drag the handle, click in the chart or type into the
    field: `value` is the rate. Model and optimizer stay as they are; only `apply`
    writes to the optimizer.

    Parameters
    ----------
    model, optimizer, dataloader, loss_fn, **settings:
        As `RangeTest` takes them.
    smoothing:
        Where the smoothing slider stands at first, from 0 to 0.99.
    value:
        A rate that is chosen from the start.

    Raises
    ------
    TypeError, ValueError
        As `RangeTest` raises them, and for a bad smoothing or value.
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
        **settings: Unpack[Settings],
    ) -> None:
        arguments.check_smoothing(smoothing)
        arguments.check_value(value)
        test = RangeTest(model, optimizer, dataloader, loss_fn, **settings)
        self._session = Session(test, self._draw, self._on_end)
        self._suggested: float | None = None
        # A press on Run may come on a thread that lacks this one's settings.
        self._ambient = Ambient()
        # Callbacks of the front end may come on any thread, beside the worker's.
        self._lock = threading.RLock()

        self._run_bar = RunBar(test.num_it, self._on_toggle)
        validated = settings.get("val_loader") is not None
        loss_name = "validation loss" if validated else "loss"
        start, end = test.start_lr, test.end_lr
        self._chart = Chart(start, end, self._on_picked, loss_name)
        self._pick_bar = PickBar(start, end, smoothing, self._on_picked)
        parts = [style_sheet(), self._run_bar, self._chart, self._pick_bar]
        super().__init__(parts, test, optimizer)
        self.add_class("lrwidget")
        self._pick_bar.smoothing.observe(self._on_smoothing, "value")
        self._draw()
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
    def running(self) -> bool:
        """Whether a test is running."""
        return self._session.running

    @property
    def progress(self) -> float:
        """The share of the steps that are done, from 0 to 1."""
        latest = self._session.latest
        return len(latest) / latest.total

    @property
    def status(self) -> str:
        """How the test is, in words."""
        running, curve = self.running, self.curve  # in this order
        suggestion = None if running else curve.suggest()
        return self._in_words(curve, suggestion, running=running)

    def run(self) -> None:
        """
        Start a test in the background, and return at once.

        What it trains is set apart before this returns, so that later changes to
        the model are not seen by the test.

        Raises
        ------
        RuntimeError
            If a test is running already, or the widget is closed.
        """
        self._start(self._session.run)

    def stop(self) -> None:
        """Ask the test to stop after its present step, and return at once."""
        self._session.stop()

    def wait(self, timeout: float | None = None) -> LRCurve:
        """
        Wait for the test to end. An interrupt of the kernel stops the test.

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
            If no test was run.
        TimeoutError
            If it has not ended by then. It goes on.
        Exception
            What the test raised, or an observer of `value` at its end.
        """
        self._session.wait(timeout)
        return self.curve

    def close(self) -> None:
        """Stop the test, and close the widget with all its parts."""
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

    def _start(self, start: Callable[[], object]) -> None:
        # Copying the model is inside the lock, so that two calls start one run.
        with self._lock:
            if self.comm is None:
                msg = "the widget is closed; make a new one"
                raise RuntimeError(msg)
            try:
                start()
            finally:
                self._run_bar.show_running(running=self.running)
                self._draw()

    def _on_picked(self, rate: float) -> None:
        self.value = rate
        self._show_value()  # also where it is clamped to what it was

    def _on_smoothing(self, _change: object) -> None:
        self._draw()

    def _on_toggle(self) -> None:
        if self.running:
            self.stop()
        else:
            # What keeps it from starting is in the status, and raised by wait().
            with suppress(Exception), self._ambient.entered():
                self.run()

    def _on_end(self, follower: Follower) -> None:
        """Show the end, and choose the suggestion unless the user has chosen."""
        with self._lock:
            if follower is not self._session.follower:  # the next has begun
                return
            self._draw()
            self._run_bar.show_running(running=False)
        suggestion = self.curve.suggest()
        if suggestion is not None and self.value in (None, self._suggested):
            self._suggested = suggestion
            try:
                self.value = suggestion
            except Exception as error:  # of an observer
                follower.error = error
                self._draw()
                raise

    def _in_words(
        self, curve: LRCurve, suggestion: float | None, *, running: bool
    ) -> str:
        session, test = self._session, self._test
        if session.follower is None:
            return status.ready(test.start_lr, test.end_lr, test.num_it)
        if running:
            return status.running(curve)
        if session.error is not None:
            return status.failed(curve, session.error)
        return status.ended(curve, suggestion)

    def _draw(self) -> None:
        with self._lock:
            session, running = self._session, self.running
            curve = self.curve
            suggestion = None if running else curve.suggest()
            self._chart.draw(curve, self._pick_bar.smoothing.value, suggestion)
            done, total = len(session.latest), session.latest.total
            self._run_bar.show(
                done=done,
                pace=status.pace(done, total, session.seconds, running=running),
                status=self._in_words(curve, suggestion, running=running),
                failed=session.error is not None,
            )
