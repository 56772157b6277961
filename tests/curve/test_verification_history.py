from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from lrwidget.curve.history import Ended, Plan, Started, Stepped, Validated
from lrwidget.curve.lr_curve import LRCurve, Step
from lrwidget.curve.verification import verification
from lrwidget.curve.verification_history import (
    VerificationHistory,
    check_curve,
    lane_rates,
    lane_steps,
    usable_total,
)
from tests.curves import LRS, sweep


def test_the_lanes_begin_at_the_edge() -> None:
    curve = sweep(rise=0.1)
    edge = curve.unstable_from
    assert edge is not None
    assert lane_rates(curve) == pytest.approx(
        [edge * 10 ** (-k / 2) for k in (4, 3, 2, 1, 0)]
    )
    assert lane_rates(curve)[-1] == edge
    assert lane_rates(sweep(rise=99.0))[-1] == LRS[-1]


@pytest.mark.parametrize(
    ("total", "steps"),
    [(None, 100), (7, 7), (30, 30), (599, 60), (1234, 123), (10**7, 300)],
)
def test_the_steps_of_a_lane(total: int | None, steps: int) -> None:
    assert lane_steps(total) == steps


def test_the_history() -> None:
    plan = Plan(LRS[0], LRS[-1], len(LRS))
    history = VerificationHistory(plan, None, 400)
    assert (history.num_it, history.rates, history.curves()) == (400, [], {})
    curve = sweep()
    history.apply(Started(0, plan))
    for i, (lr, loss) in enumerate(zip(LRS, curve.losses, strict=True)):
        history.apply(Stepped(0, Step(i, lr, loss)))
    history.apply(Ended(0, "completed"))
    assert history.plan_lanes() == history.rates == lane_rates(curve)
    for run, lr in enumerate(history.rates, 1):
        history.apply(Started(run, Plan(lr, lr, 40)))
        if run == 1:
            history.apply(Validated(1, 0, (5.0, 2.0), (1, 2)))
        history.apply(Stepped(run, Step(0, lr, 2.0)))
        history.apply(Validated(run, 1, (float(run), 1.0), (1, 2)))
        history.apply(Ended(run, "completed"))
    found, lanes = history.verification(), list(history.curves().values())
    assert [lane.val_loss for lane in lanes] == [(k + 2) / 3 for k in (1, 2, 3, 4, 5)]
    expected = verification(curve, lanes, 3.0, 400)
    assert (found.lr, found.verdict) == (expected.lr, expected.verdict)
    history.runs[5].stop_reason = None
    assert len(history.verification().lanes) == 5
    given = VerificationHistory(None, curve, None)
    assert (given.num_it, len(given), given.rates) == (500, 0, lane_rates(curve))
    assert given.sweep is curve


_FLAT = LRCurve(LRS, np.ones(100), "completed")


@pytest.mark.parametrize(
    ("curve", "error", "message"),
    [
        (3, TypeError, "curve=3 must be an LRCurve; pass that of a range test"),
        (_FLAT, ValueError, r"curve=.* suggests no rate \(the loss never falls\), and"),
        (LRCurve([], []), ValueError, "too few points"),  # type: ignore[arg-type]  # as users
    ],
)
def test_curves_that_cannot_be_verified(
    curve: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        check_curve(curve)


def test_a_sweep_that_ended_too_early() -> None:
    with pytest.raises(RuntimeError, match="became infinite or NaN, and too few"):
        lane_rates(LRCurve(LRS[:2], np.array([1.0, math.nan]), "non_finite"))
    assert lane_rates(_FLAT)[-1] == LRS[-1]


@pytest.mark.parametrize(
    ("total", "error", "message"),
    [
        (0, ValueError, "total_steps=0 must be at least 1; pass for example 5000, or"),
        (1.5, TypeError, r"total_steps=1\.5 must be an integer; pass for example 5000"),
        (True, TypeError, "total_steps=True must be an integer"),
        (2**53, ValueError, "must be at most 9007199254740991; pass for example"),
    ],
)
def test_totals_that_cannot_be(total: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        usable_total(total)
    assert usable_total(np.int64(5)) == 5
