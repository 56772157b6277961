"""
Measure the time of the import of lrwidget, and of the creation of the widget.

Each time is that of a new process, minus that of a process without the measured part:

    python -m benchmarks.startup
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from typing import NamedTuple

_ROUNDS = 15
# A collection of what torch and bqplot have loaded takes up to 0.2 s. It is done before,
# or it happens to begin in the measured part.
_TRAINING = """
import gc, time
import torch, bqplot
from torch import nn
model = nn.Linear(8, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
batches = [(torch.randn(4, 8), torch.randn(4, 1))]
gc.collect()
began = time.perf_counter()
"""
_WIDGET = """
from lrwidget import LRWidget
widget = LRWidget(model, optimizer, batches, nn.MSELoss())
widget._repr_mimebundle_()
"""
_TIME = "print(time.perf_counter() - began)"


class Figure(NamedTuple):
    """Two programs that print their time, with the measured part and without it."""

    name: str
    whole: str
    rest: str
    bound: float


_FIGURES = (
    Figure(
        "import lrwidget, beyond an empty interpreter",
        f"import time; began = time.perf_counter(); import lrwidget; {_TIME}",
        f"import time; began = time.perf_counter(); {_TIME}",
        50,
    ),
    Figure(
        "create and display the widget, beyond importing torch and bqplot",
        _TRAINING + _WIDGET + _TIME,
        _TRAINING + _TIME,
        300,
    ),
)


def _milliseconds(program: str) -> float:
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return 1e3 * float(run.stdout)


def _report() -> int:
    held = True
    for name, whole, rest, bound in _FIGURES:
        found = [_milliseconds(whole) - _milliseconds(rest) for _ in range(_ROUNDS)]
        median = statistics.median(found)
        held &= median <= bound
        print(
            f"{name}: {median:.0f} ms ({min(found):.0f} to {max(found):.0f}); at most "
            f"{bound:.0f}: {'holds' if median <= bound else 'FALLS SHORT'}"
        )
    return int(not held)


if __name__ == "__main__":
    sys.exit(_report())
