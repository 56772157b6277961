"""
What a step of a range test costs over one of a bare training loop, here and elsewhere.

Each finder trains the same model on the same batches in the same process, one after the
other in each round. A time per step is that from the first loss to the last, so that
what is done before and after is none of it; a ratio is to the bare loop of its round:

    python -m benchmarks.overhead
"""

from __future__ import annotations

import gc
import logging
import os
import statistics
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

import tests.torchvision_operators  # noqa: F401 (before whatever imports torchvision)
from benchmarks import finders
from benchmarks.steps import cnn, mlp, transformer

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.finders import Training

os.environ["TQDM_DISABLE"] = "1"  # their bars cost more than all else
_ROUNDS = 9
_LRWIDGET = "lrwidget"


class _Timed(NamedTuple):
    """How long something took."""

    step: float
    around: float


class Task(NamedTuple):
    """A training to be measured, and what a step of ours may cost at most."""

    make: Callable[[], Training]
    steps: int
    bound: float


_TASKS = {
    "MLP": Task(mlp, 1000, 1.03),
    "CNN": Task(cnn, 300, 1.01),
    "transformer": Task(transformer, 200, 1.01),
}
_FINDERS: dict[str, Callable[[Training, int], object]] = {
    "bare": finders.bare,
    _LRWIDGET: finders.lrwidget,
    "torch-lr-finder": finders.torch_lr_finder,
    "Ignite": finders.ignite,
    "Lightning": finders.lightning,
    "fastai": finders.fastai,
}


def _timed(finder: Callable[[Training, int], object], task: Task) -> _Timed:
    """Return the seconds a step, and those before the first loss and after the last."""
    training = task.make()
    times: list[float] = []
    loss_fn = training.loss_fn

    def noted(outputs: Any, targets: Any) -> Any:  # noqa: ANN401 (tensors of any kind)
        times.append(time.perf_counter())
        return loss_fn(outputs, targets)

    gc.collect()
    began = time.perf_counter()
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        finder(training._replace(loss_fn=noted), task.steps)
    ended = time.perf_counter()
    per_step = (times[-1] - times[0]) / (len(times) - 1)
    return _Timed(per_step, ended - began - per_step * len(times))


def _measured(name: str, task: Task) -> bool:
    """Measure a training by all finders, print a row for each; whether ours holds."""
    runs: dict[str, list[_Timed]] = {finder: [] for finder in _FINDERS}
    for number in range(_ROUNDS + 1):
        for finder, found in runs.items():
            timed = _timed(_FINDERS[finder], task)
            if number:  # the first round is to warm up
                found.append(timed)
    bare = [timed.step for timed in runs["bare"]]
    print(f"\n{name}: bare {1e3 * statistics.median(bare):.3f} ms a step")
    medians: dict[str, float] = {}
    for finder, found in runs.items():
        ratios = [timed.step / base for timed, base in zip(found, bare, strict=True)]
        medians[finder] = statistics.median(ratios)
        around = [t.around / b for t, b in zip(found, bare, strict=True)]
        print(
            f"{finder:16} {medians[finder]:.3f} ({min(ratios):.3f} to "
            f"{max(ratios):.3f}); before and after: "
            f"{statistics.median(around):.1f} steps"
        )
    ours = medians.pop(_LRWIDGET)
    medians.pop("bare")
    holds = ours <= task.bound and ours < min(medians.values())
    verdict = "holds" if holds else "FALLS SHORT"
    print(f"bound {task.bound}, and below every other: {verdict}")
    return holds


def _report() -> int:
    torch.set_num_threads(1)
    logging.disable()
    wanted = sys.argv[1:] or list(_TASKS)
    results = [_measured(name, _TASKS[name]) for name in wanted]
    return int(not all(results))


if __name__ == "__main__":
    sys.exit(_report())
