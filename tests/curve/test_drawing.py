from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from lrwidget.curve import drawing
from lrwidget.curve.lr_curve import LRCurve
from lrwidget.curve.suggestion import Suggestion
from tests.curves import fitted

if TYPE_CHECKING:
    from matplotlib.lines import Line2D

    from lrwidget.curve.arrays import FloatArray

_X = np.linspace(-7, 1, 100)


def _curve() -> LRCurve:
    losses = 1 / (1 + np.exp(2 * (_X + 2.5))) + np.where(_X > 0.5, 10 ** (40 * _X), 0)
    return LRCurve(10**_X, losses)


def _points(line: Line2D) -> tuple[FloatArray, FloatArray]:
    x, y = np.asarray(line.get_xydata(), np.float64).T
    return x, y


def test_raw_and_trend_and_suggestion_and_choice() -> None:
    curve = _curve()
    lr, low, high, _ = curve.suggestion("descent")
    ax = Figure().subplots()
    assert curve.plot(ax, smoothing=0.3, choice=0.01) is ax
    raw, trend, suggestion, choice = ax.lines
    np.testing.assert_array_equal(_points(raw), [curve.lrs, curve.losses])
    losses, errors = fitted(curve, 0.3)
    np.testing.assert_array_equal(_points(trend), [curve.lrs, losses])
    assert raw.get_linewidth() < trend.get_linewidth()
    assert (raw.get_alpha() or 1) < (trend.get_alpha() or 1)
    (errors_of_trend,) = ax.collections
    corners = np.asarray(errors_of_trend.get_paths()[0].vertices)
    for edge in (losses - 2 * errors, losses + 2 * errors):
        apart = np.abs(corners[:, None] - np.c_[curve.lrs, edge]).sum(-1)
        assert apart.min(0).max() < 1e-12
    assert list(_points(suggestion)[0]) == [lr]
    assert suggestion.get_marker() == "D"
    assert set(_points(choice)[0]) == {0.01}
    assert choice.get_marker() == "o"
    assert [text.get_text() for text in ax.texts] == ["1.0e-2"]
    (band,) = ax.patches
    assert band.get_extents().transformed(ax.transData.inverted()).intervalx == (
        pytest.approx((low, high))
    )
    assert [to_hex(line.get_color()) for line in ax.lines] == [
        *(drawing.CURVE, drawing.CURVE, drawing.SUGGESTION, drawing.CHOICE),
    ]
    assert ax.get_xscale() == "log"
    assert ax.get_ylim()[1] < 2


def test_the_suggestion_is_on_the_trend() -> None:
    curve = _curve()
    ax = Figure().subplots()
    curve.plot(ax, smoothing="fastai", rule="valley")
    _, trend, suggestion = ax.lines
    np.testing.assert_array_equal(_points(trend), [curve.lrs, curve.smoothed()])
    assert not ax.collections  # the mean has no standard errors
    (lr,), (loss,) = _points(suggestion)
    assert lr == curve.suggest("valley")
    assert loss == _points(trend)[1][np.searchsorted(curve.lrs, lr)]
    assert not ax.patches  # fastai's rules know no doubt


def test_a_checked_suggestion_takes_the_place_of_that_of_the_rule() -> None:
    ax = Figure().subplots()
    drawing.draw(ax, _curve(), checked=Suggestion(0.02, 0.01, 0.05))
    _, labels = ax.get_legend_handles_labels()
    assert labels[-2:] == ["suggestion 2.0e-2", "checked by training: 1.0e-2 to 5.0e-2"]
    assert list(_points(ax.lines[-1])[0]) == [0.02]


def test_the_training_losses_beside_those_of_validations() -> None:
    curve = _curve()
    trained = np.where(np.arange(100) == 3, np.nan, 2 - _X / 10)
    ax = Figure().subplots()
    LRCurve(curve.lrs, curve.losses, train_losses=trained).plot(ax)
    training, raw, *_ = ax.lines
    known = np.isfinite(trained)
    np.testing.assert_array_equal(_points(training), [curve.lrs[known], trained[known]])
    np.testing.assert_array_equal(_points(raw), [curve.lrs, curve.losses])
    assert training.get_fillstyle() == "none"
    assert (training.get_linestyle(), raw.get_linestyle()) == ("None", "-")
    labels = [line.get_label() for line in (training, raw)]
    assert labels == ["training loss", "validation loss"]
    low, high = ax.get_ylim()
    assert low < curve.losses.min() < np.nanmax(trained) < high


def test_a_long_curve_is_thinned_but_for_its_extremes() -> None:
    losses = np.random.default_rng(0).normal(size=100_000)
    curve = LRCurve(np.geomspace(1e-7, 10, len(losses)), losses)
    ax = Figure().subplots()
    curve.plot(ax)
    for line, values in zip(ax.lines, (losses, fitted(curve)[0]), strict=False):
        drawn = _points(line)[1]
        assert len(drawn) <= 2000
        assert (drawn.min(), drawn.max()) == (values.min(), values.max())


@pytest.mark.parametrize("losses", [[], [np.nan], [np.inf, np.nan]])
def test_a_curve_without_a_finite_loss(losses: list[float]) -> None:
    ax = Figure().subplots()
    LRCurve(np.geomspace(0.1, 1, len(losses)), np.array(losses)).plot(ax)
    assert [len(_points(line)[0]) for line in ax.lines] == [0, 0]
    assert [text.get_text() for text in ax.texts] == ["no finite loss"]


def test_a_choice_beyond_the_curve_is_in_sight() -> None:
    ax = Figure().subplots()
    LRCurve(np.array([1e-5, 1e-4]), np.array([2.0, 1.0])).plot(ax, choice=0.1)
    low, high = ax.get_xlim()
    assert low < 1e-5
    assert high > 0.1


@pytest.mark.parametrize(("choice", "side"), [(1e-7, "left"), (9.0, "right")])
def test_the_label_is_beside_the_handle_and_inside(choice: float, side: str) -> None:
    ax = Figure().subplots()
    _curve().plot(ax, choice=choice)
    assert ax.texts[0].get_horizontalalignment() == side


def test_two_curves_on_the_same_axes_are_both_in_sight() -> None:
    ax = Figure().subplots()
    one = LRCurve(np.geomspace(1e-3, 1, 50), np.linspace(9, 8, 50))
    other = LRCurve(np.geomspace(1e-6, 1e-2, 50), np.linspace(3, 2, 50))
    for curve in (one, other):
        curve.plot(ax)
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    assert left < 1e-6
    assert right > 1
    assert bottom < 2
    assert top > 9


def test_one_point_is_seen() -> None:
    ax = Figure().subplots()
    LRCurve(np.array([0.1]), np.array([2.0])).plot(ax)
    assert [line.get_marker() for line in ax.lines] == ["o", "o"]
    assert ax.get_xlim()[0] < 0.1 < ax.get_xlim()[1]


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_losses_are_written_in_short(scale: float) -> None:
    ax = Figure().subplots()
    losses = np.linspace(0.3, -0.28, 50) * scale
    LRCurve(np.geomspace(1e-3, 1, 50), losses).plot(ax)
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert [float(label) for label in labels] == pytest.approx(ax.get_yticks())
    assert "0" in labels
    assert max(map(len, labels)) <= len("-4e-31")
