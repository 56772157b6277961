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
from datetime import datetime, timezone
from importlib import metadata
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from lrwidget.curve.records.format import FORMAT, VERSION, check_continued
from lrwidget.curve.records.stop_request import StopRequest

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from lrwidget.curve.lr_curve import Step, StopReason
    from lrwidget.curve.records.chunk import Appender
    from lrwidget.curve.records.store import Place

_LONGEST_ERROR = 2000
_ENCODER = json.JSONEncoder(allow_nan=False)  # made once, which takes long


def journaled(
    steps: Generator[Step, None, StopReason],
    place: Place,
    settings: Mapping[str, object],
) -> Generator[Step, None, StopReason]:
    """
    Yield steps, each after it is in a file; return what they do.

    A test adds to what is in the file, from its first step on. Who asks it to stop, by
    a `StopRequest`, is obeyed at the next step.

    Parameters
    ----------
    steps:
        The steps of a test.
    place:
        Where the file is, which is made if need be.
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
    request = StopRequest(place, test)
    with closing(steps), closing(_opened(place, header, request)) as file:
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
                if request.arrived():
                    steps.close()
                    _write_end(file, {"test": test, "stop_reason": "stopped"})
                    request.clear()
                    return "stopped"
        except Exception as error:
            words = "".join(traceback.format_exception_only(error)).strip()
            # What has ended the test is worth more; a closed file is a ValueError.
            with suppress(OSError, ValueError):
                _write(file, {"test": test, "error": words[:_LONGEST_ERROR]})
            raise
        except BaseException:  # closed or interrupted
            _write_end(file, {"test": test, "stop_reason": "stopped"})
            raise


def _header(settings: Mapping[str, object]) -> dict[str, Any]:
    """Return what the record of a test that starts now begins with."""
    return {
        "format": FORMAT,
        "version": VERSION,
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


def _opened(place: Place, header: dict[str, Any], request: StopRequest) -> Appender:
    """Open a record to add a test to it, and write the header of that."""
    beginning, torn = check_continued(place), b""
    # That of a test before: this one has no name yet by which one could ask it.
    request.clear()
    if b"\n" not in beginning:
        if beginning:  # a header that is torn; another test may add its own to nothing
            place.clear()
    else:
        look = place.look(0, 0)
        last = None if look is None else place.look(look.size - 1, 1)
        if last is not None and last.contents != b"\n":
            torn = b"\n"
    file = place.appender()
    try:
        # At once, so that who looks meanwhile sees no end of what is torn.
        file.write(torn + _encoded(header))
    except BaseException:
        file.close()
        raise
    return file


def _write(file: Appender, line: dict[str, Any]) -> None:
    file.write(_encoded(line))


def _encoded(line: dict[str, Any]) -> bytes:
    return _ENCODER.encode(line).encode() + b"\n"


def _write_end(file: Appender, line: dict[str, Any]) -> None:
    """Write how a test has ended; it has done so, whether it can be written or not."""
    try:
        _write(file, line)
    except OSError as error:
        msg = f"the end of the test is not in its record: {error}"
        warnings.warn(msg, stacklevel=3)
