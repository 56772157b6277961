"""A test of another process, followed in the record that it writes."""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from lrwidget.backends.base import Activity, Capabilities
from lrwidget.config import TestConfig
from lrwidget.curve.checks import check_path, invalid, usable_memory
from lrwidget.curve.history import Ended, Plan, Started, Stepped
from lrwidget.curve.lr_curve import Step, check_stop_reason
from lrwidget.curve.records.reader import GrowingRecord, RecordedTest
from lrwidget.curve.records.store import store_of
from lrwidget.curve.schedule import learning_rates

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from typing import NoReturn

    from lrwidget.curve.history import Event
    from lrwidget.curve.lr_curve import StopReason
    from lrwidget.curve.records.store import RecordStore

_MAX_ERROR = 2000
_MAX_HOST = 80
# Rates are rounded to the type of the optimizer's learning rate, where it is a tensor:
# near the smallest number of that type by a third, from 1.5 of its units to 1 or 2.
_LOWEST, _HIGHEST = 2 / 3 * (1 - 1e-6), 4 / 3 * (1 + 1e-6)


class RecordBackend:
    """The back end of one test that runs elsewhere, and is known by its record."""

    capabilities = Capabilities(run=False, apply=False)
    as_made = nullcontext  # nothing is run here
    total_steps = None

    def __init__(self, path: str | os.PathLike[str], value: float | None) -> None:
        check_path("path", path)
        store = store_of(path)
        self.name = store.given
        self.job = RecordJob(store)
        self.arguments: dict[str, Any] = {}
        self.config = TestConfig()
        if value is not None:  # the chart has room for the chosen rate from the start
            low, high = min(self.config.start_lr, value), max(self.config.end_lr, value)
            self.config = TestConfig(start_lr=low, end_lr=high)

    def test(self, *_: object, **__: object) -> NoReturn:
        """Raise RuntimeError, since model and optimizer are elsewhere."""
        msg = (
            f"this widget follows the record {self.name!r} of a test that runs "
            "elsewhere: it can only show and stop that test; make an LRWidget with the "
            "model in the process that has the model"
        )
        raise RuntimeError(msg)

    compare = race = sweep = lanes = verify = test
    rate_ratios = saved_rates = apply_rate = test


class RecordJob:
    """
    A test of another process: the steps in its record, and those to come.

    If the record of a new test takes the place of the file, the job continues with it.
    """

    goes_on = True
    notices = ()
    plans = (None,)

    def __init__(self, store: RecordStore) -> None:
        self._store = store
        self._record = GrowingRecord(store)
        self._plan = Plan(0.0, 0.0, 0)
        self._abandoned = threading.Event()
        self._wake = threading.Event()
        self._last_news = time.monotonic()
        self._test = RecordedTest()  # the test of the latest events; empty at first
        self._steps_given = 0
        self._to_ask = self._test  # the test that is to stop
        self._asked = self._test  # the test whose request is written
        self._stop_problem = self._read_problem = ""

    def events(self) -> Iterator[Event]:
        """Return the events; raise OSError, ValueError, or the error of the test."""
        try:
            while not self._abandoned.is_set():
                try:
                    self._read()
                finally:  # also those before a malformed line
                    yield from self._new_events()
                reason = _checked_reason(self._test)
                if reason is not None:
                    yield Ended(0, reason)
                    return
                self._ask_to_stop()
                self._wake.wait(self._store.seconds_between_reads)
                self._wake.clear()
            self._ask_to_stop()  # if Stop came just before `abandon`
        except ValueError as error:
            problem = f"holds no record of a test that can be read: {error}"
            raise invalid(self._store.given, "path", problem) from error

    def stop(self) -> None:
        """Ask the test to stop; where there is none yet, end following."""
        self._to_ask = self._test
        if self._to_ask.header:
            self._wake.set()
        else:
            self.abandon()

    def abandon(self) -> None:
        """End following; the test goes on."""
        self._abandoned.set()
        self._wake.set()

    def activity(self) -> Activity:
        """Return what is known of the test."""
        test, phase, detail = self._test, "starting", self._store.given
        if test.header:
            phase = "stopping" if test is self._asked else "running"
            detail = _process(test.header)
        first, last = test.times
        return Activity(
            phase,  # type: ignore[arg-type]  # one of the three above
            since=self._last_news,
            detail=detail,
            problem=f"{self._stop_problem} {self._read_problem}".strip(),
            where="record",
            seconds=last - first,
        )

    def _ask_to_stop(self) -> None:
        """Write the request to stop, if it is wanted and not written yet."""
        test = self._to_ask
        if test is not self._asked:
            try:
                self._store.request_stop(test.header["test"])
            except OSError as error:
                self._stop_problem = f"Asking failed: {_printable(str(error))}."
            self._asked = test

    def _read(self) -> None:
        try:
            self._record.read_on(lambda: not self._abandoned.is_set())
            self._read_problem = ""
        except OSError as error:
            if not self._test.header:
                raise
            words = _printable(str(error))
            self._read_problem = f"Reading failed, and is tried again: {words}."

    def _new_events(self) -> Iterator[Event]:
        test = self._record.test
        if not test.header:
            return
        count = len(test.lrs)
        if test is not self._test:
            self._plan = _checked_plan(test.header["settings"])
            self._steps_given, self._test, self._stop_problem = 0, test, ""
            self._last_news = time.monotonic() - self._record.age
            yield Started(0, self._plan)
        elif self._steps_given < count:
            self._last_news = time.monotonic()
        start_lr, end_lr = self._plan[:2]
        for number in range(self._steps_given, count):
            lr = test.lrs[number]
            if not start_lr * _LOWEST <= lr <= end_lr * _HIGHEST:
                msg = f"{lr=} is not between {start_lr=} and {end_lr=}"
                raise ValueError(msg)
            self._steps_given = number + 1
            trained = test.train_losses[number] if test.train_losses else None
            yield Stepped(0, Step(number, lr, test.losses[number], trained))


def _checked_plan(settings: dict[str, Any]) -> Plan:
    """Return the plan that a header describes; ValueError if it cannot be used."""
    names = ("start_lr", "end_lr", "num_it")
    plan: dict[str, Any] = {name: settings.get(name) for name in names}
    mode = settings.get("step_mode", "exp")
    try:
        rates = learning_rates(**plan, step_mode=mode)
        memory = settings.get("optimizer_memory", 1.0)
        memory = usable_memory("optimizer_memory", memory)
    except (TypeError, ValueError) as error:
        msg = f"its settings cannot be used: {error}"
        raise ValueError(msg) from error
    return Plan(float(rates[0]), float(rates[-1]), len(rates), memory, mode)


def _checked_reason(test: RecordedTest) -> StopReason | None:
    """Return why a test ended, None if it goes on; RuntimeError if it failed."""
    if test.error is not None:
        words = _printable(test.error)[:_MAX_ERROR]
        msg = f"the test that was followed has failed: {words}"
        raise RuntimeError(msg)
    check_stop_reason(test.stop_reason)
    return test.stop_reason  # type: ignore[return-value]  # as just checked


def _process(header: dict[str, Any]) -> str:
    """Return the process that writes a record, as the header names it."""
    process, host = header.get("process"), header.get("host")
    if type(process) is int and isinstance(host, str):
        return f"process {process} on {_printable(host)[:_MAX_HOST]}"
    return "a process that is not known"


def _printable(words: str) -> str:
    """Return a text with spaces in place of characters that a page does not show."""
    return "".join(c if c.isprintable() else " " for c in words)
