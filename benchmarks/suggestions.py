"""
Compare the regrets of the learning rates that lrwidget and other finders suggest.

The regret of a rate is the share of the best achievable improvement that the rate
forgoes. Each task of `tasks` has sweeps with its own seeds, each rule suggests a rate
for each sweep, and `truth` gives the regret of that rate. The command prints the tables
of ``benchmarks/README.md``, and fails if a peer is better or is restated wrongly:

    python -m benchmarks.suggestions 2>/dev/null    # hides the logs of the peers
"""

from __future__ import annotations

import argparse
import math
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import truth
from benchmarks.peers import PEERS
from benchmarks.scores import (
    BOTH,
    EVERY,
    GROUPS,
    Regrets,
    Score,
    Sweep,
    machine,
    names,
    sweeps,
    table,
)
from lrwidget.curve.default_rule import Tuning, descent
from lrwidget.curve.rules import DEFAULT_RULE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lrwidget.curve.suggestion import Suggestion

# The first seeds of the sweeps for the scores and for the fit; `truth` has others.
_SCORED, _FITTED, _SEEDS = 1000, 100, 5
_OWN = f"lrwidget {DEFAULT_RULE}"
_GRID = [
    Tuning(*constants)
    for constants in product(
        (0.05,),
        (0.85, 0.9, 0.95),
        (50.0, 70.0, 100.0),
        (8.0, 12.0, 18.0),
        (0.9, 1.1, 1.3),
        (0.5, 0.7, 0.9),
        (0.25, 0.34, 0.45),
    )
]
_BOUND = 0.075  # of the mean regret of both halves
_GOOD, _BAD = 0.1, 0.2  # regrets
_TASKS_WITH_A_GOOD_RATE = 0.9  # least share of the tasks, whose range has one
_AS_GOOD = 1.05  # times the least mean; a smaller difference is chance


def _regrets(
    rule: Callable[[Sweep], float | None],
    sweeps: Iterable[Sweep],
    truths: dict[str, truth.Truth],
) -> Regrets:
    regrets: Regrets = {}
    for sweep in sweeps:
        regret = truths[sweep.task].regret(rule(sweep))
        regrets.setdefault(sweep.task, []).append(regret)
    return regrets


def _compare(regrets: dict[str, Regrets]) -> list[str]:
    """Print the score of each rule; return the cases where the default is not best."""
    lost: list[str] = []
    for half, tasks in GROUPS.items():
        scores = {rule: Score.of(x, names(half)) for rule, x in regrets.items()}
        print(f"### Regret, {half}: {len(tasks)} tasks, {_SEEDS} sweeps each\n")
        head = ("rule", "mean", "median", "90th percentile", "worst", "worst task")
        table(head, ((rule, *score) for rule, score in scores.items()))
        own = scores.pop(_OWN)
        for field in ("mean", "ninetieth", "worst"):
            best = min(scores, key=lambda rule: float(getattr(scores[rule], field)))
            if getattr(own, field) >= getattr(scores[best], field):
                lost.append(f"{half}, {field}: {best}")
        if half == BOTH and own.mean > _BOUND:
            lost.append(f"{half}, mean: over {_BOUND}")
        ratio = own.mean / min(score.mean for score in scores.values())
        print(f"Mean over that of the best peer: {ratio:.2f}.\n")
    return lost


def _cross_validate(
    fitted: list[Sweep], scored: list[Sweep], truths: dict[str, truth.Truth]
) -> list[str]:
    """Print the scores of constants fitted to the other half; return the failures."""
    lost: list[str] = []
    stopped = {id(sweep): sweep.stopped() for sweep in (*fitted, *scored)}

    def by(tuning: Tuning) -> Callable[[Sweep], float | None]:
        def suggest(sweep: Sweep) -> float | None:
            return descent(stopped[id(sweep)], tuning).lr

        return suggest

    found = {tuning: _regrets(by(tuning), fitted, truths) for tuning in _GRID}
    rows = []
    for half, others in (
        ("first half", "second half"),
        ("second half", "first half"),
    ):
        means = {
            tuning: float(np.mean([x[task] for task in names(half)]))
            for tuning, x in found.items()
        }
        best = min(means, key=means.__getitem__)
        if half == "first half" and means[Tuning()] > _AS_GOOD * means[best]:
            lost.append(f"{best} is better than the rule's {Tuning()}")
        score = Score.of(_regrets(by(best), scored, truths), names(others))
        rows.append((half, others, ", ".join(f"{x:g}" for x in best[:7]), *score))
    print("### The constants that fit one half, on the other\n")
    constants = "constants (first, last, clear, visible, setback, lateness, timely)"
    head = ("fitted to", "scored on", constants, "mean", "median", "90th percentile")
    table((*head, "worst", "worst task"), rows)
    return lost


def _show_range(
    suggestions: list[tuple[str, Suggestion]], truths: dict[str, truth.Truth]
) -> list[str]:
    """Print the regrets inside of the range to try; return where it has no good one."""
    lost: list[str] = []
    print("### The range to try\n")
    rows = []
    for half in GROUPS:
        group = set(names(half))
        found: dict[str, list[bool]] = {}
        inside, ends = [], []
        for task, (_, low, high, _) in suggestions:
            if task not in group:
                continue
            if low is None or high is None:
                found.setdefault(task, []).append(False)
                continue
            regrets = [truths[task].regret(x) for x in np.geomspace(low, high, 21)]
            found.setdefault(task, []).append(min(regrets) < _GOOD)
            inside.append(np.mean(np.array(regrets) < _GOOD))
            ends.append((regrets[0], regrets[-1]))
        tasks = float(np.mean([np.mean(held) > 1 / 2 for held in found.values()]))
        sweeps = float(np.mean(np.concatenate([*found.values()])))
        rows.append((half, tasks, sweeps, float(np.mean(inside)), *np.mean(ends, 0)))
        if half == BOTH and tasks < _TASKS_WITH_A_GOOD_RATE:
            lost.append(f"{half}: a good rate in the range of {tasks:.0%} of the tasks")
    head = ("tasks", "share of tasks with a good rate in most of their ranges")
    more = ("of ranges with one", "of the rates in a range", "regret at the lower end")
    table((*head, *more, "at the upper end"), rows)
    return lost


def _show_tasks(regrets: dict[str, Regrets], truths: dict[str, truth.Truth]) -> None:
    """Print the mean regret of each task."""
    print("### Each task\n")
    rows = []
    for half in ("first half", "second half", "other scales"):
        for task in names(half):
            found = truths[task].regrets()
            best = truths[task].rates[int(np.argmin(found))]
            means = [float(np.mean(x[task])) for x in regrets.values()]
            peer = min(range(1, len(means)), key=means.__getitem__)
            by = f"{means[peer]:.3f} ({list(regrets)[peer]})"
            rows.append((task, half, f"{best:.0e}", means[0], means[1], by))
    valley = list(regrets)[1]
    table(("task", "half", "best rate", _OWN, valley, "best peer for it"), rows)
    for rule in (_OWN, valley):
        bad = sum(float(np.mean(x)) > _BAD for x in regrets[rule].values())
        print(f"{rule} forgoes more than {_BAD} in {bad} of {len(EVERY)} tasks.\n")


def _differing(sweeps: list[Sweep]) -> list[str]:
    """Return the cases where a peer's own suggestion differs from its restatement."""
    differing: list[str] = []
    for peer, sweep in product(PEERS, sweeps):
        if peer.called is None:
            continue
        called = peer.called(sweep.lrs, sweep.losses)
        restated = peer.restated(sweep.lrs, sweep.losses)
        if called != restated and not (
            called and restated and math.isclose(called, restated, rel_tol=1e-6)
        ):
            differing.append(f"{peer.name}, {sweep.task}: {called} is not {restated}")
    return differing


def _report() -> int:
    truths = truth.load()
    with ProcessPoolExecutor() as pool:
        scored, fitted = sweeps(pool, _SCORED, _SEEDS), sweeps(pool, _FITTED, _SEEDS)
    print(f"{machine()}\n")
    own = {id(sweep): sweep.stopped().suggestion() for sweep in scored}
    regrets = {_OWN: _regrets(lambda sweep: own[id(sweep)].lr, scored, truths)}
    for peer in PEERS:
        rule = peer.restated
        regrets[peer.name] = _regrets(
            lambda sweep: rule(sweep.lrs, sweep.losses),  # noqa: B023 (called at once)
            scored,
            truths,
        )
    lost = _compare(regrets)
    lost += _show_range([(sweep.task, own[id(sweep)]) for sweep in scored], truths)
    lost += _cross_validate(fitted, scored, truths)
    _show_tasks(regrets, truths)
    checked = scored[::_SEEDS]
    differing = _differing(checked)
    print(f"Peers called themselves on {len(checked)} sweeps: {len(differing)} differ.")
    for line in (*differing, *(f"FALLS SHORT: {place}" for place in lost)):
        print(line)
    return 1 if differing or lost else 0


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    import tests.torchvision_operators  # noqa: F401 (before the peers load it)

    sys.exit(_report())
