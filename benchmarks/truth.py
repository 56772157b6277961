"""
Measure the final loss of each task of `tasks` at each learning rate of a grid.

The trainings take less than an hour on two cores. The script writes
``benchmarks/truth.json``. Some data are texts of Python itself, so another version of
Python gives other figures:

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

from benchmarks.tasks import TASKS

_PATH = Path(__file__).with_suffix(".json")
_SEEDS = (0, 1)
_RATES = np.geomspace(1e-7, 10, 4 * 8 + 1).tolist()


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
            data["rates"],
            task["untrained"],
            [[math.nan if x is None else x for x in row] for row in task["final"]],
        )
        for name, task in data["tasks"].items()
    }


def _trained(index: int, seed: int) -> tuple[float, list[float | None]]:
    """Return the loss of a task before training, and after it at each rate."""
    torch.set_num_threads(1)
    task = TASKS[index]
    untrained = task.start(seed).val_loss()
    final = [task.train(task.start(seed), lr) for lr in _RATES]
    return untrained, [round(x, 5) if math.isfinite(x) else None for x in final]


def _make() -> None:
    tasks: dict[str, dict[str, list[object]]] = {}
    jobs = list(product(range(len(TASKS)), _SEEDS))
    began = time.monotonic()
    with ProcessPoolExecutor() as pool:
        results = pool.map(_trained, *zip(*jobs, strict=True))
        for (index, seed), (untrained, final) in zip(jobs, results, strict=True):
            name = TASKS[index].name
            row = tasks.setdefault(name, {"untrained": [], "final": []})
            row["untrained"].append(round(untrained, 5))
            row["final"].append(final)
            print(f"{time.monotonic() - began:5.0f} s  {name}, seed {seed}", flush=True)
    made = (
        f"python -m benchmarks.truth, {time.strftime('%Y-%m-%d')}, "
        f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"{platform.machine()} CPU"
    )
    content = {"made": made, "seeds": _SEEDS, "rates": _RATES, "tasks": tasks}
    _PATH.write_text(json.dumps(content) + "\n", encoding="utf-8")


if __name__ == "__main__":
    _make()
