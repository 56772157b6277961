from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrwidget.curve.lr_curve import Recording, Step
from lrwidget.curve.runs import NewRun, Runs, spread
from tests.curves import repeat_key_of


def _add(runs: Runs, label: str) -> Recording:
    recording = Recording(10)
    runs.add(NewRun(label, repeat_key_of(label), recording))
    recording.append(Step(0, 1e-3, 2.0))
    return recording


def _runs(*labels: str) -> Runs:
    runs = Runs()
    for label in labels:
        _add(runs, label)
    return runs


def _names(runs: Runs) -> list[str]:
    return list(runs.curves())


def test_before_the_first() -> None:
    runs = Runs()
    assert runs.latest is None
    assert (runs.former, runs.all, runs.curves()) == ([], [], {})


def test_the_latest_and_the_former() -> None:
    runs = _runs("a", "b", "c")
    assert runs.latest is not None
    assert runs.latest.name == "c"
    assert [run.name for run in runs.former] == ["a", "b"]
    assert [run.name for run in runs.all] == _names(runs) == ["a", "b", "c"]
    assert [run.number for run in runs.all] == [0, 1, 2]


def test_a_run_is_what_it_was_added_with() -> None:
    runs = Runs()
    recording = _add(runs, "a")
    run = runs.latest
    assert run is not None
    assert run.recording is recording
    assert run.setting == repeat_key_of("a")
    recording.append(Step(1, 1e-2, 1.5))
    assert runs.curves()["a"].losses.tolist() == [2.0, 1.5]


def test_a_run_without_a_step_is_forgotten_with_the_next() -> None:
    runs = _runs("a")
    runs.add(NewRun("b", repeat_key_of("b"), Recording(10)))
    assert _names(runs) == ["a", "b"]
    _add(runs, "b")
    assert _names(runs) == ["a", "b"]
    assert [run.number for run in runs.all] == [0, 1]


def test_runs_that_begin_together() -> None:
    runs = _runs("a")
    begun = [NewRun(label, repeat_key_of(label), Recording(10)) for label in ("b", "a")]
    runs.add(*begun)
    assert _names(runs) == ["a", "b", "a (2)"]
    assert [run.number for run in runs.all] == [0, 1, 2]
    begun[0].recording.append(Step(0, 1e-3, 2.0))
    runs.forget_empty()
    assert _names(runs) == ["a", "b"]


def test_of_runs_without_a_step_one_stays() -> None:
    runs = Runs()
    runs.add(*(NewRun(label, repeat_key_of(label), Recording(10)) for label in "ab"))
    runs.forget_empty()
    assert _names(runs) == ["b"]


def test_no_two_have_one_name() -> None:
    assert _names(_runs("a", "a", "b", "a")) == ["a", "a (2)", "b", "a (3)"]
    # also where a number is taken already, or given by the user
    assert _names(_runs("a", "a (2)", "a")) == ["a", "a (2)", "a (3)"]
    assert _names(_runs("a (2)", "a", "a")) == ["a (2)", "a", "a (3)"]


@given(st.lists(st.sampled_from(["a", "a (2)", "a (3)", "a (2) (2)"]), max_size=12))
def test_names_are_unique(labels: list[str]) -> None:
    runs = _runs(*labels)
    assert len(runs.curves()) == len(labels)
    for label, run in zip(labels, runs.all, strict=True):
        assert run.name.startswith(label)


def test_a_removed_run_is_gone_and_its_name_is_free() -> None:
    runs = _runs("a", "a", "b")
    runs.remove("a")
    assert _names(runs) == ["a (2)", "b"]
    _add(runs, "a")
    assert _names(runs) == ["a (2)", "b", "a"]
    # so is the number by which its line had its look
    assert [run.number for run in runs.all] == [1, 2, 0]


def test_an_empty_latest_run_can_be_forgotten() -> None:
    runs = _runs("a")
    runs.forget_empty()
    assert _names(runs) == ["a"]
    runs.add(NewRun("b", repeat_key_of("b"), Recording(10)))
    runs.forget_empty()
    assert _names(runs) == ["a"]
    alone = Runs()
    alone.add(NewRun("b", repeat_key_of("b"), Recording(10)))
    alone.forget_empty()
    assert _names(alone) == ["b"]


def test_what_was_got_before_a_change_stays() -> None:
    runs = _runs("a", "b")
    before = runs.all
    runs.remove("a")
    _add(runs, "c")
    assert [run.name for run in before] == ["a", "b"]


@pytest.mark.parametrize("name", ["b", "c"])
def test_only_a_former_run_can_be_removed(name: str) -> None:
    runs = _runs("a", "b")
    message = rf"name='{name}' is no former run; pass one of \['a'\]"
    with pytest.raises(ValueError, match=message):
        runs.remove(name)
    assert _names(runs) == ["a", "b"]


_GRID = np.geomspace(1e-3, 1, 8)
_LINES = st.lists(st.dictionaries(st.integers(0, 7), st.floats(-1e6, 1e6)), max_size=6)


@given(_LINES)
def test_spread_against_its_definition(lines: list[dict[int, float]]) -> None:
    losses_at = {
        rate: [line[index] for line in lines if index in line]
        for index, rate in enumerate(_GRID)
    }
    shared = {rate: losses for rate, losses in losses_at.items() if len(losses) >= 3}
    found = spread(
        [
            (_GRID[sorted(line)], np.array([line[i] for i in sorted(line)]))
            for line in lines
        ]
    )
    if not shared:
        assert found is None
        return
    assert found is not None
    assert found.lrs.tolist() == list(shared)
    assert found.median.tolist() == [np.median(losses) for losses in shared.values()]
    assert found.low.tolist() == [min(losses) for losses in shared.values()]
    assert found.high.tolist() == [max(losses) for losses in shared.values()]


def test_two_lines_have_no_spread() -> None:
    line = _GRID, np.ones(8)
    assert spread([line, line]) is None
    assert spread([line, line, line]) is not None
