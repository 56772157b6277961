"""The steps of a test in its record, which may grow while it is read."""

from __future__ import annotations

import io
import math
import re
import time
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lrwidget.curve.arrays import number
from lrwidget.curve.checks import invalid
from lrwidget.curve.short_repr import short_repr
from lrwidget.curve.strict_json import check_version, parsed

if TYPE_CHECKING:
    from collections.abc import Callable

    from lrwidget.curve.records.store import RecordStore

FORMAT = "lrwidget.record"
VERSION = 1
_FIRST_LINE = re.compile(rb'\s*\{.*"format"\s*:\s*"lrwidget\.record"')
LONGEST_LINE = 100_000
_LONGEST_TIME = 1e9  # thirty years
_ENDS = ("stop_reason", "error")


@dataclass
class RecordedTest:
    """
    A test as its record describes it so far.

    The record has one JSON object a line: a header, the steps, and the end. A line
    without its end is not read: it is being written, or its test was killed.
    """

    # The name of the test, its settings, the versions, and its start, host and process.
    header: dict[str, Any] = field(default_factory=dict)
    lrs: array[float] = field(default_factory=lambda: array("d"))
    losses: array[float] = field(default_factory=lambda: array("d"))
    # Empty without a ``val_loader``.
    train_losses: array[float] = field(default_factory=lambda: array("d"))
    # The times of the first and the latest step, in seconds after the start.
    times: tuple[float, float] = (0.0, 0.0)
    stop_reason: str | None = None
    error: str | None = None
    _tail: bytes = b""
    _lines: int = 0

    def feed(self, piece: bytes) -> None:
        """Read the next piece; raise ValueError with the number of a malformed line."""
        lines = io.BytesIO(self._tail + piece)
        self._tail = b""
        for line in lines:
            if not line.endswith(b"\n") and len(line) <= LONGEST_LINE:
                self._tail = line
                return
            self._lines += 1
            try:
                self._read(line.removesuffix(b"\n"))
            except ValueError as error:
                msg = f"line {self._lines}: {error}"
                raise ValueError(msg) from error

    def _read(self, text: bytes) -> None:
        if len(text) > LONGEST_LINE:
            msg = f"it is longer than {LONGEST_LINE} bytes"
            raise ValueError(msg)
        line = parsed(text) if text.strip() else {}
        if not isinstance(line, dict):
            msg = f"{short_repr(line)} is no object"
            raise ValueError(msg)  # noqa: TRY004 (one error for all that is malformed)
        ends = [name for name in _ENDS if isinstance(line.get(name), str)]
        if not self.header and line:
            self.header = _checked(line)
        elif ends or "lr" in line:  # later versions may write other lines
            if self.stop_reason is not None or self.error is not None:
                msg = "it comes after the end of the test"
                raise ValueError(msg)
            if ends:
                setattr(self, ends[0], line[ends[0]])
            else:
                self._add(line)

    def _add(self, line: dict[str, Any]) -> None:
        """Add a step."""
        if not {"iteration", "loss"} <= line.keys():
            msg = f"{short_repr(line)} is no step, and no end"
            raise ValueError(msg)
        count, num_it = len(self.lrs), self.header["settings"].get("num_it")
        if line["iteration"] != count:
            msg = f"it is step {short_repr(line['iteration'])}, not {count}"
            raise ValueError(msg)
        if isinstance(num_it, int) and 0 < num_it <= count:
            msg = f"it is step {count}, after the last step {num_it - 1} of the test"
            raise ValueError(msg)
        lr, loss = number("lr", line["lr"]), number("loss", line["loss"])
        before = self.lrs[-1] if count else 0
        if not before < lr < math.inf:
            msg = f"lr={lr} must be finite and above {before}, since rates increase"
            raise ValueError(msg)
        validated = "train_loss" in line
        if count and validated != bool(self.train_losses):
            msg = "train_loss must be in each step of a test, or in none"
            raise ValueError(msg)
        if validated:
            self.train_losses.append(number("train_loss", line["train_loss"]))
        self.lrs.append(lr)
        self.losses.append(loss)
        seconds = line.get("time")
        if isinstance(seconds, int | float) and 0 <= seconds <= _LONGEST_TIME:
            self.times = self.times[0] if count else float(seconds), float(seconds)


class GrowingRecord:
    """A record that may grow; a new file in its place is read from its beginning."""

    def __init__(self, store: RecordStore) -> None:
        self.test = RecordedTest()
        self.age = 0.0  # of the file in seconds, after its first read; then 0
        self._store = store
        self._offset = 0
        self._beginning = b""

    def read_on(self, wanted: Callable[[], bool]) -> None:
        """Read what is new, as long as it is wanted; raise OSError or ValueError."""
        self.age = 0.0
        while wanted():
            try:
                chunk = self._store.read(self._offset)
            except FileNotFoundError:
                return
            # A shorter file is not a new one: it may be a copy that is being rewritten.
            known, found = self._beginning, chunk.beginning
            if known[: len(found)] != found[: len(known)]:
                self.test, self._offset, self._beginning = RecordedTest(), 0, b""
                continue
            if not chunk.contents:
                return
            if not self._offset and chunk.changed is not None:
                self.age = max(time.time() - chunk.changed, 0.0)
            self._beginning = found
            self._offset += len(chunk.contents)
            self.test.feed(chunk.contents)
            if self._offset >= chunk.size:
                return


def is_record(contents: bytes) -> bool:
    """Whether a file begins as a record does."""
    return _FIRST_LINE.match(contents[:LONGEST_LINE]) is not None


def _checked(header: dict[str, Any]) -> dict[str, Any]:
    """Return a header; raise ValueError if it cannot be used."""
    if header.get("format") != FORMAT:
        msg = f"it must be the header of a record, with format={FORMAT!r}"
        raise ValueError(msg)
    check_version(header.get("version"), VERSION)
    for name, kind in (("test", str), ("settings", dict)):
        if not isinstance(header.get(name), kind):
            raise invalid(header.get(name), name, f"must be a {kind.__name__}")
    return header
