from __future__ import annotations

import functools
import json
import math
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks import truth
from benchmarks.tasks import OTHER_SCALES, TASKS
from benchmarks.truth import Truth

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.exhaustive

_NAN = math.nan
_SMALL = Truth(
    rates=[1e-3, 1e-2, 1e-1],
    untrained=[2.0, 2.0],
    # The means are 1.6 and 1; at the last rate, no loss is below the untrained loss.
    final=[[1.5, 1.0, _NAN], [1.7, 1.0, 5.0]],
)


def test_regret_is_the_share_of_the_best_improvement_that_is_forgone() -> None:
    assert _SMALL.regrets() == pytest.approx([0.6, 0, 1])


@pytest.mark.parametrize(
    ("lr", "regret"),
    [
        (1e-3, 0.6),
        (1e-2, 0.0),
        (1e-1, 1.0),
        (10**-2.5, 0.3),
        (10**-1.5, 0.5),
        (1e-9, 0.6),
        (1e9, 1.0),
        (None, 1.0),
    ],
)
def test_regret_of_any_rate(lr: float | None, regret: float) -> None:
    assert _SMALL.regret(lr) == pytest.approx(regret)


def test_every_task_has_its_truth() -> None:
    truths = truth.load()
    tasks = [*TASKS, *OTHER_SCALES]
    assert list(truths) == [task.name for task in tasks]
    for task, (name, its) in zip(tasks, truths.items(), strict=True):
        decades = math.log10(task.end_lr / 1e-7)
        rates = np.geomspace(1e-7, task.end_lr, round(4 * decades) + 1)
        assert its.rates == pytest.approx(rates.tolist())
        assert [len(row) for row in its.final] == [len(rates)] * 2
        regrets = its.regrets()
        assert min(regrets) == 0, name
        assert max(regrets) <= 1, name
        # The task can be learned, but not at the lowest rate.
        assert regrets[0] > 0.5, name
        if task in OTHER_SCALES:
            assert regrets[-1] > 0.5, name


def test_best_rates_of_other_scales_lie_outside_of_the_usual_ones() -> None:
    truths = truth.load()
    found = [truths[task.name] for task in OTHER_SCALES]
    best = [its.rates[int(np.argmin(its.regrets()))] for its in found]
    assert sum(lr > 3 for lr in best) >= 3
    assert sum(lr < 1e-4 for lr in best) >= 3


def test_only_missing_tasks_are_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "truth.json"
    short = {
        name: task._replace(name=name, steps=1, end_lr=end_lr)
        for name, task, end_lr in (("a", TASKS[6], 10.0), ("b", TASKS[7], 100.0))
    }
    monkeypatch.setattr(truth, "_PATH", path)
    monkeypatch.setattr(truth, "_ALL", {"b": short["b"]})
    # The tasks of a test cannot be sent to another process.
    in_this_process = functools.partial(ThreadPoolExecutor, max_workers=1)
    monkeypatch.setattr(truth, "ProcessPoolExecutor", in_this_process)
    truth._make()
    known = json.loads(path.read_text(encoding="utf-8"))["tasks"]["b"]
    assert len(known["final"][0]) == 37
    known["final"][0][3] = 123.0
    written = {"made": ["by hand"], "tasks": {"b": known}}
    path.write_text(json.dumps(written), encoding="utf-8")
    monkeypatch.setattr(truth, "_ALL", short)
    truth._make()
    first = path.read_text(encoding="utf-8")
    content = json.loads(first)
    assert list(content["tasks"]) == ["a", "b"]
    assert content["tasks"]["b"] == known
    assert content["made"][0] == "by hand"
    assert "1 tasks" in content["made"][1]
    assert truth.load()["a"].rates == pytest.approx(np.geomspace(1e-7, 10, 33).tolist())
    truth._make()
    assert path.read_text(encoding="utf-8") == first
