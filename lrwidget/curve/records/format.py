"""What the record of a test says, which may grow while it is read."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lrwidget.curve.arrays import NOT_FINITE
from lrwidget.curve.short_repr import short_repr
from lrwidget.curve.strict_json import check_version, parsed

if TYPE_CHECKING:
    from lrwidget.curve.records.store import Place

FORMAT = "lrwidget.record"
VERSION = 1
_BEGINNING = f'{{"format": "{FORMAT}"'.encode()
_LONGEST_LINE = 100_000
_LONGEST_TIME = 1e9  # thirty years
_PIECE = 2**20
_ENDS = ("stop_reason", "error")


@dataclass
class Journal:
    """
    What a record says of one test.

    Attributes
    ----------
    header:
        What it begins with: the name of the ``test``, its ``settings``, the
        ``versions``, and when, on which ``host`` and by which process it was started.
    lrs, losses:
        The rate and the loss of each step.
    times:
        How many seconds after its beginning the first step and the latest were done,
        if it says so.
    stop_reason:
        Why it ended, if it says so.
    error:
        What has ended it, in words, if it failed.
    """

    header: dict[str, Any]
    lrs: array[float] = field(default_factory=lambda: array("d"))
    losses: array[float] = field(default_factory=lambda: array("d"))
    times: tuple[float, float] | None = None
    stop_reason: str | None = None
    error: str | None = None

    @property
    def num_it(self) -> Any:  # noqa: ANN401 (checked by what becomes a curve)
        """How many steps it was to have."""
        return self.header["settings"].get("num_it", 0)

    def add(self, line: dict[str, Any]) -> None:
        """
        Take in what one of its lines says.

        Raises
        ------
        ValueError
            If that cannot be.
        """
        if self.stop_reason is not None or self.error is not None:
            msg = "it comes after the end of the test"
            raise ValueError(msg)
        for name in _ENDS:
            if isinstance(line.get(name), str):
                setattr(self, name, line[name])
                return
        if not {"iteration", "lr", "loss"} <= line.keys():
            msg = f"{short_repr(line)} is no step, and no end"
            raise ValueError(msg)
        if line["iteration"] != len(self.lrs):
            expected, found = len(self.lrs), short_repr(line["iteration"])
            msg = f"it is step {found}, where {expected} should be"
            raise ValueError(msg)
        if isinstance(self.num_it, int) and 0 < self.num_it <= len(self.lrs):
            msg = f"it is step {len(self.lrs)}, of {self.num_it} from 0"
            raise ValueError(msg)
        lr, loss = _rate(line["lr"]), _number("loss", line["loss"])
        if self.lrs and lr <= self.lrs[-1]:
            msg = f"lr={lr} comes after {self.lrs[-1]}; rates are strictly increasing"
            raise ValueError(msg)
        self.lrs.append(lr)
        self.losses.append(loss)
        time = line.get("time")
        if isinstance(time, int | float) and 0 <= time <= _LONGEST_TIME:
            first = float(time) if self.times is None else self.times[0]
            self.times = first, float(time)


class Reader:
    """
    Takes in a record piece by piece, and follows the test that was begun last.

    Lines of other tests, which may go on beside it, have no part in that. A line that
    is torn, since its test was killed, is ignored: the last one, or that before
    another test begins.

    Attributes
    ----------
    journal:
        What is said of that test so far; None before there is a header.
    problem:
        What is wrong with the record, unless another test begins after that.
    """

    def __init__(self) -> None:
        self.journal: Journal | None = None
        self.problem: str | None = None
        self._tail = bytearray()  # a line that is not whole yet
        self._passed_over = False  # whether it is too long to be kept
        self._number = 1

    def feed(self, piece: bytes) -> None:
        """Take in what follows all that was taken in before."""
        tail, begin, known = self._tail, 0, len(self._tail)
        tail += piece
        while (end := tail.find(b"\n", max(begin, known))) >= 0:
            if not self._passed_over:
                self._take(bytes(tail[begin:end]))
            self._passed_over = False
            self._number += 1
            begin = end + 1
        del tail[:begin]
        if len(tail) > _LONGEST_LINE and not self._passed_over:
            self._passed_over = True
            self._refuse(_too_long())
        if self._passed_over:
            tail.clear()

    def _take(self, text: bytes) -> None:
        """Take in a whole line."""
        try:
            line = _object(text)
            if "format" in line:
                self.journal, self.problem = Journal(_checked(line)), None
            elif line and self.problem is None:
                self._add(line)
        except ValueError as error:
            self._refuse(str(error))

    def _add(self, line: dict[str, Any]) -> None:
        if self.journal is None:
            msg = "it is no header"
            raise ValueError(msg)
        if _is_of(line, self.journal):
            self.journal.add(line)

    def _refuse(self, problem: str) -> None:
        self.problem = self.problem or f"line {self._number}: {problem}"


def latest(contents: bytes) -> Journal:
    """
    Return what a record says of the test that was begun last; see `Reader`.

    Raises
    ------
    ValueError
        If a line of it is not as it must be, with its number.
    """
    reader = Reader()
    for begin in range(0, len(contents), _PIECE):
        reader.feed(contents[begin : begin + _PIECE])
    if reader.problem is not None:
        raise ValueError(reader.problem)
    if reader.journal is None:
        msg = "its header is torn"
        raise ValueError(msg)
    return reader.journal


def is_record(contents: bytes) -> bool:
    """Whether a file begins as a record does, even if its header is torn."""
    if contents.startswith(_BEGINNING):
        return True
    first = contents[:_LONGEST_LINE].lstrip().partition(b"\n")[0]
    try:
        return _object(first).get("format") == FORMAT
    except ValueError:
        return False


def check_continued(place: Place) -> bytes:
    """Return how a file begins; raise ValueError if it is no record to go on with."""
    look = place.look(0, _LONGEST_LINE)
    beginning = b"" if look is None else look.contents
    if not _BEGINNING.startswith(beginning) and not is_record(beginning):
        msg = (
            f"record={short_repr(place.given)} is a file of another kind, to which no "
            "steps are added; pass the path of a new one"
        )
        raise ValueError(msg)
    return beginning


def _object(text: bytes) -> dict[str, Any]:
    """Return the object that a line is; raise ValueError if it is none."""
    if len(text) > _LONGEST_LINE:
        raise ValueError(_too_long())
    if not text.strip():
        return {}
    try:
        value = parsed(text)
    except RecursionError as error:
        raise ValueError(str(error)) from error
    if not isinstance(value, dict):
        msg = f"{short_repr(value)} is no object"
        raise ValueError(msg)  # noqa: TRY004 (one error for all that is wrong)
    return value


def _too_long() -> str:
    return f"it is longer than {_LONGEST_LINE} bytes"


def _is_of(line: dict[str, Any], journal: Journal) -> bool:
    """Whether a line tells of the test, in a way that is known here."""
    known = "lr" in line or any(name in line for name in _ENDS)
    return known and line.get("test") == journal.header["test"]


def _checked(header: dict[str, Any]) -> dict[str, Any]:
    """Return a header, or raise ValueError where it is none."""
    if header["format"] != FORMAT:
        msg = f"format={short_repr(header['format'])} must be {FORMAT!r}"
        raise ValueError(msg)
    check_version(header.get("version"), VERSION)
    for name, kind in (("test", str), ("settings", dict)):
        if not isinstance(header.get(name), kind):
            msg = f"{name}={short_repr(header.get(name))} must be of another kind"
            raise ValueError(msg)  # noqa: TRY004 (one error for all that is wrong)
    return header


def _rate(value: object) -> float:
    rate = _number("lr", value)
    if not 0 < rate < math.inf:
        msg = f"lr={short_repr(value)} must be finite and above 0"
        raise ValueError(msg)
    return rate


def _number(name: str, value: object) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number and not (isinstance(value, str) and value in NOT_FINITE):
        msg = f"{name}={short_repr(value)} is not a number"
        raise ValueError(msg)
    try:
        return float(value)  # type: ignore[arg-type]  # as just checked
    except OverflowError as error:
        msg = f"{name}={short_repr(value)} is too large for a number"
        raise ValueError(msg) from error
