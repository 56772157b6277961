from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim import SGD, AdamW

from lrwidget.config import TestConfig
from lrwidget.curve.history import RunHistory
from lrwidget.curve.lr_curve import Step
from lrwidget.curve.runs import NewRun, RepeatKey, Runs, new_run
from tests.curves import PLAN, repeat_key_of
from tests.widget_parts import BATCHES, parts

_MODEL, _OPTIMIZER = parts()
_ARGUMENTS: dict[str, Any] = {
    "model": _MODEL,
    "optimizer": _OPTIMIZER,
    "dataloader": BATCHES,
    "loss_fn": nn.MSELoss(),
    **TestConfig().settings(),
}


def _begin(runs: Runs, *new: NewRun) -> None:
    runs.keep(runs.with_added(*new))


def _add(runs: Runs, label: str) -> RunHistory:
    history = RunHistory(PLAN)
    _begin(runs, NewRun(label, repeat_key_of(label), history))
    history.append(Step(0, 1e-3, 2.0))
    return history


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
    history = _add(runs, "a")
    run = runs.latest
    assert run is not None
    assert run.history is history
    assert run.key == repeat_key_of("a")
    history.append(Step(1, 1e-2, 1.5))
    assert runs.curves()["a"].losses.tolist() == [2.0, 1.5]


def test_a_run_without_a_step_is_forgotten_with_the_next() -> None:
    runs = _runs("a")
    _begin(runs, NewRun("b", repeat_key_of("b"), RunHistory(PLAN)))
    assert _names(runs) == ["a", "b"]
    _add(runs, "b")
    assert _names(runs) == ["a", "b"]
    assert [run.number for run in runs.all] == [0, 1]


def test_runs_that_begin_together() -> None:
    runs = _runs("a")
    begun = [
        NewRun(label, repeat_key_of(label), RunHistory(PLAN)) for label in ("b", "a")
    ]
    _begin(runs, *begun)
    assert _names(runs) == ["a", "b", "a (2)"]
    assert [run.number for run in runs.all] == [0, 1, 2]
    begun[0].history.append(Step(0, 1e-3, 2.0))
    runs.forget_empty()
    assert _names(runs) == ["a", "b"]


def test_of_runs_without_a_step_one_stays() -> None:
    runs = Runs()
    _begin(
        runs, *(NewRun(label, repeat_key_of(label), RunHistory(PLAN)) for label in "ab")
    )
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
    _begin(runs, NewRun("b", repeat_key_of("b"), RunHistory(PLAN)))
    runs.forget_empty()
    assert _names(runs) == ["a"]
    alone = Runs()
    _begin(alone, NewRun("b", repeat_key_of("b"), RunHistory(PLAN)))
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


def _new_run(changes: dict[str, Any], label: str | None = None) -> NewRun:
    rates = {k: changes[k] for k in ("start_lr", "end_lr", "num_it") if k in changes}
    history = RunHistory(TestConfig(**rates).plan)
    return new_run(_ARGUMENTS, changes, label, history)


def _label(changes: dict[str, Any]) -> str:
    return _new_run(changes).label


def _key(changes: dict[str, Any], label: str | None) -> RepeatKey:
    return _new_run(changes, label).key


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "run"),
        ({"end_lr": 10.0, "num_it": 100, "stop_div": True}, "run"),
        ({"end_lr": 10, "num_it": np.int64(100)}, "run"),
        ({"num_it": np.int64(50), "end_lr": np.float32(0.1)}, "num_it=50, end_lr=0.1"),
        ({"end_lr": 1.0}, "end_lr=1"),
        ({"end_lr": 0.00125, "num_it": 50}, "end_lr=0.00125, num_it=50"),
        (
            {"step_mode": "linear", "stop_div": False},
            "step_mode=linear, stop_div=False",
        ),
        ({"clip_grad_norm": None}, "run"),
        ({"clip_grad_norm": 1.0}, "clip_grad_norm=1"),
        ({"device": "cpu"}, "device=cpu"),
        ({"dataloader": list(BATCHES)}, "dataloader=list"),
        ({"dataloader": BATCHES}, "run"),
        ({"loss_fn": nn.functional.cross_entropy}, "loss_fn=cross_entropy"),
        # arrays, whose comparison is no bool
        ({"val_loader": np.ones(3)}, "val_loader=ndarray"),
    ],
)
def test_a_run_is_named_for_what_it_has_otherwise(
    changes: dict[str, Any], name: str
) -> None:
    assert _label(changes) == name


def test_a_part_is_named_for_its_type() -> None:
    model = _ARGUMENTS["model"]
    assert _label({"optimizer": AdamW(model.parameters())}) == "optimizer=AdamW"
    assert _label({"optimizer": SGD(model.parameters())}) == "optimizer=SGD"
    assert _label({"optimizer": _ARGUMENTS["optimizer"]}) == "run"


def _alike(*runs: dict[str, Any], label: str | None = None) -> bool:
    """Whether runs with some changes repeat each other."""
    return len({_key(changes, label) for changes in runs}) == 1


def test_runs_that_differ_in_the_seed_repeat_each_other() -> None:
    seeds: list[dict[str, Any]] = [{}, {"seed": 2}, {"seed": None}]
    assert _alike(*seeds)
    assert _alike(*({**seed, "clip_grad_norm": 1.0} for seed in seeds))
    assert _alike(*seeds, label="mine")
    assert _key({"seed": 2}, None).label == "run"
    assert _key({"seed": 2, "end_lr": 1}, None).label == "end_lr=1"
    assert _key({"seed": 2, "end_lr": 1}, "mine").label == "mine"


@pytest.mark.parametrize("label", [None, "mine"])
@pytest.mark.parametrize(
    "other",
    [{"end_lr": 1.0}, {"start_lr": 1e-6}, {"num_it": 20}, {"step_mode": "linear"}],
)
def test_runs_with_other_rates_do_not(other: dict[str, Any], label: str | None) -> None:
    assert _alike(other, dict(other), label=label)
    assert not _alike({}, other, label=label)


def test_whether_other_parts_are_alike_only_a_label_tells() -> None:
    one, two = ({"optimizer": SGD(nn.Linear(8, 1).parameters())} for _ in range(2))
    assert not _alike(one, two)
    assert not _alike(one, one)
    assert _alike(one, two, label="mine")
    assert _alike({"optimizer": _ARGUMENTS["optimizer"]}, {})
    assert not _alike({"accumulate": 2}, {})
