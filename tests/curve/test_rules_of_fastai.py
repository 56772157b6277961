from __future__ import annotations

import math
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrwidget.curve.rules import min_grad, minimum, slide, steep, valley
from tests.curves import suggest, unsmoothed

if TYPE_CHECKING:
    from lrwidget.curve.arrays import FloatArray

_LRS = np.geomspace(1e-7, 10, 100)
_X = np.log10(_LRS)

# What fastai 2.8.12 answers to these curves with its trimming of 10 and 5 points.
_CURVES = {
    "logistic": 1 / (1 + np.exp(2 * (_X + 2.5))) + 0.1 + np.where(_X > 0, _X**2, 0),
    "noisy": 1 / (1 + np.exp(2 * (_X + 2.5)))
    + 0.02 * np.sin(37 * np.arange(100) ** 1.3)
    + np.where(_X > -0.3, (_X + 0.3) ** 2, 0),
    "two valleys": -0.3 * np.exp(-((_X + 4) ** 2))
    - 0.6 * np.exp(-2 * (_X + 1) ** 2)
    + np.where(_X > 0, _X, 0)
    + 2,
}
_FASTAI = {
    "logistic": {
        "valley": 0.000756463327554629,
        "slide": 0.0010974987654930567,
        "minimum": 0.10722672220103253,
        "steep": 0.0027825594022071257,
    },
    "noisy": {
        "valley": 0.004862601580065354,
        "slide": 0.01788649529057435,
        "minimum": 0.03511191734215134,
        "steep": 0.0023101297000831626,
    },
    "two valleys": {
        "valley": 0.0033516026509388475,
        "slide": 0.007054802310718645,
        "minimum": 0.009545484566618346,
        "steep": 0.03125715849688242,
    },
}


def _suggested(rule: str, smoothed: FloatArray, lrs: FloatArray = _LRS) -> float | None:
    return suggest(rule, lrs, unsmoothed(smoothed)).lr


@pytest.mark.parametrize("curve", _CURVES)
@pytest.mark.parametrize("rule", ["valley", "slide", "minimum", "steep"])
def test_as_fastai(curve: str, rule: str) -> None:
    suggestion = _suggested(rule, _CURVES[curve])
    assert suggestion == pytest.approx(_FASTAI[curve][rule], rel=1e-9)


def _index(rule: object, losses: list[float]) -> int:
    lrs = np.geomspace(1e-7, 10, len(losses))
    assert callable(rule)
    return int(np.flatnonzero(lrs == rule(lrs, np.array(losses, float)))[0])


def test_valley_where_fastai_gives_the_highest_rate() -> None:
    early_dip = [2.0, 1.0, *np.linspace(1.01, 4, 83)]
    assert _index(valley, early_dip) == 0


def test_valley_of_85_points() -> None:
    assert _index(valley, list(range(85, 0, -1))) == 41
    assert _index(valley, np.abs(np.linspace(-1, 1, 85)).tolist()) == 20
    assert _index(valley, [10, 8, 4, 1, 4, 16]) == 0


@given(st.lists(st.integers(0, 8), min_size=2, max_size=9))
def test_valley_is_the_longest_decreasing_subsequence(losses: list[float]) -> None:
    def decreasing(end: int, length: int) -> bool:
        heads = combinations(losses[:end], length - 1)
        chains = ((*head, losses[end]) for head in heads)
        return any(all(a > b for a, b in pairwise(c)) for c in chains)

    sizes = [
        max(size for size in range(1, end + 2) if decreasing(end, size))
        for end in range(len(losses))
    ]
    length = max(sizes)
    end = sizes.index(length) if length > 1 else 0
    start, third = end - length, length / 3
    assert _index(valley, losses) == max(start + int(third) + int(third / 2), 0)


def test_steepest_as_torch_lr_finder() -> None:
    assert _index(min_grad, [10, 8, 4, 1, 4, 16]) == 2
    assert _index(min_grad, [1, 0, 1, 2, 3, 4]) == 0
    assert _index(min_grad, [0, 1, 2, 3, 4, 3]) == 5


def test_steepest_of_a_sine_over_the_logarithm() -> None:
    lrs = np.geomspace(1, 10**6, 1000)
    losses = np.sin(np.log10(lrs))
    for rule in (steep, min_grad):
        # falls fastest at log10(lr) = pi
        assert math.log10(rule(lrs, losses)) == pytest.approx(math.pi, abs=0.01)


def test_steepness_is_over_the_logarithm_also_for_linear_steps() -> None:
    lrs = np.linspace(0.01, 1, 1000)
    losses = 1 / (1 + np.exp(8 * (np.log10(lrs) + 1)))
    assert steep(lrs, losses) == pytest.approx(0.1, rel=0.02)


def test_a_tenth_of_the_minimum() -> None:
    lrs = np.geomspace(1e-7, 10, 85)
    assert minimum(lrs, np.abs(np.linspace(-1, 1, 85))) == pytest.approx(1e-4)


def test_a_tenth_below_the_range_is_no_suggestion() -> None:
    lrs = np.geomspace(0.1, 1, 100)
    losses = np.r_[np.linspace(1, 0, 40), np.linspace(0, 1, 60)]
    below = suggest("minimum", lrs, unsmoothed(losses))
    assert below.lr is None
    assert below.reason.endswith("not in the swept range")
    assert _suggested("steep", losses, lrs) is not None


def test_slide_needs_sixteen_points() -> None:
    losses = np.linspace(2, 1, 16) ** 3
    assert slide(_LRS[:15], losses[:15]) is None
    assert slide(_LRS[:16], losses) == _LRS[0]


def test_trimming_and_the_first_gap() -> None:
    losses = unsmoothed(_CURVES["logistic"])
    expected = suggest("steep", _LRS, losses)
    assert expected.lr == _suggested("steep", _CURVES["logistic"])
    losses[-5:] = -100  # steeper, but trimmed
    losses[80] = math.nan
    losses[81] = -100  # steeper, but behind the gap
    assert suggest("steep", _LRS, losses) == expected
    steep_start = np.r_[np.linspace(100, 1, 10), _CURVES["logistic"][10:]]
    assert _suggested("steep", steep_start) == pytest.approx(expected.lr)
