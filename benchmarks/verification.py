"""
Measure the regret of suggestions after a check by short trainings.

Each task of `tasks` has sweeps of 100 steps with its own seeds. From the same start,
short trainings at the rates of `lrwidget.verify` record their training losses, and the
validation losses after several numbers of steps, the horizons. From these, the function
of `lrwidget.verify` computes a suggestion, and `truth` its regret. The command prints
the tables of ``benchmarks/README.md``, and fails if a bound does not hold:

    python -m benchmarks.verification 2>/dev/null
"""

from __future__ import annotations

import argparse
import math
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from benchmarks import truth
from benchmarks.scores import BOTH, EVERY, GROUPS, NUM_IT, machine, names, sweeps, table
from lrwidget import TrainingCurve
from lrwidget.curve.verification import Tuning, verification
from lrwidget.curve.verification_history import lane_rates, lane_steps
from lrwidget.engine.stopping import SteadyStopRule

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.scores import Sweep
    from benchmarks.training import Task
    from lrwidget import LRCurve
    from lrwidget.curve.arrays import FloatArray

_FIRST_SEED, _SEEDS = 2000, 3
_DEFAULT = Tuning()
# The number of steps of a lane is this share of the steps of the training.
_HORIZONS = {
    "2 % of the steps": Tuning(part=50, fewest=1, most=2000),
    "5 %": Tuning(part=20, fewest=1, most=2000),
    "10 %": Tuning(part=10, fewest=1, most=2000),
    "20 %": Tuning(part=5, fewest=1, most=2000),
    "50 %": Tuning(part=2, fewest=1, most=2000),
}
_FEWER = Tuning(lanes=3, apart=1.0)
# Bounds: mean regret, cost in sweeps, and the number of tasks with a bad regret.
_MEAN, _COST, _BAD, _MOST_BAD = 0.05, 5.3, 0.2, 3


class Lane(NamedTuple):
    """
    The record of one short training.

    Attributes
    ----------
    lr:
        Learning rate.
    losses:
        Training losses until the longest horizon, or until the training diverged.
    diverged:
        Whether the training diverged.
    val_losses:
        Validation loss after each horizon that was reached.
    """

    lr: float
    losses: FloatArray
    diverged: bool
    val_losses: dict[int, float]

    def curve(self, steps: int, *, held_out: bool) -> TrainingCurve:
        """Return the curve of the first steps, as `lrwidget.verify` records it."""
        losses = self.losses[:steps]
        if len(losses) < steps or (self.diverged and len(self.losses) == steps):
            return TrainingCurve(self.lr, losses, "diverged", steps)
        ends = ([self.val_losses[steps]], [1.0]) if held_out else ((), ())
        return TrainingCurve(self.lr, losses, "completed", steps, *map(np.array, ends))


class Check(NamedTuple):
    """The sweep of a task, and the lanes from the same start."""

    task: str
    total_steps: int
    curve: LRCurve
    start_loss: float
    lanes: list[Lane]

    def suggest(self, tuning: Tuning, *, held_out: bool) -> tuple[float | None, float]:
        """Return the suggestion with these constants, and its cost in steps."""
        steps = lane_steps(self.total_steps, tuning)
        rates = lane_rates(self.curve, tuning)
        wanted = [x for x in self.lanes if any(math.isclose(x.lr, r) for r in rates)]
        lanes = [lane.curve(steps, held_out=held_out) for lane in wanted]
        found = verification(
            self.curve,
            lanes,
            self.start_loss if held_out else None,
            self.total_steps,
            tuning,
        )
        return found.lr, len(self.curve) + sum(map(len, lanes))

    def winner(self, tuning: Tuning) -> tuple[float | None, float]:
        """Return the rate of the lane with the lowest validation loss, and its cost."""
        steps = lane_steps(self.total_steps, tuning)
        lanes = [lane.curve(steps, held_out=True) for lane in self.lanes]
        done = [lane for lane in lanes if lane.stop_reason == "completed"]
        cost = len(self.curve) + sum(map(len, lanes))
        if not done:
            return self.curve.suggest(), cost
        return min(done, key=lambda lane: lane.val_loss).lr, cost


def _checked(number: int, sweep: Sweep) -> Check:
    """Train the lanes of a sweep."""
    torch.set_num_threads(1)
    task = next(task for task in EVERY if task.name == sweep.task)
    seed, curve = _FIRST_SEED + number % _SEEDS, sweep.stopped()
    tunings = [_DEFAULT, *_HORIZONS.values()]
    horizons = {lane_steps(task.steps, tuning) for tuning in tunings}
    start_loss = task.start(seed).val_loss()
    lanes = [_trained(task, seed, rate, horizons) for rate in lane_rates(curve)]
    return Check(task.name, task.steps, curve, start_loss, lanes)


def _trained(task: Task, seed: int, rate: float, horizons: set[int]) -> Lane:
    """Train at a rate until the longest horizon, and validate at each."""
    training, rule = task.start(seed), SteadyStopRule()
    for group in training.optimizer.param_groups:
        group["lr"] = rate
    losses: list[float] = []
    val_losses: dict[int, float] = {}
    training.model.train()
    for inputs, targets in training.batches():
        training.optimizer.zero_grad()
        loss = training.loss_fn(training.model(inputs), targets)
        losses.append(loss.item())
        if rule.update(losses[-1]) is not None:
            return Lane(rate, np.array(losses), diverged=True, val_losses=val_losses)
        loss.backward()
        training.optimizer.step()
        if len(losses) in horizons:
            val_losses[len(losses)] = training.val_loss()
            training.model.train()
            if len(losses) == max(horizons):
                break
    return Lane(rate, np.array(losses), diverged=False, val_losses=val_losses)


class _Row(NamedTuple):
    """The regrets and the costs in sweeps of one kind of suggestion, by task."""

    regrets: dict[str, list[float]]
    costs: dict[str, list[float]]

    @classmethod
    def of(
        cls,
        checks: Sequence[Check],
        truths: dict[str, truth.Truth],
        way: Callable[[Check], tuple[float | None, float]],
    ) -> _Row:
        row = cls({}, {})
        for check in checks:
            lr, steps = way(check)
            name = check.task
            row.regrets.setdefault(name, []).append(truths[name].regret(lr))
            row.costs.setdefault(name, []).append(steps / NUM_IT)
        return row

    def cells(self, group: str) -> tuple[str, float, int, float]:
        """Return a cell of the table, the mean regret, the bad tasks, and the cost."""
        every = np.concatenate([self.regrets[name] for name in names(group)])
        means = np.array([np.mean(self.regrets[name]) for name in names(group)])
        costs = np.concatenate([self.costs[name] for name in names(group)])
        figures = every.mean(), np.median(every), np.quantile(every, 0.9), means.max()
        bad = int((means > _BAD).sum())
        words = " / ".join(f"{x:.3f}" for x in figures) + f" / {bad}"
        return words, float(every.mean()), bad, float(costs.mean())


def _cross_validated(
    checks: Sequence[Check], truths: dict[str, truth.Truth]
) -> list[tuple[object, ...]]:
    """Return the regrets on each half, with bounds that are fitted to the other one."""
    grid = [
        Tuning(below=below, above=above)
        for below in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
        for above in (0.0, 0.1, 0.2, 0.3, 0.4)
    ]
    rows = {
        tuning: _Row.of(checks, truths, lambda x: x.suggest(tuning, held_out=True))  # noqa: B023 (called at once)
        for tuning in grid
    }
    found: list[tuple[object, ...]] = []
    halves = ("first half", "second half")
    for fitted, scored in (halves, halves[::-1]):
        best = min(rows, key=lambda tuning: rows[tuning].cells(fitted)[1])
        words = rows[best].cells(scored)[0]
        found.append((fitted, scored, f"{best.below:g}, {best.above:g}", words))
    return found


def _report() -> int:
    truths = truth.load()
    with ProcessPoolExecutor() as pool:
        swept = sweeps(pool, _FIRST_SEED, _SEEDS)
        checks = list(pool.map(_checked, range(len(swept)), swept))
    ways: dict[str, Callable[[Check], tuple[float | None, float]]] = {
        "the sweep alone": lambda x: (x.curve.suggest(), len(x.curve)),
        "the best lane": lambda x: x.winner(_DEFAULT),
        "**`verify`**, validation loss": lambda x: x.suggest(_DEFAULT, held_out=True),
        "`verify`, training loss": lambda x: x.suggest(_DEFAULT, held_out=False),
        "three lanes, a decade apart": lambda x: x.suggest(_FEWER, held_out=True),
    }
    for words, tuning in _HORIZONS.items():
        ways[f"lanes of {words}"] = lambda x, t=tuning: x.suggest(t, held_out=True)  # type: ignore[misc]  # of a lambda
    rows = {words: _Row.of(checks, truths, way) for words, way in ways.items()}
    print(f"{machine()}\n\n### Regret after a check by training\n")
    head = ("suggestion", *GROUPS, "cost in sweeps")
    table(
        head,
        [
            (words, *(row.cells(group)[0] for group in GROUPS), row.cells(BOTH)[3])
            for words, row in rows.items()
        ],
    )
    print("### The bounds that fit one half, on the other\n")
    head = ("fitted to", "scored on", "below, above", "regret")
    table(head, _cross_validated(checks, truths))
    _, mean, bad, cost = rows["**`verify`**, validation loss"].cells(BOTH)
    lost = []
    if mean > _MEAN:
        lost.append(f"mean regret {mean:.3f}, over {_MEAN}")
    if bad > _MOST_BAD:
        lost.append(f"{bad} tasks over {_BAD}, more than {_MOST_BAD}")
    if cost > _COST:
        lost.append(f"cost of {cost:.2f} sweeps, over {_COST}")
    for words in lost:
        print(f"FALLS SHORT: {words}")
    return 1 if lost else 0


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    sys.exit(_report())
