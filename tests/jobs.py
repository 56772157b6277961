"""Range tests that run in their own processes, and objects to control them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.widget_parts import SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_CODE = """
import json, sys, threading
import torch
from torch import nn
from lrwidget import RangeTest

torch.set_num_threads(1)
path, held, pause, settings = json.loads(sys.argv[1])
model = nn.Linear(8, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
inputs = torch.ones(4, 8)
batches = [(inputs, torch.zeros(4, 1))]
test = RangeTest(model, optimizer, batches, nn.MSELoss(), record=path, **settings)
waiting = threading.Event()
for step in test:
    waiting.wait(pause)
    if step.iteration == held:
        print("held", flush=True)
        order = sys.stdin.readline().strip()
        if order == "fail":
            raise ArithmeticError("told <b>so</b>")
        if order == "break":
            batches[:] = [(inputs, torch.zeros(3, 3, 3))]
print(test.curve.stop_reason, flush=True)
"""


class Job:
    """A range test with a record in another process, which can be held at a step."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.number = process.pid

    def await_held(self) -> None:
        assert self.said() == "held"

    def said(self) -> str:
        """Return the next line that the process prints."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def go_on(self, order: str = "") -> None:
        assert self._process.stdin is not None
        print(order, file=self._process.stdin, flush=True)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def ended(self) -> int:
        return self._process.wait(SECONDS)


@contextmanager
def job(
    path: Path, held: int | None = None, pause: float = 0.0, **settings: Any
) -> Iterator[Job]:
    """Start a job, and kill its process at the end if the process still runs."""
    arguments = json.dumps([str(path), held, pause, settings])
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _CODE, arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Job(process)
        finally:
            process.kill()


def eventually(look: Callable[[], object], what: Callable[[], object]) -> None:
    """Wait until `look` returns true, or fail with the result of `what`."""
    deadline, pause = time.monotonic() + SECONDS, threading.Event()
    while not look():
        assert time.monotonic() < deadline, what()
        pause.wait(0.01)
