"""Sweeps of the tasks, the scores of regrets, and tables of them."""

from __future__ import annotations

import os
import platform
import time
from itertools import product
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import torch

from benchmarks.tasks import FIRST_HALF, OTHER_SCALES, SECOND_HALF, TASKS
from lrwidget import LRCurve, range_test
from lrwidget.engine.stopping import FitStopRule

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import ProcessPoolExecutor

    from lrwidget.curve.arrays import FloatArray

NUM_IT = 100
BOTH = "both halves"
GROUPS = {
    "first half": FIRST_HALF,
    "second half": SECOND_HALF,
    BOTH: TASKS,
    "other scales": OTHER_SCALES,
}
EVERY = (*TASKS, *OTHER_SCALES)


class Sweep(NamedTuple):
    """
    One complete sweep of a task.

    Attributes
    ----------
    task:
        The name of the task.
    lrs, losses:
        Rates and losses of all steps, since nothing stops the sweep.
    memory:
        The number of steps that the optimizer averages over.
    """

    task: str
    lrs: FloatArray
    losses: FloatArray
    memory: float

    def stopped(self) -> LRCurve:
        """Return the curve up to the step at which a test of lrwidget stops."""
        rule, reason, count = FitStopRule(self.lrs), None, 0
        while reason is None and count < len(self.losses):
            reason = rule.update(float(self.losses[count]))
            count += 1
        return LRCurve(
            self.lrs[:count],
            self.losses[:count],
            reason or "completed",
            NUM_IT,
            self.memory,
        )


# The regrets of a task, by its name.
Regrets: TypeAlias = dict[str, list[float]]


class Score(NamedTuple):
    """Statistics of a rule's regrets over all sweeps, and the worst mean of a task."""

    mean: float
    median: float
    ninetieth: float
    worst: float
    worst_task: float

    @classmethod
    def of(cls, regrets: Regrets, tasks: Iterable[str]) -> Score:
        """Return the score of a rule over some tasks."""
        rows = [regrets[task] for task in tasks]
        every = np.concatenate(rows)
        return cls(
            float(every.mean()),
            float(np.median(every)),
            float(np.quantile(every, 0.9)),
            float(every.max()),
            max(float(np.mean(row)) for row in rows),
        )


def _swept(index: int, seed: int) -> Sweep:
    torch.set_num_threads(1)
    task = EVERY[index]
    model, optimizer, dataloader, loss_fn, _ = task.start(seed)
    curve = range_test(
        *(model, optimizer, dataloader, loss_fn),
        end_lr=task.end_lr,
        num_it=NUM_IT,
        stop_div=False,
    )
    return Sweep(task.name, curve.lrs, curve.losses, curve.optimizer_memory)


def sweeps(pool: ProcessPoolExecutor, first_seed: int, seeds: int) -> list[Sweep]:
    """Return sweeps of all tasks, each with ``seeds`` seeds from ``first_seed`` on."""
    jobs = product(range(len(EVERY)), range(first_seed, first_seed + seeds))
    return list(pool.map(_swept, *zip(*jobs, strict=True)))


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table in Markdown."""
    head = list(head)
    print("| " + " | ".join(head) + " |")
    print("|---" * len(head) + "|")
    for row in rows:
        cells = [f"{x:.3f}" if isinstance(x, float) else str(x) for x in row]
        print("| " + " | ".join(cells) + " |")
    print()


def names(group: str) -> list[str]:
    """Return the names of the tasks of a group."""
    return [task.name for task in GROUPS[group]]


def machine() -> str:
    """Return the date, the processor, and the versions of Python and torch."""
    return (
        f"{time.strftime('%Y-%m-%d')}, {platform.machine()} CPU with {os.cpu_count()} "
        f"cores, Python {platform.python_version()}, torch {torch.__version__}"
    )
