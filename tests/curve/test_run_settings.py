from __future__ import annotations

from typing import Any

import pytest
from torch import nn
from torch.optim import SGD, AdamW

from lrwidget.curve.run_settings import differences, same_as, texts_of
from tests.curves import run_of

_PARAMETERS = list(nn.Linear(2, 1).parameters())


@pytest.mark.parametrize(
    ("optimizer", "text"),
    [
        (SGD(_PARAMETERS, lr=0.3), "SGD"),
        (SGD(_PARAMETERS, momentum=0.9), "SGD, momentum=0.9"),
        (AdamW(_PARAMETERS, weight_decay=0.01), "AdamW"),  # its default
        (AdamW(_PARAMETERS, betas=(0.8, 0.999), eps=1e-6), "AdamW, eps=1e-6"),
        ([SGD(_PARAMETERS), AdamW(_PARAMETERS)], "SGD + AdamW"),
        (object(), "object"),
    ],
)
def test_an_optimizer_is_told_by_what_is_not_usual(optimizer: Any, text: str) -> None:
    assert texts_of({"optimizer": optimizer}) == {"optimizer": text}


def _differences(*arguments: dict[str, Any]) -> list[str]:
    runs = [run_of([1.0])._replace(settings=texts_of(some)) for some in arguments]
    return differences(runs)


def test_what_is_the_same_in_all_runs_is_not_told() -> None:
    sgd, adam = SGD(_PARAMETERS, momentum=0.9), AdamW(_PARAMETERS)
    common = {"end_lr": 10.0, "num_it": 100, "seed": None, "model": nn.Linear(1, 1)}
    assert _differences(common, common) == ["", ""]
    assert _differences(
        {**common, "optimizer": adam},
        {**common, "optimizer": sgd, "seed": 3, "num_it": 50},
        {**common, "optimizer": adam, "end_lr": 1.0},
    ) == [
        "end_lr=10, AdamW",
        "end_lr=10, seed=3, SGD, momentum=0.9",
        "end_lr=1, AdamW",
    ]
    assert _differences({}, {"seed": 3}) == ["", "seed=3"]  # as of a followed test


def test_runs_are_the_same_if_all_losses_are_equal() -> None:
    losses = [3.0, 2.0, float("nan"), 1.0]
    one, two, three = (run_of(losses, name) for name in "abc")
    other, shorter = run_of([3.0, 2.0, 1.5, 1.0]), run_of(losses[:3])
    runs = [one, other, two, shorter, three]
    assert same_as(three, runs) is two
    assert same_as(two, runs[:3]) is one
    assert same_as(other, runs) is None
    assert same_as(run_of([3.0]), [run_of([3.0])]) is None  # which tells nothing
