from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lrwidget.curve.ticks import rate_ticks
from lrwidget.ui.axes import logarithm_ticks, number_ticks

if TYPE_CHECKING:
    from lrwidget.ui.axes import Axes


def _scales(axes: Axes) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the limits of the rates and of the losses."""
    rates, losses = axes.on_curve["x"], axes.on_curve["y"]
    return (rates.min, rates.max), (losses.min, losses.max)


def test_they_say_what_they_are(axes: Axes) -> None:
    assert [axis.label for axis in axes.both] == ["learning rate", "loss"]


def test_marks_share_the_rates_and_not_the_heights(axes: Axes) -> None:
    assert axes.on_plot["x"] is axes.on_curve["x"]
    axes.show_losses((2.0, 5.0), logarithmic=False)
    share = axes.on_plot["y"]
    assert (share.min, share.max) == (0, 1)
    assert _scales(axes)[1] == (2, 5)


def test_other_rates_have_other_ticks(axes: Axes) -> None:
    axis, _ = axes.both
    for ends in ((1e-3, 0.5), (1e-9, 1e3), (1e-7, 10.0)):
        axes.show_rates(*ends)
        assert axes.range == _scales(axes)[0] == ends
        np.testing.assert_array_equal(axis.tick_values, rate_ticks(*ends))


def _by_label(axis: Any) -> dict[str, float]:
    """Return the ticks by what is written there, as the browser finds that."""
    found = {}
    for tick in axis.tick_values.tolist():
        (label,) = (
            label for name, label in axis.tick_labels.items() if float(name) == tick
        )
        found[label] = tick
    return found


def test_ticks_are_labelled_as_people_write_them(axes: Axes) -> None:
    axis, _ = axes.both
    axes.show_rates(1e-7, 10.0)
    labels = "1e-7 1e-6 1e-5 1e-4 1e-3 1e-2 1e-1 1 10"
    assert " ".join(_by_label(axis)) == labels
    # The labels are found by what the browser makes of a tick, as JavaScript does.
    as_in_javascript = ["1e-7", "0.000001", "0.00001", "0.0001", "0.001", "0.01", "0.1"]
    assert list(axis.tick_labels)[:7] == as_in_javascript
    assert list(axis.tick_labels)[7:] == ["1", "10"]


def test_a_logarithmic_axis_names_the_losses(axes: Axes) -> None:
    _, axis = axes.both
    axes.show_losses((-0.9, 0.9), logarithmic=True)
    assert _scales(axes)[1] == (-0.9, 0.9)
    ticks = _by_label(axis)
    assert list(ticks) == ["0.2", "0.5", "1", "2", "5"]
    np.testing.assert_allclose([*ticks.values()], np.log10([0.2, 0.5, 1, 2, 5]))
    assert axis.tick_labels["0"] == "1"


def test_a_linear_axis_has_its_own_ticks_again(axes: Axes) -> None:
    _, axis = axes.both
    axes.show_losses((-1.0, 1.0), logarithmic=True)
    axes.show_losses((0.5, 2.0), logarithmic=False)
    ticks = _by_label(axis)
    assert list(ticks) == ["0.6", "0.8", "1", "1.2", "1.4", "1.6", "1.8", "2"]
    np.testing.assert_allclose([*ticks.values()], [float(label) for label in ticks])


def test_what_is_far_outside_is_kept_near(axes: Axes) -> None:
    axes.show_losses((1.0, 3.0), logarithmic=False)
    kept = axes.kept(np.array([-1e300, 0.0, 2.0, 4.0, 1e300]))
    assert kept.tolist() == [-19, 0, 2, 4, 23]


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.0, 1.0, "0 0.2 0.4 0.6 0.8 1"),
        (-100.4, -86.9, "-100 -98 -96 -94 -92 -90 -88"),
        (6.9e30, 1.25e31, "7e30 8e30 9e30 1e31 1.1e31 1.2e31"),
        (8.9e-12, 1.21e-11, "9e-12 9.5e-12 1e-11 1.05e-11 1.1e-11 1.15e-11 1.2e-11"),
        (0.69299, 0.69327, "0.693 0.69305 0.6931 0.69315 0.6932 0.69325"),
        (-1.7e308, 1.7e308, ""),
    ],
)
def test_losses_are_written_at_round_numbers(
    low: float, high: float, labels: str
) -> None:
    ticks = number_ticks(low, high)
    assert list(ticks.values()) == labels.split()
    for place, text in ticks.items():
        assert place == pytest.approx(float(text))


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (-3.5, 1.5, "0.001 0.01 0.1 1 10"),
        (-0.9, 0.9, "0.2 0.5 1 2 5"),
        (math.log10(2), math.log10(3), "2 2.2 2.4 2.6 2.8 3"),
        (-310.0, -295.0, "1e-300 1e-299 1e-298 1e-297 1e-296 1e-295"),
        (304.5, 308.2, "1e305 1e306 1e307 1e308"),
        (300.0, 300.9, "1e300"),
    ],
)
def test_each_logarithm_has_its_number(low: float, high: float, labels: str) -> None:
    ticks = logarithm_ticks(low, high)
    assert list(ticks.values()) == labels.split()
    for place, text in ticks.items():
        assert place == pytest.approx(math.log10(float(text)))


@given(st.floats(-320, 299), st.floats(1e-3, 620))
def test_ticks_of_any_losses(low: float, height: float) -> None:
    assume(-290 < low + height <= 308)
    ticks = logarithm_ticks(low, low + height)
    assert 3 <= len(ticks) <= 10
    for place, text in ticks.items():
        assert max(low, -300) - 1e-9 <= place <= low + height + 1e-9
        assert float(text) == pytest.approx(10**place, rel=1e-5)
