"""
Compare sweeps whose rates follow the losses with sweeps of evenly spaced rates.

Each task of `tasks` is swept with 100 and with 40 evenly spaced logarithms of the rate,
and with 40 whose distances depend on the losses. The default rule suggests a rate for
each sweep, and `truth` gives its regret. For comparison, 40 steps are placed around the
suggestion of the 100. The command prints the tables of ``benchmarks/README.md``:

    python -m benchmarks.adaptive
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import torch

from benchmarks import truth
from benchmarks.scores import EVERY, GROUPS, Regrets, Score, machine, names, table
from lrwidget import LRCurve
from lrwidget.engine.optimizers import memory

if TYPE_CHECKING:
    from benchmarks.training import Task
    from lrwidget.curve.arrays import FloatArray

_SEEDS = range(1000, 1004)
_FIRST, _STEPS = -7.0, 40  # logarithm of the first rate; steps of a short sweep
_NOISY = 6  # the fewest losses from which noise is measured
_NEAR, _FAR_OFF = 1.5, 0.5  # decades from the suggestion of 100 steps
_ALL, _FEW, _LIMIT = "even, 100 steps", "even, 40 steps", "placed by the 100 steps"

# The logarithm of the next rate, or None, from those of all steps so far, the losses of
# all but the last step, which may still be on its way, and the logarithm of the end.
Floats: TypeAlias = list[float]
Schedule: TypeAlias = Callable[[Floats, Floats, float], float | None]


def even(steps: int, places: Floats, _: Floats, end: float) -> float | None:
    """Return the next of evenly spaced logarithms."""
    i = len(places)
    return _FIRST + (end - _FIRST) * i / (steps - 1) if i < steps else None


class Adaptive(NamedTuple):
    """
    A sweep of 40 steps with long strides until the losses have fallen, then even ones.

    Attributes
    ----------
    long:
        Stride in decades until then.
    mean, deviations:
        The losses have fallen if the mean of the last ones is lower than the mean of
        the ones before by so many standard deviations.
    risen:
        Surplus of risen losses that ends the sweep.
    """

    long: float
    mean: int
    deviations: float
    risen: float = math.inf

    def next(self, places: Floats, losses: Floats, end: float) -> float | None:
        """Return the logarithm of the next rate."""
        if not places:
            return _FIRST
        left, place = _STEPS - len(places), places[-1]
        fallen = self._fallen(losses)
        has_risen = fallen is not None and self._has_risen(losses, fallen - self.mean)
        if not left or place >= end or has_risen:
            return None
        stride = (end - place) / left
        if fallen is None:
            stride = max(stride, self.long)
        return min(place + stride, end)

    def _fallen(self, losses: Floats) -> int | None:
        """Return how many losses there were when they had fallen."""
        for count in range(_NOISY + self.mean, len(losses) + 1):
            before, last = np.split(losses[:count], [count - self.mean])
            error = _noise(before) * math.sqrt(1 / self.mean + 1 / len(before))
            if float(before.mean() - last.mean()) > self.deviations * error:
                return count
        return None

    def _has_risen(self, losses: Floats, start: int) -> bool:
        """Whether many of the losses after the lowest are above those of the start."""
        before, after = np.split(losses, [start])
        level, noise = before.mean(), _noise(before)
        after = after[np.argmin(after) :]
        far = max(np.quantile(before, 0.9) + 3 * noise, level + 7 * noise)
        risen = (after > level + 2.5 * noise) + 2.0 * (after > far) - 0.25
        return bool(np.cumsum(risen[::-1]).max() > self.risen)


def _noise(losses: FloatArray) -> float:
    """Return the standard deviation of losses without a trend, but for outliers."""
    apart = np.abs(np.diff(losses) - np.median(np.diff(losses)))
    rounding = float(np.abs(losses).max()) * 2.0**-22
    return max(float(np.quantile(apart, 0.8)) / 1.2816 / math.sqrt(2), rounding)


def placed(center: float, places: Floats, _: Floats, end: float) -> float | None:
    """Return the next of 40 logarithms that are dense around a known place."""
    low, high = max(center - _NEAR, _FIRST), min(center + _NEAR, end)
    outside = 32 / (end - _FIRST)  # steps a decade; the other steps are inside
    steps = [0, outside * (low - _FIRST), _STEPS - 1 - outside * (end - high)]
    every = np.interp(range(_STEPS), [*steps, _STEPS - 1], [_FIRST, low, high, end])
    return float(every[len(places)]) if len(places) < _STEPS else None


_SCHEDULES: dict[str, Schedule] = {
    _ALL: partial(even, 100),
    _FEW: partial(even, _STEPS),
    # Of 33 designs, one of the best two in the first half, and the best that may end.
    "strides of 0.22, then even": Adaptive(0.22, 1, 2.0).next,
    "strides of 0.25, then even, ends": Adaptive(0.25, 3, 3.0, 8.0).next,
}


def sweep(task: Task, seed: int, schedule: Schedule) -> LRCurve:
    """Return the curve of a sweep, which ends only as its schedule says, or at NaN."""
    training, end = task.start(seed), math.log10(task.end_lr)
    optimizer = training.optimizer
    places, losses = Floats(), Floats()
    for inputs, targets in training.batches():
        place = schedule(places, losses[:-1], end)
        if place is None or not np.isfinite(losses).all():
            break
        for group in optimizer.param_groups:
            group["lr"] = 10**place
        optimizer.zero_grad()
        loss = training.loss_fn(training.model(inputs), targets)
        loss.backward()
        optimizer.step()
        places.append(place)
        losses.append(loss.item())
    lrs = 10 ** np.array(places)
    return LRCurve(lrs, np.array(losses), optimizer_memory=memory(optimizer))


def _swept(index: int, seed: int) -> dict[str, LRCurve]:
    """Return the curves of all schedules."""
    torch.set_num_threads(1)
    task = EVERY[index]
    curves = {name: sweep(task, seed, each) for name, each in _SCHEDULES.items()}
    center = math.log10(curves[_ALL].suggest() or 1e-3)
    return curves | {_LIMIT: sweep(task, seed, partial(placed, center))}


def _profile(curve: LRCurve, full: LRCurve) -> FloatArray:
    """Return where the steps of a curve are, and whether it differs from 100 steps."""
    apart = np.log10(curve.lrs / (full.suggest() or 1e-3))
    outside = [(apart < -_NEAR).sum(), (apart > _NEAR).sum()]
    edges = _differ(curve.unstable_from, full.unstable_from)
    rates = _differ(curve.suggest(), full.suggest())
    return np.array([*outside, len(apart) - sum(outside), edges, rates], float)


def _differ(lr: float | None, other: float | None) -> bool:
    """Whether two rates are more than half a decade apart, or only one is known."""
    apart = abs(math.log10((lr or math.nan) / (other or math.nan)))
    return lr != other and not apart <= _FAR_OFF  # NaN is far off


def _report() -> None:
    truths = truth.load()
    jobs = list(product(range(len(EVERY)), _SEEDS))
    with ProcessPoolExecutor() as pool:
        found = list(pool.map(_swept, *zip(*jobs, strict=True), chunksize=len(_SEEDS)))
    print(machine() + "\n")
    regrets: dict[str, Regrets] = {name: defaultdict(list) for name in found[0]}
    for (index, _), curves in zip(jobs, found, strict=True):
        task = EVERY[index].name
        for name, curve in curves.items():
            regrets[name][task].append(truths[task].regret(curve.suggest()))
    for group, tasks in GROUPS.items():
        print(f"### Regret, {group}: {len(tasks)} tasks, {len(_SEEDS)} sweeps each\n")
        head = ("sweep", "mean", "median", "90th percentile", "worst", "worst task")
        table(head, ((x, *Score.of(regrets[x], names(group))) for x in regrets))
    print("### Steps around the suggestion of 100 steps, and differences from it\n")
    columns = ("sweep", "before", "after", "near", "edge differs", "suggestion differs")
    rows = {x: [_profile(curves[x], curves[_ALL]) for curves in found] for x in regrets}
    table(columns, ((x, *np.mean(row, 0).tolist()) for x, row in rows.items()))


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    _report()
