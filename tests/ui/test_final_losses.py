from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lrwidget.curve.outcomes import Outcome, compared
from lrwidget.curve.suggestion import NO_SUGGESTION, Suggestion
from lrwidget.curve.training_curve import TrainingCurve
from lrwidget.ui.final_losses import FinalLosses
from lrwidget.ui.lane_looks import lane_colours
from lrwidget.ui.widgets import close_with_parts
from tests.ui.front_end import click_dot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lrwidget.ui.axes import Axes

_RATES = [0.001, 0.01, 0.1, 1.0]


@pytest.fixture
def final(axes: Axes, picked: list[float]) -> Iterator[FinalLosses]:
    final = FinalLosses(axes, {"left": 72, "right": 18, "bottom": 48}, picked.append)
    yield final
    close_with_parts(final.figure, kept=axes.shared)


def _lane(number: int, *losses: float, reason: Any = "completed") -> TrainingCurve:
    every = np.array(losses, float)
    return TrainingCurve(_RATES[number], every, reason, len(every))


def _outcomes(*lanes: TrainingCurve) -> dict[int, Outcome]:
    return dict(enumerate(compared(lanes)[0]))


def _points(mark: Any) -> list[list[float]]:
    return [mark.x.tolist(), mark.y.tolist()]


_NOISY = np.array([1, -1, 0.5, -0.5, 0] * 8) / 10
_ENDED = _outcomes(
    _lane(0, *(1.0 + _NOISY[::-1])),
    _lane(1, *np.r_[[2.0] * 30, 0.5 + _NOISY[:10]]),
    _lane(2, *np.r_[[2.0] * 30, [0.9] * 10]),
    _lane(3, 2.0, 1e9, reason="diverged"),
)


def test_each_lane_has_a_dot_at_the_logarithm_of_its_loss(final: FinalLosses) -> None:
    final.draw(_ENDED, _RATES)
    heights = [math.log10(_ENDED[i].loss) for i in range(3)]
    expected = [_RATES[:3], pytest.approx(heights)]
    assert _points(final.dots) == expected
    assert _points(final.way) == expected
    assert final.dots.size.argmax() == 1
    assert len(set(final.dots.colors)) == 3
    low, high = final._losses.limits
    assert low < min(heights)
    assert max(heights) < high


def test_a_bar_is_two_standard_errors_on_each_side(final: FinalLosses) -> None:
    final.draw(_ENDED, _RATES)
    others = [_ENDED[0], _ENDED[2]]  # not the best one
    assert final.bars.x.tolist() == [[lr] * 2 for lr in (_RATES[0], _RATES[2])]
    expected = [np.log10([x.loss - 2 * x.error, x.loss + 2 * x.error]) for x in others]
    np.testing.assert_allclose(final.bars.y, expected)


def test_a_lane_that_diverged_is_a_cross_at_the_top(final: FinalLosses) -> None:
    final.draw(_ENDED, _RATES)
    assert len(final.triangles.x) == 0
    (rate,), (height,) = _points(final.crosses)
    assert final.crosses.rotation.tolist() == [45]
    assert rate == _RATES[3]
    assert (
        0.8 < (height - final._losses.limits[0]) / np.diff(final._losses.limits)[0] < 1
    )
    # to the left of the cross, since there is no room to the right of it
    assert final.texts_before.text.tolist() == ["unstable"]
    assert _points(final.texts_before) == [[rate], [height]]
    assert {"1", "0.5", "0.9"} <= {*final.texts.text}


def test_a_huge_loss_and_one_below_zero_flatten_nothing(final: FinalLosses) -> None:
    found = _outcomes(_lane(0, 2, 1), _lane(1, 2, -1), _lane(2, 2, 1e30))
    final.draw(found, _RATES)
    assert _points(final.dots) == [_RATES[:2], [1, -1]]  # on a linear axis
    assert final.triangles.x.tolist() == [_RATES[2]]
    assert final.triangles.colors == lane_colours(4)[2:3]
    assert len(final.crosses.x) == 0
    assert final.texts_before.text.tolist() == ["1e30"]
    assert final._losses.limits[1] < 10


def test_a_lane_that_learned_nothing_flattens_no_bar(final: FinalLosses) -> None:
    final.draw(_outcomes(_lane(0, 0.2, 0.1), _lane(1, 2, 0.12), _lane(2, 2, 2)), _RATES)
    assert final.dots.x.tolist() == _RATES[:2]
    assert final.texts_before.text.tolist() == ["2"]
    low, high = final._losses.limits
    assert high - low < 0.5  # decades; 2 is 1.2 decades above the others


def test_what_has_not_ended_is_not_drawn(final: FinalLosses) -> None:
    final.draw({}, _RATES)
    assert not final._losses.axis.visible
    final.draw(_outcomes(_lane(0, 2, 1), _lane(1, 2, 1, reason=None)), _RATES)
    assert final.dots.x.tolist() == [_RATES[0]]
    assert final._losses.axis.visible
    final.draw(_outcomes(_lane(0, 2, math.inf, reason="non_finite")), _RATES)
    assert len(final.dots.x) == 0


def test_the_range_to_try(final: FinalLosses) -> None:
    final.show_range(Suggestion(0.02, 0.01, 0.03))
    assert _points(final.band) == [[0.01, 0.03], [1, 1]]
    final.show_range(NO_SUGGESTION)
    assert len(final.band.x) == 0


def test_a_click_on_a_dot_picks_its_rate(
    final: FinalLosses, picked: list[float]
) -> None:
    final.draw(_ENDED, _RATES)
    click_dot(final, 1)
    click_dot(final, 3)  # it has gone since
    assert picked == [_RATES[1]]


def test_the_rates_are_those_of_the_chart(final: FinalLosses) -> None:
    scales = {mark.scales["x"] for mark in final.figure.marks}
    assert scales == {final.figure.axes[0].scale}
