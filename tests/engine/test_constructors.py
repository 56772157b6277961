"""Tests and races of the objects of frameworks, without a widget."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

from lrwidget import LRWidget, RangeTest, race, range_test
from tests.engine.training_parts import loader
from tests.widget_parts import SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*:DeprecationWarning", "ignore:.*:FutureWarning"
)
_SETTINGS: Any = {"num_it": 6, "seed": 3, "start_lr": 1e-4}


def _trainer(folder: Path) -> tuple[Any, ...]:
    from tests.integrations.test_transformers import _trainer  # noqa: PLC0415 (slow)

    return (_trainer(folder),)


def _module(_folder: Path) -> tuple[Any, ...]:
    from tests.integrations.test_lightning import Module  # noqa: PLC0415 (slow)

    return Module(), loader()


def _learner(_folder: Path) -> tuple[Any, ...]:
    from tests.integrations.fastai_parts import learner_of  # noqa: PLC0415 (slow)

    return (learner_of(),)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("from_trainer", _trainer),
        ("from_lightning", _module),
        ("from_learner", _learner),
    ],
)
def test_the_curve_is_that_of_the_widget(
    tmp_path: Path, name: str, make: Callable[[Path], tuple[Any, ...]]
) -> None:
    objects = make(tmp_path)
    widget = getattr(LRWidget, name)(*objects, **_SETTINGS)
    widget.run()
    expected = widget.wait(SECONDS).to_dict()
    widget.close()
    test = getattr(RangeTest, name)(*objects, **_SETTINGS)
    assert len(list(test)) == 6
    assert test.curve.to_dict() == expected
    assert getattr(range_test, name)(*objects, **_SETTINGS).to_dict() == expected
    rates = [1e-4, 1e-3]
    raced = getattr(race, name)(*objects, rates=rates, steps=3, **_SETTINGS)
    assert [curve.lr for curve in raced] == rates
    assert [curve.losses[0] for curve in raced] == [expected["losses"][0]] * 2
    for setting in ("closure", "create_graph", "keep_modes"):
        with pytest.raises(ValueError, match=f"{setting}=True has no effect where a"):
            getattr(range_test, name)(*objects, **{setting: True})
    with pytest.raises(TypeError, match="unexpected keyword argument 'num_its'"):
        getattr(range_test, name)(*objects, num_its=3)


def test_the_functions_look_like_functions() -> None:
    assert vars(range_test)["__name__"] == "range_test"
    assert (race.__doc__ or "").startswith("\n    Train for some steps at each")
    assert [*inspect.signature(range_test).parameters][:5] == [
        *("model", "optimizer", "dataloader", "loss_fn", "start_lr")
    ]
