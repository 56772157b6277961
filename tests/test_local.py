from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from torch import nn
from torch.optim import SGD, AdamW

from lrwidget.engine.range_test import RangeTest
from lrwidget.local import Changes, LocalRecipe
from lrwidget.recipe import DEFAULTS
from tests.widget_parts import BATCHES, parts


def _recipe(**settings: Any) -> LocalRecipe:
    model, optimizer = parts()
    arguments = {"model": model, "optimizer": optimizer, "dataloader": BATCHES}
    return LocalRecipe({**arguments, "loss_fn": nn.MSELoss(), **settings})


def test_the_defaults_are_those_of_the_test() -> None:
    parameters = inspect.signature(RangeTest).parameters
    assert {name: parameters[name].default for name in DEFAULTS} == DEFAULTS


def test_every_argument_of_the_test_can_be_changed() -> None:
    parameters = set(inspect.signature(RangeTest).parameters)
    assert set(Changes.__annotations__) == parameters | {"build"}


def test_a_test_has_the_arguments_and_its_own_changes() -> None:
    recipe = _recipe(num_it=20, end_lr=1.0)
    for changes in ({}, {"num_it": 30, "start_lr": 1e-3}, {}):
        test = recipe.test(changes)
        expected = {"start_lr": 1e-7, "end_lr": 1.0, "num_it": 20, **changes}
        assert {name: getattr(test, name) for name in expected} == expected


def test_a_bad_change_is_named() -> None:
    with pytest.raises(ValueError, match="num_it=1 must be at least 2"):
        _recipe().test({"num_it": 1})
    with pytest.raises(TypeError, match="'lr'"):
        _recipe().test({"lr": 0.1})


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
        # arrays, whose comparison is no bool
        ({"val_loader": np.ones(3)}, "val_loader=ndarray"),
    ],
)
def test_a_run_is_named_for_what_it_has_otherwise(
    changes: dict[str, Any], name: str
) -> None:
    assert _recipe().name(changes) == name


def test_a_part_is_named_for_its_type() -> None:
    recipe = _recipe()
    model = recipe.arguments["model"]
    assert recipe.name({"optimizer": AdamW(model.parameters())}) == "optimizer=AdamW"
    assert recipe.name({"optimizer": SGD(model.parameters())}) == "optimizer=SGD"
    assert recipe.name({"optimizer": recipe.arguments["optimizer"]}) == "run"


def _alike(
    recipe: LocalRecipe, *runs: dict[str, Any], label: str | None = None
) -> bool:
    """Whether runs with some changes repeat each other."""
    return len({recipe.setting(changes, label) for changes in runs}) == 1


def test_runs_that_differ_in_the_seed_repeat_each_other() -> None:
    recipe = _recipe(seed=1)
    seeds: list[dict[str, Any]] = [{}, {"seed": 2}, {"seed": None}]
    assert _alike(recipe, *seeds)
    assert _alike(recipe, *({**seed, "clip_grad_norm": 1.0} for seed in seeds))
    assert _alike(recipe, *seeds, label="mine")
    assert recipe.setting({"seed": 2}, None).label == "run"
    assert recipe.setting({"seed": 2, "end_lr": 1}, None).label == "end_lr=1"
    assert recipe.setting({"seed": 2, "end_lr": 1}, "mine").label == "mine"


@pytest.mark.parametrize("label", [None, "mine"])
@pytest.mark.parametrize(
    "other",
    [{"end_lr": 1.0}, {"start_lr": 1e-6}, {"num_it": 20}, {"step_mode": "linear"}],
)
def test_runs_with_other_rates_do_not(other: dict[str, Any], label: str | None) -> None:
    assert _alike(_recipe(), other, dict(other), label=label)
    assert not _alike(_recipe(), {}, other, label=label)


def test_whether_other_parts_are_alike_only_a_label_tells() -> None:
    recipe = _recipe()
    one, two = ({"optimizer": SGD(nn.Linear(8, 1).parameters())} for _ in range(2))
    assert not _alike(recipe, one, two)
    assert not _alike(recipe, one, one)
    assert _alike(recipe, one, two, label="mine")
    assert _alike(recipe, {"optimizer": recipe.arguments["optimizer"]}, {})
    assert not _alike(recipe, {"accumulate": 2}, {})
