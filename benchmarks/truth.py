"""
Measure the final loss of each task of `tasks` at each learning rate of a grid.

The script trains the tasks that are missing in ``benchmarks/truth.json``, and adds
their losses. Without the file it trains all tasks, which takes more than an hour on two
cores. Some data are texts of Python itself, so another version of Python gives other
figures:

    python -m benchmarks.truth
"""

from __future__ import annotations

import json
import math
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.tasks import OTHER_SCALES, TASKS

_PATH = Path(__file__).with_suffix(".json")
_SEEDS = (0, 1)
# The grid of a task ends at the last rate of its sweep.
_RATES: list[float] = np.geomspace(1e-7, 1e4, 4 * 11 + 1).tolist()
_ALL = {task.name: task for task in (*TASKS, *OTHER_SCALES)}


class Truth(NamedTuple):
    """
    The validation losses of one task.

    Attributes
    ----------
    rates:
        The grid of learning rates, increasing.
    untrained:
        The validation loss before the training, of each seed.
    final:
        The validation loss after the training, of each seed at each rate; NaN if the
        training diverged.
    """

    rates: list[float]
    untrained: list[float]
    final: list[list[float]]

    def regret(self, lr: float | None) -> float:
        """
        Return the share of the best achievable improvement that a rate forgoes.

        The share is ``(final(lr) - best) / (untrained - best)``, from 0 to 1. Between
        the rates of the grid, it is interpolated over the logarithm of the rate. It is
        1 for no rate.
        """
        if lr is None:
            return 1.0
        return float(np.interp(np.log(lr), np.log(self.rates), self.regrets()))

    def regrets(self) -> list[float]:
        """Return the regret of each rate of the grid."""
        untrained = np.array(self.untrained)[:, None]
        final = np.fmin(np.array(self.final), untrained).mean(0)
        best = final.min()
        regrets: list[float] = ((final - best) / (untrained.mean() - best)).tolist()
        return regrets


def load() -> dict[str, Truth]:
    """Return the validation losses in the file, by the name of the task."""
    data = json.loads(_PATH.read_text(encoding="utf-8"))
    return {
        name: Truth(
            data["rates"][: len(task["final"][0])],
            task["untrained"],
            [[math.nan if x is None else x for x in row] for row in task["final"]],
        )
        for name, task in data["tasks"].items()
    }


def _trained(name: str, seed: int) -> tuple[float | None, list[float | None]]:
    """Return the loss of a task before training, and after it at each rate."""
    torch.set_num_threads(1)
    task = _ALL[name]
    rates = [lr for lr in _RATES if lr < 1.1 * task.end_lr]  # rounded rates
    untrained = task.start(seed).val_loss()
    final = [task.train(task.start(seed), lr) for lr in rates]
    return _rounded(untrained), [_rounded(x) for x in final]


def _rounded(loss: float) -> float | None:
    """Return six digits of a loss; None if it is not finite."""
    return float(f"{loss:.6g}") if math.isfinite(loss) else None


def _make() -> None:
    made: list[str] = []
    tasks: dict[str, dict[str, list[object]]] = {}
    if _PATH.exists():
        content = json.loads(_PATH.read_text(encoding="utf-8"))
        made, tasks = content["made"], content["tasks"]
    missing = [name for name in _ALL if name not in tasks]
    jobs = list(product(missing, _SEEDS))
    began = time.monotonic()
    with ProcessPoolExecutor() as pool:
        results = pool.map(_trained, *zip(*jobs, strict=True))
        for (name, seed), (untrained, final) in zip(jobs, results, strict=True):
            row = tasks.setdefault(name, {"untrained": [], "final": []})
            row["untrained"].append(untrained)
            row["final"].append(final)
            print(f"{time.monotonic() - began:5.0f} s  {name}, seed {seed}", flush=True)
    if missing:
        made.append(
            f"{len(missing)} tasks by python -m benchmarks.truth, "
            f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, "
            f"torch {torch.__version__}, {platform.machine()} CPU"
        )
    tasks = {name: tasks[name] for name in _ALL}
    content = {"made": made, "seeds": _SEEDS, "rates": _RATES, "tasks": tasks}
    _PATH.write_text(json.dumps(content) + "\n", encoding="utf-8")


if __name__ == "__main__":
    _make()
