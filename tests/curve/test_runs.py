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
from lrwidget.curve.runs import (
    RepeatKey,
    Run,
    in_rows,
    named,
    new_run,
    renamed,
    with_added,
    with_look,
    without,
    without_empty,
)
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


def _new(label: str) -> Run:
    return Run(label, 0, repeat_key_of(label), RunHistory(PLAN))


def _added(runs: list[Run], label: str) -> list[Run]:
    """Return runs with another one that has a step."""
    runs = with_added(runs, [_new(label)])
    runs[-1].history.append(Step(0, 1e-3, 2.0))
    return runs


def _runs(*labels: str) -> list[Run]:
    runs: list[Run] = []
    for label in labels:
        runs = _added(runs, label)
    return runs


def _names(runs: list[Run]) -> list[str]:
    return [run.name for run in runs]


def test_before_the_first() -> None:
    assert with_added([], []) == without_empty([]) == []


def test_runs_are_in_their_order() -> None:
    runs = _runs("a", "b", "c")
    assert _names(runs) == ["a", "b", "c"]
    assert [run.number for run in runs] == [0, 1, 2]


def test_a_run_is_what_it_was_added_with() -> None:
    new = _new("a")
    (run,) = with_added([], [new])
    assert run.history is new.history
    assert run.key == repeat_key_of("a")


def test_without_a_new_run_all_stay() -> None:
    runs = with_added(_runs("a"), [_new("b")])
    assert with_added(runs, []) == runs


def test_a_run_without_a_step_is_forgotten_with_the_next() -> None:
    runs = with_added(_runs("a"), [_new("b")])
    assert _names(runs) == ["a", "b"]
    runs = _added(runs, "b")
    assert _names(runs) == ["a", "b"]
    assert [run.number for run in runs] == [0, 1]


def test_of_many_runs_the_last_thirty_stay() -> None:
    runs = _runs(*map(str, range(40)))
    assert _names(runs) == [str(number) for number in range(9, 40)]
    assert sorted(run.number for run in runs) == list(range(31))


def test_pinned_runs_are_first_and_never_forgotten() -> None:
    runs = with_look(_runs("a", "b", "c"), "b", pinned=True)
    assert _names(runs) == ["a", "b", "c"]  # in their order as before
    assert _names(in_rows(runs)) == ["b", "c", "a"]
    for number in range(40):
        runs = _added(runs, str(number))
    assert _names(runs) == ["b", *(str(number) for number in range(9, 40))]
    runs = with_look(runs, "b", pinned=False)
    assert "b" not in _names(_added(runs, "last"))


def test_a_name_can_be_changed_to_a_free_one() -> None:
    before = with_look(_runs("a", "b"), "a", hidden=True)
    runs = renamed(before, "a", " c ")
    assert _names(runs) == ["c", "b"]
    assert named(runs, "c") == named(before, "a")._replace(name="c")
    assert renamed(runs, "c", "c") == runs
    for name, new in (("c", "b"), ("c", " "), ("a", "d")):
        with pytest.raises(ValueError, match=r"is no run|another run|some text"):
            renamed(runs, name, new)


def test_runs_that_begin_together() -> None:
    runs = with_added(_runs("a"), [_new("b"), _new("a")])
    assert _names(runs) == ["a", "b", "a (2)"]
    assert [run.number for run in runs] == [0, 1, 2]
    runs[1].history.append(Step(0, 1e-3, 2.0))
    assert _names(without_empty(runs)) == ["a", "b"]


def test_of_runs_without_a_step_one_stays() -> None:
    runs = with_added([], [_new(label) for label in "ab"])
    assert _names(without_empty(runs)) == ["b"]


def test_no_two_have_one_name() -> None:
    assert _names(_runs("a", "a", "b", "a")) == ["a", "a (2)", "b", "a (3)"]
    # also where a number is taken already, or given by the user
    assert _names(_runs("a", "a (2)", "a")) == ["a", "a (2)", "a (3)"]
    assert _names(_runs("a (2)", "a", "a")) == ["a (2)", "a", "a (3)"]


@given(st.lists(st.sampled_from(["a", "a (2)", "a (3)", "a (2) (2)"]), max_size=12))
def test_names_are_unique(labels: list[str]) -> None:
    runs = _runs(*labels)
    assert len(set(_names(runs))) == len(labels)
    for label, run in zip(labels, runs, strict=True):
        assert run.name.startswith(label)


def test_a_removed_run_is_gone_and_its_name_is_free() -> None:
    runs = without(_runs("a", "a", "b"), "a")
    assert _names(runs) == ["a (2)", "b"]
    runs = _added(runs, "a")
    assert _names(runs) == ["a (2)", "b", "a"]
    # so is the number by which its line had its look
    assert [run.number for run in runs] == [1, 2, 0]


def test_an_empty_latest_run_can_be_forgotten() -> None:
    runs = _runs("a")
    assert _names(without_empty(runs)) == ["a"]
    assert _names(without_empty(with_added(runs, [_new("b")]))) == ["a"]
    assert _names(without_empty(with_added([], [_new("b")]))) == ["b"]


def test_what_was_got_before_a_change_stays() -> None:
    before = _runs("a", "b")
    _added(without_empty(without(before, "a")), "c")
    assert _names(before) == ["a", "b"]


def test_no_run_can_be_removed_before_the_second_one() -> None:
    with pytest.raises(ValueError, match="name='a' is no former run; there is none"):
        without(_runs("a"), "a")


@pytest.mark.parametrize("name", ["b", "c"])
def test_only_a_former_run_can_be_removed(name: str) -> None:
    runs = _runs("a", "b")
    message = rf"name='{name}' is no former run; pass one of \['a'\]"
    with pytest.raises(ValueError, match=message):
        without(runs, name)
    assert _names(runs) == ["a", "b"]


def _new_run(changes: dict[str, Any], label: str | None = None) -> Run:
    rates = {k: changes[k] for k in ("start_lr", "end_lr", "num_it") if k in changes}
    history = RunHistory(TestConfig(**rates).plan)
    return new_run(_ARGUMENTS, changes, label, history)


def _label(changes: dict[str, Any]) -> str:
    return _new_run(changes).name


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
