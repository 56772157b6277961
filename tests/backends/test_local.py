from __future__ import annotations

import inspect
from typing import Any

import pytest
from torch import nn

from lrwidget.backends.base import DEFAULTS
from lrwidget.backends.local import Changes, LocalRecipe
from lrwidget.engine.range_test import RangeTest
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
