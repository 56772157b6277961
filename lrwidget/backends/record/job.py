"""A test of another process, followed in the record that it writes."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from lrwidget.backends.base import Activity
from lrwidget.curve.history import Ended, Plan, Started, Stepped
from lrwidget.curve.lr_curve import Step, check_stop_reason
from lrwidget.curve.records.reader import GrowingRecord
from lrwidget.curve.records.stop_request import StopRequest
from lrwidget.curve.schedule import learning_rates
from lrwidget.curve.short_repr import short_repr

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator

    from lrwidget.curve.history import Event
    from lrwidget.curve.lr_curve import StopReason
    from lrwidget.curve.records.format import Journal
    from lrwidget.curve.records.store import Place

_PLAN = "start_lr", "end_lr", "num_it"
_MAX_ERROR = 2000
_MAX_HOST = 80
_TOLERANCE = 1e-6  # rates are rounded


class RecordJob:
    """
    A test of another process.

    The job waits for the record, gives the steps that are there and those that come,
    and ends with the test. If another test begins in the record meanwhile, or the file
    is replaced, it goes on with that one.

    Parameters
    ----------
    store:
        The place of the record.
    """

    goes_on = True
    plans = (None,)

    def __init__(self, store: Place) -> None:
        self._store = store
        self._record = GrowingRecord(store)
        self._plan = Plan(0.0, 0.0, 0)
        self._left = threading.Event()
        self._wake = threading.Event()
        self._last_news = time.monotonic()
        self._journal: Journal | None = None  # of the test that is followed
        self._given = 0
        self._to_ask: Journal | None = None  # the test that is to stop
        self._asked: Journal | None = None  # the test whose request is written
        self._stop_problem = self._read_problem = ""

    def events(self) -> Iterator[Event]:
        """
        Return the events of the test.

        They raise OSError if the record cannot be read (a record that could be read
        before is tried again), ValueError if it is malformed, and RuntimeError if the
        test has failed.
        """
        problem: str | None = None
        while not self._left.is_set():
            self._read()
            yield from self._new_events()
            # After a torn line, the next test may begin in a moment.
            if self._record.problem is not None and self._record.problem == problem:
                raise self._malformed(problem)
            problem = self._record.problem
            if self._journal is not None and problem is None:
                reason = self._reason(self._journal)
                if reason is not None:
                    yield Ended(0, reason)
                    return
            self._ask_to_stop()
            self._wake.wait(self._store.seconds_between_looks)
            self._wake.clear()
        self._ask_to_stop()  # what was wanted before following was ended

    def stop(self) -> None:
        """Ask the test to stop; where there is none yet, end following."""
        journal = self._journal
        if journal is None:
            self.abandon()
        self._to_ask = journal
        self._wake.set()

    def abandon(self) -> None:
        """End following; the test goes on."""
        self._left.set()
        self._wake.set()

    def activity(self) -> Activity:
        """Return what is known of the test."""
        journal = self._journal
        problem = " ".join(x for x in (self._stop_problem, self._read_problem) if x)
        if journal is None:
            detail, phase = self._store.given, "starting"
        else:
            detail = _process(journal)
            phase = "stopping" if journal is self._asked else "running"
        times = None if journal is None else journal.times
        return Activity(
            phase,  # type: ignore[arg-type]  # one of the two above
            since=self._last_news,
            detail=detail,
            problem=problem,
            where="record",
            seconds=0.0 if times is None else times[1] - times[0],
        )

    def _ask_to_stop(self) -> None:
        """Write the request to stop, if it is wanted and not written yet."""
        journal = self._to_ask
        if journal is None or journal is self._asked:
            return
        try:
            StopRequest(self._store, journal.header["test"]).send()
        except OSError as error:
            self._stop_problem = f"Asking failed: {_printable(str(error))}."
        self._asked = journal

    def _read(self) -> None:
        try:
            self._record.read_on(lambda: not self._left.is_set())
        except OSError as error:
            if not self._record.begun:
                raise
            words = _printable(str(error))
            self._read_problem = f"Reading failed, and is tried again: {words}."
        except ValueError as error:
            raise self._malformed(error) from error
        else:
            self._read_problem = ""

    def _new_events(self) -> Iterator[Event]:
        journal = self._record.journal
        if journal is None:
            return
        count = len(journal.lrs)
        if journal is not self._journal:
            self._plan = self._checked_plan(journal)
            self._given, self._journal, self._stop_problem = 0, journal, ""
            self._last_news = time.monotonic() - self._record.age
            yield Started(0, self._plan)
        elif self._given < count:
            self._last_news = time.monotonic()
        self._check_rates(journal.lrs[self._given : count])
        for number in range(self._given, count):
            self._given = number + 1
            yield Stepped(0, Step(number, journal.lrs[number], journal.losses[number]))

    def _check_rates(self, rates: array[float]) -> None:
        low = self._plan.start_lr * (1 - _TOLERANCE)
        high = self._plan.end_lr * (1 + _TOLERANCE)
        outside = [rate for rate in rates[:1] + rates[-1:] if not low <= rate <= high]
        if outside:
            between = f"start_lr={self._plan.start_lr} and end_lr={self._plan.end_lr}"
            msg = f"lr={outside[0]} is not between {between}"
            raise self._malformed(msg)

    def _checked_plan(self, journal: Journal) -> Plan:
        """Return the rates of a test, whatever its header says."""
        settings = journal.header["settings"]
        plan: list[Any] = [settings.get(name) for name in _PLAN]
        mode = {name: settings[name] for name in ("step_mode",) if name in settings}
        try:
            rates = learning_rates(*plan, **mode)
        except (TypeError, ValueError) as error:
            msg = f"its settings cannot be: {error}"
            raise self._malformed(msg) from error
        return Plan(float(rates[0]), float(rates[-1]), len(rates))

    def _reason(self, journal: Journal) -> StopReason | None:
        """Return the reason of the end of a test; None while it goes on."""
        if journal.error is not None:
            words = _printable(journal.error)[:_MAX_ERROR]
            msg = f"the test that was followed has failed: {words}"
            raise RuntimeError(msg)
        try:
            check_stop_reason(journal.stop_reason)
        except ValueError as error:
            raise self._malformed(error) from error
        return journal.stop_reason  # type: ignore[return-value]  # as just checked

    def _malformed(self, problem: object) -> ValueError:
        msg = (
            f"path={short_repr(self._store.given)} holds no record of a test as it "
            f"must be: {problem}"
        )
        return ValueError(msg)


def _process(journal: Journal) -> str:
    """Return the process that writes a record, as the header names it."""
    process, host = journal.header.get("process"), journal.header.get("host")
    if type(process) is int and isinstance(host, str):
        return f"process {process} on {_printable(host)[:_MAX_HOST]}"
    return "a process that is not known"


def _printable(words: str) -> str:
    """Return a text with spaces in place of characters that a page does not show."""
    return "".join(c if c.isprintable() else " " for c in words)
