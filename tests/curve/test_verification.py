from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrwidget.curve.lr_curve import LRCurve
from lrwidget.curve.ticks import short
from lrwidget.curve.training_curve import TrainingCurve
from lrwidget.curve.verification import verification
from tests.curves import LRS, sweep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lrwidget.curve.arrays import FloatArray

_RATES = [1e-3, 10**-2.5, 1e-2, 10**-1.5, 0.1]
_STEPS = 100


def _lane(
    lr: float, end: float, noise: float = 0.0, reason: Any = "completed"
) -> TrainingCurve:
    """Return a lane from a loss of 2 in ten steps, with a noise for each rate."""
    losses = np.full(_STEPS, end)
    losses[:10] = np.linspace(2, end, 10)
    losses[:3] = 2.0
    generator = np.random.default_rng(int(1e6 * lr))
    losses[10:] += noise * generator.standard_normal(_STEPS - 10)
    done = losses if reason == "completed" else losses[:40]
    return TrainingCurve(lr, done, reason, _STEPS)


def _lanes(*ends: float | str, noise: float = 0.0) -> list[TrainingCurve]:
    return [
        _lane(lr, 1.0, reason=end) if isinstance(end, str) else _lane(lr, end, noise)
        for lr, end in zip(_RATES, ends, strict=True)
    ]


def _smoothed_by_hand(place: float, ends: Sequence[float], start: float) -> float:
    """Return the smoothed loss of lanes at the logarithm of a rate."""
    places = [math.log10(rate) for rate in _RATES]

    def height(place: float) -> float:
        if place > places[-1] + 0.25 + 1e-6:
            return start
        for left in range(4):
            if places[left] <= place <= places[left + 1]:
                part = (place - places[left]) / (places[left + 1] - places[left])
                return (1 - part) * ends[left] + part * ends[left + 1]
        return ends[0] if place < places[0] else ends[-1]

    others = [place + 0.05 * k for k in range(-60, 61)]
    weights = [math.exp(-(((x - place) / 0.3) ** 2) / 2) for x in others]
    heights = [weight * height(x) for weight, x in zip(weights, others, strict=True)]
    return sum(heights) / sum(weights)


@pytest.mark.parametrize("total", [None, 100, 400, 5000])
@given(ends=st.lists(st.floats(0.01, 3), min_size=5, max_size=5))
def test_the_clamp_is_that_of_a_second_computation(
    total: int | None, ends: list[float]
) -> None:
    curve = sweep()
    suggested = curve.suggestion().lr
    assert suggested is not None
    found = verification(curve, _lanes(*ends), None, total)
    if min(ends) >= 2:
        assert (found.lr, found.low, found.high) == curve.suggestion()[:3]
        return
    assert found.low is not None
    assert found.high is not None
    decades = 1.0 if total is None else math.log10(total / _STEPS)
    best = math.log10(found.low) + 0.8 * decades
    learned = [min(end, 2.0) for end in ends]
    heights = [_smoothed_by_hand(-3 + 0.05 * k, learned, 2.0) for k in range(41)]
    assert _smoothed_by_hand(best, learned, 2.0) == pytest.approx(
        min(heights), rel=1e-3
    )
    assert found.high == pytest.approx(10 ** (best - 0.2 * decades))
    assert found.lr == min(max(suggested, found.low), found.high)


@given(
    scale=st.floats(1e-3, 1e3),
    shift=st.floats(-10, 10),
    order=st.permutations(range(5)),
)
def test_scale_shift_and_order_change_nothing(
    scale: float, shift: float, order: list[int]
) -> None:
    lanes = _lanes(1.5, 1.0, 0.6, 1.2, "diverged", noise=0.1)
    others = [
        TrainingCurve(lane.lr, scale * lane.losses + shift, lane.stop_reason, _STEPS)
        for lane in (lanes[i] for i in order)
    ]
    one, other = verification(sweep(), lanes), verification(sweep(), others)
    assert [lane.lr for lane in other.lanes] == _RATES
    assert (one.lr, one.low, one.high, one.verdict) == (
        *(other.lr, other.low, other.high, other.verdict),
    )


def test_the_range_is_swept() -> None:
    lanes = [_lane(rate, end) for rate, end in ((1e-7, 0.1), (1e-6, 1.0))]
    found = verification(sweep(), lanes, None, 10**9)
    assert found.low == found.lr == LRS[0]


def test_a_range_below_thesweep() -> None:
    # All rates of the sweep are too high, and the third lane is the best one.
    lrs = LRS[LRS > 0.05]
    losses = np.where(lrs > 0.1, 9.0, 2.0)
    lanes = _lanes(1.0, 0.2, 1.5, "diverged", "diverged")
    found = verification(LRCurve(lrs, losses, "completed"), lanes, None, 100)
    assert found.lr == found.low == found.high
    assert found.lr == pytest.approx(10**-2.75, rel=0.5)


def _without_suggestion() -> LRCurve:
    """Return a sweep whose loss never falls, but rises."""
    curve = LRCurve(LRS, np.where(LRS > 0.1, 9.0, 2.0), "completed")
    assert curve.suggestion().lr is None
    return curve


@pytest.mark.parametrize(
    ("ends", "noise", "words"),
    [
        (
            (1.9, 1.0, 0.5, "diverged", "non_finite"),
            0.0,
            (
                "1.0e-2 has the lowest loss after 100 steps; 1.0e-3 and 3.2e-3 are "
                "worse; 3.2e-2 and 0.1 became unstable."
            ),
        ),
        (
            (1.5, 0.51, 0.5, 0.52, 2.1),
            0.1,
            (
                "3.2e-3, 1.0e-2 and 3.2e-2 cannot be told apart after 100 steps; "
                "1.0e-3 is worse; 0.1 learned nothing."
            ),
        ),
        (
            ("exhausted", 1.0, 0.5, math.nan, "stopped"),
            0.0,
            (
                "1.0e-2 has the lowest loss after 100 steps; 3.2e-3 is worse; 3.2e-2 "
                "became unstable; 1.0e-3 and 0.1 ended early. Not all trainings were "
                "completed, so they allow no range. "
            ),
        ),
    ],
)
def test_the_verdict_on_the_lanes(
    ends: tuple[Any, ...], noise: float, words: str
) -> None:
    found = verification(sweep(), _lanes(*ends, noise=noise))
    assert found.verdict.startswith(words)
    assert found.checked == ("ended early" not in words)
    longer = "A longer training needs a lower rate than the best of a short one"
    assert (longer in found.verdict) == found.checked


def test_the_verdict_on_the_suggestion() -> None:
    lanes = _lanes(1.9, 1.8, 1.0, 0.2, 1.5)
    suggested = sweep().suggestion().lr
    assert suggested is not None
    for total, end in (
        (None, "is in this range."),
        (1000, "is in this range."),
        (100, f"The range test suggests {short(suggested)}"),
    ):
        verdict = verification(sweep(), lanes, None, total).verdict
        assert end in verdict
    assert "These trainings are as long as yours" in verdict
    assert "for 1000 steps." in verification(sweep(), lanes, None, 1000).verdict


def test_the_middle_where_the_sweep_suggests_none() -> None:
    found = verification(_without_suggestion(), _lanes(1.9, 1.0, 0.5, 1.0, 1.9))
    assert found.low is not None
    assert found.high is not None
    assert found.lr == pytest.approx(math.sqrt(found.low * found.high))
    assert "The range test suggests no rate; " in found.verdict


def test_lanes_that_say_nothing() -> None:
    ends = ("stopped", 2.0, 2.5, "diverged", "diverged")
    found = verification(sweep(), _lanes(*ends))
    suggestion = sweep().suggestion()
    assert (found.lr, found.low, found.high) == suggestion[:3]
    assert not found.checked
    assert found.verdict.startswith(
        "The trainings suggest no rate; 3.2e-2 and 0.1 became"
    )
    assert found.verdict.endswith("is the suggestion of the range test alone.")
    nothing = verification(_without_suggestion(), [])
    assert (nothing.lr, nothing.low, nothing.high) == (None, None, None)
    assert "suggests no rate either: the loss never falls." in nothing.verdict
    assert repr(nothing) == "<Verification: lr=None, None to None, 0 lanes>"
    assert repr(found).endswith(", 5 lanes>")


def _validated(lr: float, losses: FloatArray, samples: FloatArray) -> TrainingCurve:
    return TrainingCurve(lr, [2.0] * 9, "completed", 9, losses, samples)  # type: ignore[arg-type]  # as users


def test_lanes_are_compared_by_their_validation_losses() -> None:
    # The batches have very different losses, which both lanes share.
    hardness = np.random.default_rng(0).uniform(0, 100, 40)
    samples = np.array([8.0] * 39 + [4.0])
    noise = 0.01 * np.random.default_rng(1).standard_normal(40)
    lanes = [
        _validated(rate, hardness + above, samples)
        for rate, above in ((1e-3, 0.2), (1e-2, 0.0), (3e-2, 1e-4 + noise))
    ]
    assert lanes[0].val_loss == pytest.approx(
        np.average(hardness, weights=samples) + 0.2
    )
    verdict = verification(sweep(), lanes, start_loss=1e3).verdict
    assert (
        "1.0e-2 and 3.0e-2 cannot be told apart after 9 steps; 1.0e-3 is worse."
        in verdict
    )
    # A few batches do not tell their noise: the training losses are equal here.
    few = [_validated(x.lr, x.val_losses[:4], x.val_samples[:4]) for x in lanes]
    verdict = verification(sweep(), few, start_loss=1e3).verdict
    assert "1.0e-3, 1.0e-2 and 3.0e-2 cannot be told apart" in verdict
    # Neither does a training loss that is not finite.
    for last, other in (
        ([math.nan, 2.0, 2.0], 2.0),
        ([math.nan, math.inf, math.inf], 2.0),
        ([math.inf, 2.0, 2.0], math.inf),
        ([1e200, -1e200, 1e200], 2.0),
    ):
        odd = replace(few[0], losses=np.array([2.0] * 9 + last), num_it=12)
        same = replace(few[1], losses=np.full(12, other), num_it=12)
        verdict = verification(sweep(), [odd, same], start_loss=1e3).verdict
        assert "1.0e-3 and 1.0e-2 cannot be told apart" in verdict


@pytest.mark.parametrize("start", [math.nan, math.inf])
def test_validation_losses_that_are_not_finite_at_the_start(start: float) -> None:
    lanes = _lanes(1.9, 1.0, 0.5, 0.9, "diverged")
    expected = verification(sweep(), lanes)
    for value in (0.1, math.nan):
        validated = [replace(lane, val_losses=np.array([value])) for lane in lanes]
        found = verification(sweep(), validated, start)
        assert (found.lr, found.low, found.high) == (
            *(expected.lr, expected.low, expected.high),
        )
        assert found.lanes == validated
        assert found.verdict == (
            f"The validation loss is {start} before the first step, so the training "
            f"losses are compared. {expected.verdict}"
        )


def test_a_first_training_loss_that_is_not_finite() -> None:
    lanes = _lanes(1.9, 1.0, 0.5, 0.9, 1.5)
    for first in (math.nan, math.inf):
        odd = [replace(x, losses=np.array([first, *x.losses[1:]])) for x in lanes]
        found, expected = verification(sweep(), odd), verification(sweep(), lanes)
        assert (found.lr, found.verdict) == (expected.lr, expected.verdict)


def test_one_step_of_each_lane() -> None:
    lanes = [
        TrainingCurve(lr, np.array([2.0]), "completed", 1, np.array([loss]))
        for lr, loss in ((1e-3, 1.0), (1e-2, 0.5))
    ]
    verdict = verification(sweep(), lanes, start_loss=2.0, total_steps=1).verdict
    assert "cannot be told apart after 1 step. " in verdict
