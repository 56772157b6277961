from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrwidget.curve.history import Ended, Stepped
from lrwidget.curve.lr_curve import Step
from lrwidget.curve.race_history import RaceHistory, checked_rates, neighbours
from lrwidget.curve.suggestion import Suggestion

if TYPE_CHECKING:
    from lrwidget.curve.training_curve import TrainingCurve


def _suggestion(
    lr: float | None, low: float | None = None, high: float | None = None
) -> Suggestion:
    return Suggestion(lr, low, high, "for the test")


def test_rates_are_put_in_order() -> None:
    assert checked_rates((0.1, 1, np.float32(0.5))) == [0.1, 0.5, 1]
    assert checked_rates(np.array([0.2, 0.1])) == [0.1, 0.2]


@pytest.mark.parametrize(
    ("rates", "error", "message"),
    [
        (0.1, TypeError, r"rates=0\.1 must be a list of numbers; pass for example"),
        ("0.1", TypeError, r"rates='0\.1' must be a list of numbers"),
        ([], ValueError, r"rates=\[\] is empty; pass for example rates="),
        ([0.1, "a"], TypeError, r"rates\[1\]='a' must be a number"),
        ([0.0], ValueError, r"rates\[0\]=0\.0 must be finite and above 0"),
        ([math.nan], ValueError, r"rates\[0\]=nan must be finite"),
        ([1, 2, 1.0], ValueError, r"rates=\[1, 2, 1\.0\] holds 1\.0 twice"),
    ],
)
def test_bad_rates(rates: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        checked_rates(rates)


@pytest.mark.parametrize(
    ("suggestion", "chosen", "expected"),
    [
        (_suggestion(0.02, 0.01, 0.06), None, [0.01 / 3, 0.01, 0.02, 0.06, 0.18]),
        (_suggestion(0.09), None, [0.01, 0.03, 0.09, 0.27, 0.81]),
        (_suggestion(None), 0.09, [0.01, 0.03, 0.09, 0.27, 0.81]),
        (_suggestion(0.09, None, 0.1), 0.5, [0.01, 0.03, 0.09, 0.1, 0.3, 0.5]),
        (_suggestion(0.02, 0.01, 0.06), 0.021, [0.01 / 3, 0.01, 0.021, 0.06, 0.18]),
        (_suggestion(2.0, 1.0, 5.0), None, [1 / 3, 1, 2, 5, 10]),
        (_suggestion(None), None, []),
    ],
)
def test_neighbours(
    suggestion: Suggestion, chosen: float | None, expected: list[float]
) -> None:
    found = neighbours(suggestion, chosen, 1e-7, 10)
    np.testing.assert_allclose(found, expected)


_RATES = st.floats(1e-7, 10)


@given(st.none() | _RATES, st.none() | _RATES, st.lists(_RATES, min_size=2, max_size=2))
def test_neighbours_can_be_raced(
    lr: float | None, chosen: float | None, band: list[float]
) -> None:
    low, high = sorted(band)
    found = neighbours(_suggestion(lr, low, high), chosen, 1e-5, 1.0)
    if lr is None and chosen is None:
        assert found == []
        return
    assert checked_rates(found) == found
    assert all(1e-5 <= rate <= 1 for rate in found)
    assert all(np.diff(np.log(found)) > math.log(1.1) - 1e-12)
    if chosen is not None:
        assert min(max(chosen, 1e-5), 1.0) in found


def _curves(history: RaceHistory) -> list[TrainingCurve]:
    return list(history.curves().values())


def test_a_history_tells_how_it_goes() -> None:
    history = RaceHistory([0.1, 0.2, 0.4], 4)
    assert (_curves(history), len(history), history.num_it) == ([], 0, 12)
    history.apply(Stepped(0, Step(0, 0.1, 3.0)))
    (only,) = _curves(history)
    assert (only.lr, only.losses.tolist(), only.stop_reason) == (0.1, [3], None)
    history.apply(Stepped(0, Step(1, 0.1, 9.0)))
    history.apply(Ended(0, "diverged"))
    assert (len(history), history.num_it) == (2, 2 + 8)
    history.apply(Ended(1, "exhausted"))
    assert (len(history), history.num_it) == (2, 2 + 4)
    for iteration in range(4):
        history.apply(Stepped(2, Step(iteration, 0.4, 2.0 - iteration / 4)))
    history.apply(Ended(2, "completed"))
    assert len(history) == history.num_it == 6
    first, second, third = _curves(history)
    assert (first.losses.tolist(), first.stop_reason) == ([3, 9], "diverged")
    assert (second.lr, len(second), second.stop_reason) == (0.2, 0, "exhausted")
    assert (third.final_loss, third.num_it) == (1.25, 4)


def test_trainings_at_once_are_in_the_order_of_the_rates() -> None:
    history = RaceHistory([0.1, 0.2, 0.4], 2)
    for number, loss in ((2, 4.0), (0, 3.0), (2, 1.0)):
        history.apply(Stepped(number, Step(0, history.rates[number], loss)))
    history.apply(Ended(2, "diverged"))
    assert list(history.curves()) == [0, 2]
    first, last = _curves(history)
    assert (first.lr, first.losses.tolist(), first.stop_reason) == (0.1, [3], None)
    assert (last.lr, last.losses.tolist(), last.stop_reason) == (
        0.4,
        [4, 1],
        "diverged",
    )


def test_the_training_that_was_under_way_is_what_was_stopped() -> None:
    history = RaceHistory([0.1, 0.2, 0.4], 2)
    for number, loss in ((0, 3.0), (0, 2.0), (1, 3.0)):
        history.apply(Stepped(number, Step(0, history.rates[number], loss)))
    history.finish("stopped")
    # of which the first has lacked no step
    reasons = [curve.stop_reason for curve in _curves(history)]
    assert reasons == ["completed", "stopped"]


def test_the_rate_recorded_is_the_rate_used() -> None:
    used = float(np.float32(0.1))
    history = RaceHistory([0.1], 1)
    history.apply(Stepped(0, Step(0, used, 3.0)))
    history.apply(Ended(0, "completed"))
    assert [curve.lr for curve in _curves(history)] == [used]
