from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lrwidget.curve.axis import rate_ticks

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
