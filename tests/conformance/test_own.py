from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim import SGD, AdamW

from lrwidget import LRCurve, range_test
from lrwidget.curve.rules import RULES, minimum, slide, valley
from tests.engine.training_parts import loader, state, train, warm

_LRS = np.geomspace(1e-7, 10, 85)


@pytest.mark.parametrize(
    ("losses", "index"),
    [
        (np.arange(85.0, 0, -1), 41),
        (np.arange(85.0), 0),
        (np.ones(85), 0),
        (np.abs(np.linspace(-1, 1, 85)), 20),
        (np.array([10.0, 8, 4, 1, 4, 16]), 0),
    ],
    ids=["falling", "rising", "constant", "there and back", "short"],
)
def test_the_valley_of_known_curves(losses: Any, index: int) -> None:
    """Case 29: the valley is equal to that of fastai's own function."""
    assert valley(_LRS[: len(losses)], losses) == _LRS[index]


def test_a_tenth_of_the_minimum() -> None:
    """Case 29: the minimum of |x| is the 43rd of 85 points, at 1e-3."""
    losses = np.abs(np.linspace(-1, 1, 85))
    assert int(np.argmin(losses)) == 42
    assert minimum(_LRS, losses) == pytest.approx(1e-4, rel=1e-9)


@pytest.mark.parametrize("losses", [np.arange(85.0), np.ones(85)])
@pytest.mark.parametrize("rule", RULES)
def test_without_a_fall_there_is_no_suggestion(rule: str, losses: Any) -> None:
    """Case 29: a curve without a fall has no suggestion, though rules find a rate."""
    assert LRCurve(_LRS, losses).suggest(rule) is None


def test_slide_refuses_fifteen_points() -> None:
    """Case 29: slide needs more points than its window has."""
    losses = np.arange(85.0, 0, -1)
    assert slide(_LRS[:15], losses[:15]) is None
    assert slide(_LRS[:16], losses[:16]) == _LRS[0]


def test_an_early_dip() -> None:
    """Case 30: after a dip at the first step and a rise, the end is not suggested."""
    losses = np.r_[2.0, 1.0, np.linspace(1.01, 4, 83)]
    assert valley(_LRS, losses) == _LRS[0]
    assert LRCurve(_LRS, losses).suggest("valley") is None
    assert (LRCurve(_LRS, losses).suggest() or 0.0) < _LRS[5]


def _slow_valley(losses: Any) -> int:
    """Return the index of the valley by its definition, in quadratic time."""
    lengths = np.ones(len(losses), int)
    for end in range(1, len(losses)):
        higher = losses[:end] > losses[end]
        lengths[end] += lengths[:end][higher].max(initial=0)
    end = int(lengths.argmax())
    start = end - int(lengths[end])
    third = (end - start) / 3
    return max(start + int(third) + int(third / 2), 0)


@pytest.mark.parametrize("count", [1, 2, 3, 85, 700])
@pytest.mark.parametrize("seed", range(5))
def test_valley_by_its_definition(seed: int, count: int) -> None:
    """Case 31: the fast valley agrees with the definition, for random curves."""
    rng = np.random.default_rng(seed)
    lrs = np.geomspace(1e-7, 10, max(count, 2))[:count]
    noise = rng.normal(size=count)
    for losses in (noise, np.cumsum(noise), 0.1 * noise + np.linspace(1, -1, count)):
        assert valley(lrs, losses) == lrs[_slow_valley(losses)]
        tied = losses.round(1)
        assert valley(lrs, tied) == lrs[_slow_valley(tied)]


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60))
def test_valley_of_tied_losses(losses: list[int]) -> None:
    """Case 31: the fast valley agrees with the definition, for curves with ties."""
    tied = np.array(losses, float)
    assert valley(_LRS[: len(tied)], tied) == _LRS[_slow_valley(tied)]


@pytest.mark.parametrize("isolation", ["copy", "restore"])
@pytest.mark.parametrize(
    "make_optimizer",
    [lambda ps: AdamW(ps, lr=0.003), lambda ps: SGD(ps, lr=0.05, momentum=0.9)],
    ids=["adamw", "sgd"],
)
def test_restored_twice(make_optimizer: Any, isolation: Any) -> None:
    """Case 32: each of two tests leaves the state of a training as it was."""
    model, optimizer = warm(make_optimizer)
    model.features.eval()
    batches = loader(generator=torch.Generator().manual_seed(5))
    before = state(model, optimizer, batches)
    assert model.head.weight.grad is not None
    assert [module.training for module in (model, model.features, model.head)] == [
        *(True, False, True)
    ]
    for _ in range(2):
        with pytest.warns(UserWarning, match="were in eval mode"):
            curve = range_test(
                *(model, optimizer, batches, nn.CrossEntropyLoss()), isolation=isolation
            )
        assert len(set(curve.losses)) > 10
        assert state(model, optimizer, batches) == before
        assert "step" not in vars(optimizer)
        assert all("initial_lr" not in group for group in optimizer.param_groups)


@pytest.mark.parametrize("isolation", ["copy", "restore"])
@pytest.mark.parametrize("make_optimizer", [AdamW, SGD])
def test_training_after_two_tests(make_optimizer: Any, isolation: Any) -> None:
    """Case 32: a training has the same losses after two tests as without tests."""

    def losses(*, tests: int) -> list[float]:
        torch.manual_seed(3)
        model, optimizer = warm(lambda ps: make_optimizer(ps, lr=0.01))
        for _ in range(tests):
            range_test(
                *(model, optimizer, loader(), nn.CrossEntropyLoss()),
                isolation=isolation,
            )
        return train(model, optimizer, loader(), epochs=2)

    assert losses(tests=2) == losses(tests=0)
