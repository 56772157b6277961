from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrwidget.curve.rules import DEFAULT_RULE, RULES
from tests.curves import suggest

if TYPE_CHECKING:
    from lrwidget.curve.arrays import FloatArray

_LRS = np.geomspace(1e-7, 10, 100)
_X = np.log10(_LRS)
# Their threshold is an absolute one, as fastai has it.
_RELATIVE = sorted(set(RULES) - {"slide"})


@st.composite
def _curves(draw: st.DrawFn, least_noise: float = 0.0) -> FloatArray:
    """Draw noisy descents, of which most end in a rise."""
    middle = draw(st.floats(-5, -1))
    rise = draw(st.floats(-1, 2))
    noise = max(draw(st.sampled_from([0.0, 0.01, 0.1, 0.5])), least_noise)
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    falls = 1 / (1 + np.exp(draw(st.floats(1, 8)) * (_X - middle)))
    rises = np.where(rise < _X, 30.0 * (_X - rise), 0.0)
    losses: FloatArray = falls + rises + noise * rng.normal(size=len(_X))
    return losses


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("losses", "reason"),
    [
        ([], "too few points"),
        ([1.0], "too few points"),
        ([2.0, 1.0], "too few points"),
        ([2.0] * 100, "the loss never falls"),
        ([0.1] * 100, "the loss never falls"),
        ([math.nan] * 100, "too few points"),
        ([3.0, 2.0, 1.0, *[math.inf] * 97], "too few points"),
    ],
    ids=["none", "one", "two", "constant", "0.1", "nan", "broken early"],
)
def test_nothing_to_suggest(rule: str, losses: list[float], reason: str) -> None:
    nothing = suggest(rule, _LRS[: len(losses)], np.array(losses, float))
    assert nothing[:3] == (None, None, None)
    assert nothing.reason.startswith(reason)


@given(
    st.sampled_from(list(RULES)),
    st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=120),
    st.integers(120, 200),
)
def test_any_losses_give_a_swept_rate_or_none(
    rule: str, losses: list[float], num_it: int
) -> None:
    lrs = np.geomspace(1e-7, 10, 120)[: len(losses)]
    lr, low, high, reason = suggest(rule, lrs, np.array(losses, float), num_it)
    assert reason
    if lr is None:
        assert low is high is None
        return
    assert lrs[0] <= lr <= lrs[-1]
    if low is not None and high is not None:
        assert lrs[0] <= low <= lr <= high <= lrs[-1]


@given(st.sampled_from(list(RULES)), _curves())
def test_any_curve_gives_a_swept_rate_or_none(rule: str, losses: FloatArray) -> None:
    lr = suggest(rule, _LRS, losses).lr
    assert lr is None or _LRS[0] <= lr <= _LRS[-1]


@given(st.sampled_from(_RELATIVE), _curves(), st.sampled_from([2.0**-30, 0.5, 2.0**40]))
def test_scaling_the_losses_moves_nothing(
    rule: str, losses: FloatArray, scale: float
) -> None:
    # By powers of two, for which floating-point numbers scale exactly.
    scaled = suggest(rule, _LRS, losses * scale)
    assert scaled == suggest(rule, _LRS, losses)


# Without noise, the precision of the losses counts, which a shift changes.
@given(_curves(least_noise=0.01), st.sampled_from([-16.0, -1.0, 0.5, 4.0]))
def test_shifting_the_losses_moves_nothing(losses: FloatArray, shift: float) -> None:
    # Rounded so that the sum is exact.
    losses = np.round(losses * 2**20) / 2**20
    there = suggest(DEFAULT_RULE, _LRS, losses + shift)
    here = suggest(DEFAULT_RULE, _LRS, losses)
    for moved, place in zip(there[:3], here[:3], strict=True):
        assert moved == (place if place is None else pytest.approx(place, rel=1e-3))


@pytest.mark.parametrize("rule", ["best", None, ["valley"]])
def test_unknown_rule(rule: Any) -> None:
    named = re.escape(f"rule={rule!r} is not known; pass one of")
    with pytest.raises(ValueError, match=named):
        suggest(rule, _LRS, _LRS)
