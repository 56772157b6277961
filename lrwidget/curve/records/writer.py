"""The record of a test: a line of JSON for each step, as soon as the step is done."""

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

from lrwidget.curve.records.reader import FORMAT, VERSION
from lrwidget.curve.records.store import without_password

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from lrwidget.curve.lr_curve import Step, StopReason
    from lrwidget.curve.records.store import RecordStore

_LONGEST_ERROR = 2000
_ENCODER = json.JSONEncoder(allow_nan=False)  # made once, since that is slow


class RecordFile:
    """The new file of one test, open for its lines."""

    def __init__(self, store: RecordStore) -> None:
        self._store = store
        self._file = store.create()
        self.close = self._file.close  # append() raises ValueError after that
        self._checked = -math.inf

    def append(self, line: Mapping[str, object]) -> None:
        """Add a line, which stays if this process is killed after that."""
        self._file.append(_ENCODER.encode(line).encode() + b"\n")

    def stop_requested(self, test: str) -> bool:
        """Whether a test is asked to stop, as often as the store may be asked."""
        now = time.monotonic()
        if now - self._checked < self._store.seconds_between_stop_checks:
            return False
        self._checked = now
        return self._store.stop_requested(test)

    def append_end(self, reason: StopReason) -> None:
        """Add the end of the test; an error is a warning, since the test has ended."""
        try:
            self.append({"stop_reason": reason})
        except OSError as error:
            msg = f"the end of the test is not in its record: {error}"
            warnings.warn(msg, stacklevel=3)


def recorded(
    steps: Generator[Step, None, StopReason],
    store: RecordStore,
    settings: Mapping[str, object],
) -> Generator[Step, None, StopReason]:
    """
    Yield the steps of a test, each after it is in the record; return why it ended.

    The file is made before the first step. A request to stop is obeyed at the next
    step. An OSError of a step fails the test.
    """
    store = store.resolved()  # once: a link may lead elsewhere later
    header = _header(settings)
    began = time.monotonic()
    reason: StopReason = "stopped"
    with closing(steps), closing(RecordFile(store)) as file:
        store.clear_stop_request()  # for an earlier test: nobody knows this one yet
        file.append(header)
        try:
            while True:
                try:
                    step = next(steps)
                except StopIteration as end:
                    reason = end.value
                    break
                line = {
                    "iteration": step.iteration,
                    "time": round(time.monotonic() - began, 6),
                    "lr": step.lr,
                    "loss": _finite(step.loss),
                }
                if step.train_loss is not None:
                    line["train_loss"] = _finite(step.train_loss)
                try:
                    file.append(line)
                except OSError as error:
                    file.close()  # so that nothing follows half a line
                    steps.throw(error)  # the test has failed
                yield step
                if file.stop_requested(header["test"]):
                    steps.close()
                    store.clear_stop_request()
                    break
        except Exception as error:
            words = "".join(traceback.format_exception_only(error)).strip()
            # The error of the test is worth more; a closed file is a ValueError.
            with suppress(OSError, ValueError):
                file.append({"error": words[:_LONGEST_ERROR]})
            raise
        except BaseException:  # closed or interrupted
            file.append_end("stopped")
            raise
        file.append_end(reason)
        return reason


def _header(settings: Mapping[str, object]) -> dict[str, Any]:
    """Return the first line of the record of a test that starts now."""
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
    """Return a setting as a value of JSON, or its name."""
    if isinstance(value, float):
        return _finite(float(value))
    if isinstance(value, str):  # the record's own URL, which anyone may read here
        return without_password(value)
    if value is None or isinstance(value, bool | int):
        return value
    return getattr(value, "__name__", type(value).__name__)


def _finite(number: float) -> float | str:
    return number if math.isfinite(number) else str(number)
