from __future__ import annotations

import math
from typing import TYPE_CHECKING

import ipywidgets as ipw
import numpy as np
import pytest

from lrwidget.curve.loss_limits import loss_limits, whole_limits
from lrwidget.ui.view_options import ViewBar, ViewOptions
from lrwidget.ui.widgets import close_with_parts
from tests.curves import LRS, curve_of, fitted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lrwidget.curve.trend import Smoothing

_VALLEY = curve_of(*np.r_[np.linspace(2, 1, 40), np.geomspace(1, 1e9, 10)])
_ENDLESS = curve_of(2.0, math.nan, 1.0, math.inf, 0.5)


def _bar(
    smoothing: Smoothing | None,
    loss_name: str = "loss",
    on_change: Callable[[], object] = lambda: None,
) -> ViewBar:
    return ViewBar(smoothing, loss_name, on_change, ipw.Label())


@pytest.fixture
def changes() -> list[ViewOptions]:
    return []


@pytest.fixture
def bar(changes: list[ViewOptions]) -> Iterator[ViewBar]:
    made: ViewBar = _bar("automatic", "loss", lambda: changes.append(made.view))
    yield made
    close_with_parts(made)


@pytest.mark.parametrize(("smoothing", "width"), [("automatic", None), (0.3, 0.3)])
def test_raw_losses_and_their_fit_are_seen(
    smoothing: Smoothing, width: float | None
) -> None:
    sight = ViewOptions(smoothing).of(_VALLEY)
    np.testing.assert_array_equal(sight.lrs, _VALLEY.lrs)
    np.testing.assert_array_equal(sight.raw, _VALLEY.losses)
    losses, errors = fitted(_VALLEY, width)
    np.testing.assert_array_equal(sight.trend, losses)
    assert sight.band is not None
    np.testing.assert_allclose(
        sight.band, [losses - 2 * errors, losses + 2 * errors], rtol=1e-12
    )


def test_the_mean_of_fastai_has_no_band() -> None:
    sight = ViewOptions("fastai").of(_VALLEY)
    np.testing.assert_array_equal(sight.trend, _VALLEY.smoothed(0.98))
    assert sight.band is None


@pytest.mark.parametrize(("first", "last"), [(0, 5), (7, 0), (7, 5), (49, 0)])
def test_the_first_and_last_points_are_left_out(first: int, last: int) -> None:
    whole, sight = (
        ViewOptions().of(_VALLEY),
        ViewOptions(skip_first=first, skip_last=last).of(_VALLEY),
    )
    seen = slice(first, 50 - last)
    np.testing.assert_array_equal(sight.lrs, whole.lrs[seen])
    np.testing.assert_array_equal(sight.raw, whole.raw[seen])
    # what is left out was fitted with, so that the line does not move
    np.testing.assert_array_equal(sight.trend, whole.trend[seen])
    assert sight.band is not None
    assert whole.band is not None
    np.testing.assert_array_equal(sight.band, whole.band[:, seen])


@pytest.mark.parametrize(
    ("first", "last"), [(50, 0), (0, 50), (0, 60), (30, 30), (99, 99)]
)
def test_nothing_is_left(first: int, last: int) -> None:
    sight = ViewOptions(0.3, first, last).of(_VALLEY)
    assert (len(sight.lrs), sight.limits) == (0, None)


def test_logarithms_of_the_losses() -> None:
    sight = ViewOptions(logarithmic=True).of(_VALLEY)
    np.testing.assert_allclose(10**sight.raw, _VALLEY.losses)
    # the logarithm of the fit, and not the fit of the logarithms
    losses, errors = fitted(_VALLEY)
    np.testing.assert_allclose(10**sight.trend, losses)
    assert sight.band is not None
    np.testing.assert_allclose(
        10**sight.band, [losses - 2 * errors, losses + 2 * errors]
    )


def test_the_band_of_logarithms_ends_where_there_is_none() -> None:
    curve = curve_of(*np.where(np.arange(40) % 2, 1e-3, 1.0))
    losses, errors = fitted(curve)
    negative = losses < 2 * errors
    assert negative.any()
    sight = ViewOptions(logarithmic=True).of(curve)
    assert sight.band is not None
    np.testing.assert_array_equal(sight.band[0] == -np.inf, negative)
    assert np.isfinite(sight.band[1]).all()


def test_a_fit_below_0_is_at_the_lowest_loss_of_logarithms() -> None:
    curve = curve_of(*np.r_[np.linspace(2, 0.1, 20), np.full(20, 1e-3)])
    sight = ViewOptions(logarithmic=True).of(curve)
    below = fitted(curve)[0] < 1e-3
    assert below.any()
    np.testing.assert_allclose(sight.trend[below], -3)
    assert len(sight.lrs) == 40


def test_what_has_no_logarithm_is_not_seen() -> None:
    curve = curve_of(2.0, 0.0, -1.0, 1.0)
    assert len(ViewOptions().of(curve).lrs) == 4
    sight = ViewOptions(logarithmic=True).of(curve)
    assert sight.lrs.tolist() == [LRS[0], LRS[3]]
    assert ViewOptions(logarithmic=True).of(curve_of(-1.0, -2.0)).limits is None


def test_what_is_not_finite_is_not_seen() -> None:
    sight = ViewOptions(0.5).of(_ENDLESS)
    assert sight.lrs.tolist() == LRS[[0, 2, 4]].tolist()
    assert np.isfinite([*sight.raw, *sight.trend]).all()


@pytest.mark.parametrize("logarithmic", [False, True])
def test_the_limits_are_those_of_the_interesting_part(*, logarithmic: bool) -> None:
    sight = ViewOptions(0.5, logarithmic=logarithmic).of(_VALLEY)
    assert sight.limits == loss_limits(sight.raw, sight.trend)
    assert sight.limits is not None
    assert sight.limits[1] < (math.log10(3) if logarithmic else 3)


def test_all_can_be_shown() -> None:
    sight = ViewOptions(0.5, everything=True).of(_VALLEY)
    assert sight.limits == whole_limits(_VALLEY.losses)
    assert sight.limits is not None
    assert sight.limits[1] > 1e9


def test_the_trend_is_shown_where_its_beginning_is_left_out() -> None:
    sight = ViewOptions("fastai", skip_first=1, everything=True).of(
        curve_of(100.0, *[1.0] * 9)
    )
    assert sight.limits is not None
    assert sight.limits[0] < 1
    assert sight.limits[1] > sight.trend.max() > 40


def test_the_bar_says_how_to_look(bar: ViewBar, changes: list[ViewOptions]) -> None:
    assert bar.view == ViewOptions("automatic")
    bar.smoothing.set_state({"index": 5})
    bar.hide_first.set_state({"value": 2})
    bar.hide_last.set_state({"value": 10})
    bar.logarithmic.set_state({"value": True})
    bar.everything.set_state({"value": True})
    assert changes == [
        ViewOptions(0.2),
        ViewOptions(0.2, 2),
        ViewOptions(0.2, 2, 10),
        ViewOptions(0.2, 2, 10, logarithmic=True),
        ViewOptions(0.2, 2, 10, logarithmic=True, everything=True),
    ]


def test_the_slider_rests_while_the_mean_of_fastai_is_drawn(
    bar: ViewBar, changes: list[ViewOptions]
) -> None:
    bar.smoothing.value = 0.2
    bar.fastai.set_state({"value": True})
    assert bar.smoothing.disabled
    bar.fastai.set_state({"value": False})
    assert not bar.smoothing.disabled
    assert [view.smoothing for view in changes] == [0.2, "fastai", 0.2]


@pytest.mark.parametrize("smoothing", ["fastai", "automatic", 0.05, 0.123, 0.8])
def test_the_bar_begins_with_any_smoothing(smoothing: Smoothing) -> None:
    bar = _bar(smoothing)
    assert bar.view.smoothing == smoothing
    assert bar.smoothing.disabled == (smoothing == "fastai")
    _automatic, *widths = (value for _, value in bar.smoothing.options)
    assert widths == sorted(widths)
    close_with_parts(bar)


@pytest.mark.parametrize("loss_name", ["loss", "validation loss"])
def test_the_key_explains_what_is_drawn(loss_name: str) -> None:
    bar = _bar("automatic", loss_name)
    batch = "one batch" if loss_name == "loss" else "validation loss"
    for repeats, checked, fastai in ((False, False, False), (True, True, True)):
        bar.fastai.value = fastai
        bar.explain(dots=True, repeats=repeats, checked=checked)
        key = bar.key.value
        assert batch in key
        assert ("repeated runs" in key) == repeats
        assert ("range to try (checked)" in key) == checked
        assert ("standard errors" in key) != fastai
    dots = bar.key.value
    assert "training loss" not in dots
    bar.explain(dots=True, repeats=True, checked=True, training=True)
    assert "training loss" in bar.key.value
    assert "validation loss</span>" in bar.key.value
    bar.explain(dots=False, repeats=True, checked=True)
    assert bar.key.value != dots
    close_with_parts(bar)


def test_the_next_bar_begins_as_this_one_was_left() -> None:
    first = _bar(None)
    assert first.view == ViewOptions()
    assert first.seldom.layout.display == "none"
    first.more.set_state({"value": True})
    first.smoothing.set_state({"index": 5})
    first.logarithmic.set_state({"value": True})
    first.hide_first.set_state({"value": 3})  # depends on the run
    second, given = _bar(None), _bar("automatic")
    assert second.view == ViewOptions(0.2, logarithmic=True)
    assert second.seldom.layout.display is None
    assert given.view == ViewOptions("automatic", logarithmic=True)
    second.fastai.set_state({"value": True})
    third = _bar(None)
    assert third.view.smoothing == "fastai"
    for bar in (first, second, given, third):
        close_with_parts(bar)
