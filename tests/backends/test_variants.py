from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch import nn
from torch.optim import SGD, AdamW

from lrwidget.backends.variants import Variants
from tests.widget_parts import BATCHES, parts


def _variants(**settings: Any) -> Variants:
    model, optimizer = parts()
    arguments = {"model": model, "optimizer": optimizer, "dataloader": BATCHES}
    return Variants({**arguments, "loss_fn": nn.MSELoss(), **settings})


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
    assert _variants().name(changes) == name


def test_a_part_is_named_for_its_type() -> None:
    variants = _variants()
    model = variants.arguments["model"]
    assert variants.name({"optimizer": AdamW(model.parameters())}) == "optimizer=AdamW"
    assert variants.name({"optimizer": SGD(model.parameters())}) == "optimizer=SGD"
    assert variants.name({"optimizer": variants.arguments["optimizer"]}) == "run"


def _alike(variants: Variants, *runs: dict[str, Any], label: str | None = None) -> bool:
    """Whether runs with some changes repeat each other."""
    return len({variants.setting(changes, label) for changes in runs}) == 1


def test_runs_that_differ_in_the_seed_repeat_each_other() -> None:
    variants = _variants(seed=1)
    seeds: list[dict[str, Any]] = [{}, {"seed": 2}, {"seed": None}]
    assert _alike(variants, *seeds)
    assert _alike(variants, *({**seed, "clip_grad_norm": 1.0} for seed in seeds))
    assert _alike(variants, *seeds, label="mine")
    assert variants.setting({"seed": 2}, None).label == "run"
    assert variants.setting({"seed": 2, "end_lr": 1}, None).label == "end_lr=1"
    assert variants.setting({"seed": 2, "end_lr": 1}, "mine").label == "mine"


@pytest.mark.parametrize("label", [None, "mine"])
@pytest.mark.parametrize(
    "other",
    [{"end_lr": 1.0}, {"start_lr": 1e-6}, {"num_it": 20}, {"step_mode": "linear"}],
)
def test_runs_with_other_rates_do_not(other: dict[str, Any], label: str | None) -> None:
    assert _alike(_variants(), other, dict(other), label=label)
    assert not _alike(_variants(), {}, other, label=label)


def test_whether_other_parts_are_alike_only_a_label_tells() -> None:
    variants = _variants()
    one, two = ({"optimizer": SGD(nn.Linear(8, 1).parameters())} for _ in range(2))
    assert not _alike(variants, one, two)
    assert not _alike(variants, one, one)
    assert _alike(variants, one, two, label="mine")
    assert _alike(variants, {"optimizer": variants.arguments["optimizer"]}, {})
    assert not _alike(variants, {"accumulate": 2}, {})
