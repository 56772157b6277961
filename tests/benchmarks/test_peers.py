from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

from benchmarks.peers import PEERS, Peer
from lrwidget import range_test
from lrwidget.curve.rules import min_grad
from lrwidget.curve.smoothing import exponential_mean
from tests.curves import suggest
from tests.engine.training_parts import Net, loader

if TYPE_CHECKING:
    from collections.abc import Callable

    from lrwidget.curve.arrays import FloatArray

_COUNT = 100
_STEPS = np.arange(float(_COUNT))
_BY_NAME = {peer.name: peer for peer in PEERS}
_CALLED = [peer for peer in PEERS if peer.called is not None]


def _rates(count: int) -> FloatArray:
    return np.geomspace(1e-7, 10, count)


def _u_shape(diverges: float = 80) -> FloatArray:
    fall: FloatArray = 2 / (1 + np.exp((_STEPS - 50) / 6))
    return 0.3 + fall + np.exp((_STEPS - diverges) / 3)


def _noisy(noise: float = 0.1) -> FloatArray:
    return _u_shape() * np.random.default_rng(1).lognormal(0, noise, _COUNT)


def _with(value: float, *steps: int) -> FloatArray:
    losses = _noisy()
    losses[list(steps)] = value
    return losses


def _recorded(make_optimizer: Callable[..., torch.optim.Optimizer]) -> FloatArray:
    """Return the losses of a real and complete sweep."""
    model = Net()
    curve = range_test(
        *(model, make_optimizer(model.parameters()), loader()),
        nn.CrossEntropyLoss(),
        stop_div=False,
    )
    losses: FloatArray = curve.losses
    return losses


# Functions, since some of them train; by name, for short names of the tests.
_CURVES: dict[str, Callable[[], FloatArray]] = {
    "sgd": lambda: _recorded(functools.partial(SGD, lr=1.0, momentum=0.9)),
    "adam": lambda: _recorded(functools.partial(Adam, lr=1.0)),
    "u shape": _u_shape,
    "noisy": _noisy,
    "very noisy": lambda: _noisy(0.5),
    "diverges at 8": lambda: _u_shape(8),
    "diverges at 16": lambda: _u_shape(10),
    "diverges at 20": lambda: _u_shape(20),
    "diverges to inf": lambda: np.where(_STEPS < 70, _noisy(), np.inf),
    "diverges to nan": lambda: np.where(_STEPS < 70, _noisy(), np.nan),
    "diverges to inf, then nan": lambda: np.select(
        [_STEPS < 70, _STEPS < 73], [_noisy(), np.inf], np.nan
    ),
    "a nan": lambda: _with(np.nan, 40),
    "an inf": lambda: _with(np.inf, 40),
    "a minus inf": lambda: _with(-np.inf, 40),
    "nan at once": lambda: _with(np.nan, 0),
    "inf at once": lambda: _with(np.inf, 0),
    "nan soon": lambda: _with(np.nan, 12),
    "only nan": lambda: np.full(_COUNT, np.nan),
    "never falls": lambda: 1 + _STEPS**2 / 1e4,
    "rises slowly": lambda: 2 + _STEPS / 100,
    "falls once": lambda: np.where(_STEPS == 11, 0.5, 1 + _STEPS / 50),
    "falls to the end": lambda: 3 - _noisy(0.01)[::-1].cumsum() / 1e5,
    "falls evenly": lambda: 3 * 0.97**_STEPS,
    "a spike": lambda: _with(9, 45),
    "a dip": lambda: _with(-30, 45),
    "huge": lambda: 1e30 * _u_shape(),
    "tiny": lambda: 1e-6 * _noisy(),
    "negative": lambda: _noisy() - 5,
    "becomes negative": lambda: 2 - _STEPS / 20 + _u_shape() / 10,
    "of 30 steps": lambda: _noisy()[20:80:2],
    "of 17 steps": lambda: 2 - np.sin(_STEPS[:17] / 6),
    "of 16 steps": lambda: 2 - np.sin(_STEPS[:16] / 6),
    "of 7 steps": lambda: 2 - np.sin(_STEPS[:7] / 3),
}


def _random(seed: int) -> FloatArray:
    """Return a noisy random curve that falls, and diverges at a random step."""
    rng = np.random.default_rng(seed)
    walk = np.exp(np.cumsum(rng.normal(-0.01, 0.05, _COUNT)))
    diverging = np.exp((_STEPS - rng.uniform(10, 120)) / rng.uniform(0.5, 8))
    noise = rng.lognormal(0, rng.choice([0, 0.03, 0.3]), _COUNT)
    losses: FloatArray = walk * noise + diverging - rng.choice([0, 0, 0, 0.5])
    return losses


def _approx(suggestion: float | None) -> object:
    return suggestion if suggestion is None else pytest.approx(suggestion, rel=1e-9)


def _agrees(peer: Peer, losses: FloatArray) -> None:
    assert peer.called is not None
    lrs = _rates(len(losses))
    assert peer.restated(lrs, losses) == _approx(peer.called(lrs, losses))


@pytest.mark.parametrize("curve", _CURVES)
@pytest.mark.parametrize("peer", _CALLED, ids=lambda peer: peer.name)
def test_a_peer_restated_agrees_with_the_peer(peer: Peer, curve: str) -> None:
    _agrees(peer, _curve(curve))


@functools.cache
def _curve(name: str) -> FloatArray:
    return _CURVES[name]()


@pytest.mark.parametrize(
    "seed",
    [
        *range(5),
        *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in range(5, 20)),
    ],
)
@pytest.mark.parametrize("peer", _CALLED, ids=lambda peer: peer.name)
def test_it_agrees_on_random_curves(peer: Peer, seed: int) -> None:
    _agrees(peer, _random(seed))


def test_fastai_valley_before_the_first_point() -> None:
    """For one early dip, the index of the valley is -1: the last point that is kept."""
    lrs = _rates(_COUNT)
    suggestion = _BY_NAME["fastai valley"].restated(lrs, _CURVES["falls once"]())
    assert suggestion == pytest.approx(lrs[-6], rel=1e-6)


def test_ignite_suggests_the_rate_of_the_next_step() -> None:
    lrs, losses = _rates(_COUNT), np.r_[[2.0] * 50, [0.0] * 40, [1e9] * 10]
    # The mean starts from the first loss, so it falls at step 50 for the first time.
    assert _BY_NAME["Ignite"].restated(lrs, losses) == lrs[51]


@pytest.mark.parametrize("seed", range(5))
def test_fastai_v1_is_our_rule_where_nothing_stops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lrs, losses = _rates(_COUNT), 2 - _STEPS / 60 + rng.normal(0, 0.2, _COUNT)
    suggestion = _BY_NAME["fastai v1"].restated(lrs, losses)
    assert suggestion is not None
    assert suggestion == suggest("min_grad", lrs, losses, _COUNT).lr


def test_fastai_v1_stops_at_nan_and_when_it_diverges() -> None:
    lrs, restated = _rates(_COUNT), _BY_NAME["fastai v1"].restated
    ends = [
        np.r_[_noisy()[:60], bad, np.full(39, good)]
        for bad, good in ((np.nan, 0.0), (np.inf, 0.0), (1e9, -1e9))
    ]
    suggestions = {restated(lrs, losses) for losses in ends}
    assert suggestions == {min_grad(lrs[10:56], exponential_mean(_noisy()[:60])[10:56])}


def test_fastai_v1_needs_two_points() -> None:
    lrs, restated = _rates(_COUNT), _BY_NAME["fastai v1"].restated
    answers = [restated(lrs[:n], 3 - _STEPS[:n] / _COUNT) for n in (9, 15, 16, 17)]
    assert [answer is None for answer in answers] == [True, True, True, False]
