"""The record of a test in a file: a line of JSON for each step, once that is done."""

from __future__ import annotations

import json
import math
import os
import platform
import socket
import time
import traceback
import warnings
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from lrwidget.curve.shown import shown
from lrwidget.curve.strict_json import check_version, parsed

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from io import FileIO
    from typing import BinaryIO

    from lrwidget.curve.record import Step, StopReason

_FORMAT = "lrwidget.record"
_VERSION = 1
_BEGINNING = f'{{"format": "{_FORMAT}"'.encode()
_LONGEST_ERROR = 2000
_LONGEST_HEADER = 100_000
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
        The rate and the loss of each step; a loss that is not finite is a string.
    stop_reason:
        Why it ended, if it says so.
    error:
        What has ended it, in words, if it failed.
    """

    header: dict[str, Any]
    lrs: list[object] = field(default_factory=list)
    losses: list[object] = field(default_factory=list)
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
            msg = f"{shown(line)} is no step, and no end"
            raise ValueError(msg)
        if line["iteration"] != len(self.lrs):
            expected, found = len(self.lrs), shown(line["iteration"])
            msg = f"it is step {found}, where {expected} should be"
            raise ValueError(msg)
        self.lrs.append(line["lr"])
        self.losses.append(line["loss"])


def journaled(
    steps: Generator[Step, None, StopReason],
    path: str | os.PathLike[str],
    settings: Mapping[str, object],
) -> Generator[Step, None, StopReason]:
    """
    Yield steps, each after it is in a file; return what they do.

    A test adds to what is in the file, from its first step on.

    Parameters
    ----------
    steps:
        The steps of a test.
    path:
        The file, which is made if need be.
    settings:
        The settings of the test, for the header. Of what JSON has no value for, that
        is the name.

    Raises
    ------
    OSError
        If a step cannot be written. The test fails with that. What cannot be written
        of its end is a warning.
    ValueError
        If the file is no record, but of another kind.
    """
    header = _header(settings)
    test, began = header["test"], time.monotonic()
    with closing(steps), _opened(path) as file:
        _write(file, header)
        try:
            while True:
                try:
                    step = next(steps)
                except StopIteration as end:
                    reason: StopReason = end.value
                    _write_end(file, {"test": test, "stop_reason": reason})
                    return reason
                line = {
                    "test": test,
                    "iteration": step.iteration,
                    "time": round(time.monotonic() - began, 6),
                    "lr": step.lr,
                    "loss": _finite(step.loss),
                }
                try:
                    _write(file, line)
                except OSError as error:
                    file.close()  # so that nothing follows half a line
                    steps.throw(error)  # the test has failed
                yield step
        except Exception as error:
            words = "".join(traceback.format_exception_only(error)).strip()
            # What has ended the test is worth more; a closed file is a ValueError.
            with suppress(OSError, ValueError):
                _write(file, {"test": test, "error": words[:_LONGEST_ERROR]})
            raise
        except BaseException:  # closed or interrupted
            _write_end(file, {"test": test, "stop_reason": "stopped"})
            raise


def is_record(contents: bytes) -> bool:
    """Whether a file begins as a record does, even if its header is torn."""
    if contents.startswith(_BEGINNING):
        return True
    first = contents[:_LONGEST_HEADER].lstrip().partition(b"\n")[0]
    try:
        header = parsed(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(header, dict) and header.get("format") == _FORMAT


def check_continued(file: BinaryIO | FileIO, path: str | os.PathLike[str]) -> bytes:
    """Return how a file begins; raise ValueError if it is no record to go on with."""
    file.seek(0)
    beginning = file.read(_LONGEST_HEADER)
    if not _BEGINNING.startswith(beginning) and not is_record(beginning):
        msg = (
            f"record={str(path)!r} is a file of another kind, to which no steps are "
            "added; pass the path of a new one"
        )
        raise ValueError(msg)
    return beginning


def latest(contents: bytes) -> Journal:
    """
    Return what a record says of the test that was begun last.

    Lines of other tests, which may go on beside it, have no part in that. A line that
    is torn, since its test was killed, is ignored: the last one, or that before
    another test begins.

    Raises
    ------
    ValueError
        If a line of it is not as it must be, with its number.
    """
    journal: Journal | None = None
    torn: str | None = None
    # After the last newline there is nothing, or what is torn.
    for number, text in enumerate(contents.split(b"\n")[:-1], 1):
        line, error = _object(text)
        if "format" in line:
            journal, torn = Journal(_checked(line)), None
        elif error is not None:
            torn = torn or f"line {number}: {error}"
        elif torn is None and journal is not None and _is_of(line, journal):
            _add(journal, line, number)
    if torn is not None:
        raise ValueError(torn)
    if journal is None:
        msg = "its header is torn"
        raise ValueError(msg)
    return journal


def _object(text: bytes) -> tuple[dict[str, Any], str | None]:
    """Return the object that a line is, or an empty one and what is wrong with it."""
    if not text.strip():
        return {}, None
    try:
        value = parsed(text)
    except (ValueError, RecursionError) as error:
        return {}, str(error) or type(error).__name__
    if not isinstance(value, dict):
        return {}, f"{shown(value)} is no object"
    return value, None


def _is_of(line: dict[str, Any], journal: Journal) -> bool:
    """Whether a line tells of the test, in a way that is known here."""
    known = "lr" in line or any(name in line for name in _ENDS)
    return known and line.get("test") == journal.header["test"]


def _add(journal: Journal, line: dict[str, Any], number: int) -> None:
    try:
        journal.add(line)
    except ValueError as error:
        msg = f"line {number}: {error}"
        raise ValueError(msg) from error


def _checked(header: dict[str, Any]) -> dict[str, Any]:
    """Return a header, or raise ValueError where it is none."""
    if header["format"] != _FORMAT:
        msg = f"format={shown(header['format'])} must be {_FORMAT!r}"
        raise ValueError(msg)
    check_version(header.get("version"), _VERSION)
    for name, kind in (("test", str), ("settings", dict)):
        if not isinstance(header.get(name), kind):
            msg = f"{name}={shown(header.get(name))} must be of another kind"
            raise ValueError(msg)  # noqa: TRY004 (one error for all that is wrong)
    return header


def _header(settings: Mapping[str, object]) -> dict[str, Any]:
    """Return what the record of a test that starts now begins with."""
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "test": token_hex(8),
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "host": socket.gethostname(),
        "process": os.getpid(),
        "settings": {name: _described(value) for name, value in settings.items()},
        "versions": {
            "python": platform.python_version(),
            "torch": metadata.version("torch"),
            "lrwidget": metadata.version("lrwidget"),
        },
    }


def _described(value: object) -> object:
    """Return a setting as a value of JSON, or what it is called."""
    if isinstance(value, float):
        return _finite(float(value))
    if value is None or isinstance(value, bool | int | str):
        return value
    return getattr(value, "__name__", type(value).__name__)


def _finite(number: float) -> float | str:
    return number if math.isfinite(number) else str(number)


def _opened(path: str | os.PathLike[str]) -> FileIO:
    """Open a record to add lines to it, the first of which is a new one."""
    file = Path(path).open("a+b", buffering=0)  # noqa: SIM115 (closed by who uses it)
    try:
        beginning = check_continued(file, path)
        if b"\n" not in beginning:  # nothing, or a header that is torn
            file.truncate(0)
        elif file.seek(-1, os.SEEK_END) and file.read(1) != b"\n":
            file.write(b"\n")
    except BaseException:
        file.close()
        raise
    return file


def _write(file: FileIO, line: dict[str, Any]) -> None:
    """Write a line so that it stays if this process is killed."""
    rest = json.dumps(line, allow_nan=False).encode() + b"\n"
    while rest:
        rest = rest[file.write(rest) :]


def _write_end(file: FileIO, line: dict[str, Any]) -> None:
    """Write how a test has ended; it has done so, whether it can be written or not."""
    try:
        _write(file, line)
    except OSError as error:
        msg = f"the end of the test is not in its record: {error}"
        warnings.warn(msg, stacklevel=3)
