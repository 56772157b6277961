from __future__ import annotations

import math

import pytest

from benchmarks import truth
from benchmarks.tasks import FIRST_HALF, SECOND_HALF, TASKS
from benchmarks.truth import Truth

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
    assert list(truths) == [task.name for task in TASKS]
    assert len(truths) == len(FIRST_HALF) + len(SECOND_HALF)
    for name, its in truths.items():
        assert len(its.rates) == 33
        assert its.rates[0] == pytest.approx(1e-7)
        assert its.rates[4] == pytest.approx(1e-6)
        assert its.rates[-1] == pytest.approx(10)
        assert [len(row) for row in its.final] == [33, 33]
        regrets = its.regrets()
        assert min(regrets) == 0, name
        assert max(regrets) <= 1, name
        # The task can be learned, but not at the lowest rate.
        assert regrets[0] > 0.5, name
