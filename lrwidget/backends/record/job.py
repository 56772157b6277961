"""A test that runs elsewhere, followed in the record that it writes."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from lrwidget.curve.lr_curve import Recording, Step, check_stop_reason
from lrwidget.curve.records.reader import GrowingRecord
from lrwidget.curve.records.stop_request import StopRequest
from lrwidget.curve.schedule import learning_rates
from lrwidget.curve.short_repr import shown
from lrwidget.ui import messages as status

if TYPE_CHECKING:
    from array import array
    from collections.abc import Generator, Iterator
    from typing import Any, NoReturn

    from lrwidget.curve.lr_curve import LRCurve, StopReason
    from lrwidget.curve.records.format import Journal
    from lrwidget.curve.records.store import Place

_LONG_SILENCE = 30.0
_PLAN = "start_lr", "end_lr", "num_it"
_LONGEST_ERROR = 2000
_LONGEST_HOST = 80
_OUTSIDE = 1e-6  # rates are rounded


class Began(NamedTuple):
    """
    A test that has begun, maybe after another one in the same record.

    Attributes
    ----------
    num_it:
        How many steps it is to have.
    """

    num_it: int


class FollowedRecording(Recording):
    """The steps of the latest test of a record."""

    def __init__(self) -> None:
        super().__init__(0)
        self._lock = threading.Lock()

    def append(self, item: Step | Began) -> None:
        """Add the next step, or drop those of the test before."""
        with self._lock:
            if isinstance(item, Began):
                self.total = item.num_it
                del self.lrs[:], self.losses[:]
            else:
                super().append(item)

    def curve(self) -> LRCurve:
        """Return the steps so far as a curve."""
        with self._lock:
            return super().curve()


class FollowedTest:
    """
    A test that some process records, followed by iterating over it, once.

    It waits for the record, gives what is there and what comes, and ends with the
    test. Where another test begins in the record meanwhile, or the file is replaced,
    it goes on with that.

    Parameters
    ----------
    place:
        Where the record is.
    start_lr, end_lr, num_it:
        What holds for these until the record says so.
    """

    goes_on = True

    def __init__(
        self, place: Place, start_lr: float, end_lr: float, num_it: int
    ) -> None:
        self._place = place
        self._record = GrowingRecord(place)
        self._plan = start_lr, end_lr, num_it
        self._left = threading.Event()
        self._heard = time.monotonic()
        self._journal: Journal | None = None  # of the test that is followed
        self._given = 0
        self._asked: Journal | None = None
        self._unasked = self._unread = ""  # what is wrong, in words

    @property
    def start_lr(self) -> float:
        """The first rate."""
        return self._plan[0]

    @property
    def end_lr(self) -> float:
        """The last rate."""
        return self._plan[1]

    @property
    def num_it(self) -> int:
        """How many steps the test is to have."""
        return self._plan[2]

    @property
    def seconds(self) -> float:
        """How long the steps after the first took, as the record says."""
        times = None if self._journal is None else self._journal.times
        return 0.0 if times is None else times[1] - times[0]

    @property
    def state(self) -> str | None:
        """How it is, in words, where there is more to say than how far it has come."""
        journal, silence = self._journal, time.monotonic() - self._heard
        long = silence if silence >= _LONG_SILENCE else None
        if journal is None:
            words = [status.awaiting(self._place.given, long)]
        elif journal is self._asked or long is not None or self._unread:
            words = [
                status.silent(self._given, self.num_it, long),
                status.elsewhere(_job(journal), asked=journal is self._asked),
            ]
        else:
            return None
        return " ".join(word for word in (*words, self._unasked, self._unread) if word)

    def check_free(self) -> NoReturn:
        """Raise RuntimeError, since nothing here is trained."""
        msg = (
            f"this widget follows the record {self._place.given!r} of a test that runs "
            "elsewhere: it can watch and stop that, and has nothing to run or to write "
            "to; make a widget of the model where that is"
        )
        raise RuntimeError(msg)

    def stop(self) -> None:
        """
        Ask the test to stop, and return at once.

        It is followed until it does so. Who calls this again, or where there is no
        test to ask yet, leaves it instead.
        """
        journal = self._journal
        if journal is None or journal is self._asked or self._left.is_set():
            self.leave()
            return
        self._asked = journal
        try:
            StopRequest(self._place, journal.header["test"]).send()
        except OSError as error:
            self._unasked = f"Asking failed: {_text(str(error))}."

    def leave(self) -> None:
        """Follow it no more, and leave it as it is."""
        self._left.set()

    def __iter__(self) -> Generator[Began | Step, None, StopReason | None]:
        """
        Follow the test; return why it stopped, or None if it was left.

        Raises
        ------
        OSError
            If the record cannot be read. What could be read before is tried again.
        ValueError
            If it is malformed.
        RuntimeError
            If the test has failed.
        """
        problem: str | None = None
        while not self._left.is_set():
            self._read_on()
            yield from self._items()
            # What is torn may have the next test after it in a moment.
            if self._record.problem is not None and self._record.problem == problem:
                raise self._malformed(problem)
            problem = self._record.problem
            if self._journal is not None and problem is None:
                reason = self._reason(self._journal)
                if reason is not None:
                    return reason
            self._left.wait(self._place.seconds_between_looks)
        return None

    def _read_on(self) -> None:
        try:
            self._record.read_on(lambda: not self._left.is_set())
        except OSError as error:
            if not self._record.begun:
                raise
            self._unread = f"Reading failed, and is tried again: {_text(str(error))}."
        except ValueError as error:
            raise self._malformed(error) from error
        else:
            self._unread = ""

    def _items(self) -> Iterator[Began | Step]:
        """Give what is new."""
        journal = self._record.journal
        if journal is None:
            return
        count = len(journal.lrs)
        if journal is not self._journal:
            self._plan = self._checked_plan(journal)
            self._given, self._journal, self._unasked = 0, journal, ""
            self._heard = time.monotonic() - self._record.age
            yield Began(self.num_it)
        elif self._given < count:
            self._heard = time.monotonic()
        self._check_inside(journal.lrs[self._given : count])
        for number in range(self._given, count):
            self._given = number + 1
            yield Step(number, journal.lrs[number], journal.losses[number])

    def _check_inside(self, rates: array[float]) -> None:
        low, high = self.start_lr * (1 - _OUTSIDE), self.end_lr * (1 + _OUTSIDE)
        outside = [rate for rate in rates[:1] + rates[-1:] if not low <= rate <= high]
        if outside:
            between = f"start_lr={self.start_lr} and end_lr={self.end_lr}"
            msg = f"lr={outside[0]} is not between {between}"
            raise self._malformed(msg)

    def _checked_plan(self, journal: Journal) -> tuple[float, float, int]:
        """Return the rates of a test and their number, as anybody may have written."""
        settings = journal.header["settings"]
        plan: list[Any] = [settings.get(name) for name in _PLAN]
        mode = {name: settings[name] for name in ("step_mode",) if name in settings}
        try:
            rates = learning_rates(*plan, **mode)
        except (TypeError, ValueError) as error:
            msg = f"its settings cannot be: {error}"
            raise self._malformed(msg) from error
        return float(rates[0]), float(rates[-1]), len(rates)

    def _reason(self, journal: Journal) -> StopReason | None:
        """Return why a test has ended; None while it goes on."""
        if journal.error is not None:
            words = _text(journal.error)[:_LONGEST_ERROR]
            msg = f"the test that was followed has failed: {words}"
            raise RuntimeError(msg)
        try:
            check_stop_reason(journal.stop_reason)
        except ValueError as error:
            raise self._malformed(error) from error
        return journal.stop_reason  # type: ignore[return-value]  # as just checked

    def _malformed(self, what: object) -> ValueError:
        msg = (
            f"path={shown(self._place.given)} holds no record of a test as it must "
            f"be: {what}"
        )
        return ValueError(msg)


def _job(journal: Journal) -> str:
    """Return which process writes a record, as that says."""
    process, host = journal.header.get("process"), journal.header.get("host")
    if type(process) is int and isinstance(host, str):
        return f"process {process} on {_text(host)[:_LONGEST_HOST]}"
    return "a process that is not known"


def _text(words: str) -> str:
    """Return some words without what a page cannot be sent, or shows as nothing."""
    return "".join(c if c.isprintable() else " " for c in words)
