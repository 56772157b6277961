"""
Compare the time per step of lrwidget and of other finders with a bare training loop.

Each finder trains the same model on the same batches in one process. The finders take
turns of some steps. A ratio is a finder's time per step over that of the bare loop in
the neighbouring turns. Each round has new models and new batches. The start and the end
of a test are measured separately:

    python -m benchmarks.overhead
"""

from __future__ import annotations

import gc
import logging
import os
import statistics
import sys
import time
from collections import deque
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from io import StringIO
from typing import TYPE_CHECKING, NamedTuple

import torch

import tests.torchvision_operators  # noqa: F401 (before any import of torchvision)
from benchmarks import finders
from benchmarks.steps import KEEP_MEMORY, cnn, mlp, transformer
from benchmarks.turns import seconds_by_turns
from lrwidget import RangeTest

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.finders import Training

os.environ["TQDM_DISABLE"] = "1"  # progress bars cost more than the rest
_LRWIDGET = "lrwidget"
_ROUNDS = 9
_ROUNDS_AROUND = 21
_MOST_AROUND = 3.0


class Task(NamedTuple):
    """A training, the steps of a turn, the turns of a round, and lrwidget's bound."""

    make: Callable[[], Training]
    steps: int
    turns: int
    bound: float


_TASKS = {
    "MLP": Task(mlp, 60, 12, 1.03),
    "CNN": Task(cnn, 6, 24, 1.01),
    "transformer": Task(transformer, 6, 24, 1.01),
}
_FINDERS: dict[str, Callable[[Training, int], object]] = {
    "bare": finders.bare,
    _LRWIDGET: finders.lrwidget,
    "torch-lr-finder": finders.torch_lr_finder,
    "Ignite": finders.ignite,
    "Lightning": finders.lightning,
    "fastai": finders.fastai,
}


def _ratios(task: Task) -> tuple[float, dict[str, float]]:
    """Return the seconds per step of the bare loop, and each finder's ratio to it."""

    def program(
        finder: Callable[[Training, int], object], step: Callable[[], None]
    ) -> None:
        finder(task.make().noting(step), task.steps * (task.turns + 1) + 1)

    programs = {name: partial(program, finder) for name, finder in _FINDERS.items()}
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        seconds = seconds_by_turns(programs, task.steps)
    # The first turn is the warm-up.
    bare = seconds.pop("bare")[1:]
    return statistics.median(bare), {
        name: statistics.median(x / y for x, y in zip(found[1:], bare, strict=False))
        for name, found in seconds.items()
    }


def _prepared_bare(training: Training, steps: int) -> Callable[[], object]:
    return partial(finders.trained, training, [1e-3] * steps)


def _prepared_test(training: Training, steps: int) -> Callable[[], object]:
    test = RangeTest(*training, num_it=steps, end_lr=1e-2)
    return lambda: deque(test, maxlen=0)


def _around(
    prepared: Callable[[Training, int], Callable[[], object]], task: Task
) -> float:
    """Return the sum of the seconds before the second loss and after the last."""
    times: list[float] = []
    training = task.make().noting(lambda: times.append(time.perf_counter()))
    run = prepared(training, task.steps)
    gc.collect()
    began = time.perf_counter()
    run()
    return times[1] - began + time.perf_counter() - times[-1]


def _measured(name: str, task: Task) -> bool:
    """Print a row for each finder, and return whether lrwidget's bounds hold."""
    rounds = [_ratios(task) for _ in range(_ROUNDS)]
    step = statistics.median(seconds for seconds, _ in rounds)
    print(f"\n{name}: bare {1e3 * step:.3f} ms a step, {_ROUNDS} rounds")
    medians: dict[str, float] = {}
    for finder in rounds[0][1]:
        found = [ratios[finder] for _, ratios in rounds]
        medians[finder] = statistics.median(found)
        print(
            f"{finder:16} {medians[finder]:.3f} ({min(found):.3f} to {max(found):.3f})"
        )
    around = [
        _around(_prepared_test, task) - _around(_prepared_bare, task)
        for _ in range(_ROUNDS_AROUND)
    ]
    low, extra, high = (x / step for x in statistics.quantiles(around, n=4))
    print(f"start and end    {extra:.2f} steps (quartiles {low:.2f} and {high:.2f})")
    ours = medians.pop(_LRWIDGET)
    holds = {
        f"at most {task.bound} of bare": ours <= task.bound,
        "below every other": ours < min(medians.values()),
        f"start and end at most {_MOST_AROUND:.0f} steps": extra <= _MOST_AROUND,
    }
    for bound, held in holds.items():
        print(f"{bound}: {'holds' if held else 'FALLS SHORT'}")
    return all(holds.values())


def _report() -> int:
    torch.set_num_threads(1)
    logging.disable()
    wanted = sys.argv[1:] or list(_TASKS)
    results = [_measured(name, _TASKS[name]) for name in wanted]
    return int(not all(results))


if __name__ == "__main__":
    if not KEEP_MEMORY.items() <= os.environ.items():
        command = [sys.executable, "-m", "benchmarks.overhead", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **KEEP_MEMORY})  # noqa: S606 (it is this program)
    sys.exit(_report())
