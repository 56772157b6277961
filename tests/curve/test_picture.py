from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from lrwidget.curve.record import LRCurve


def _curve() -> LRCurve:
    x = np.linspace(-7, 1, 100)
    losses = 1 / (1 + np.exp(2 * (x + 2.5))) + np.where(x > 0.5, 10 ** (40 * x), 0)
    return LRCurve(10**x, losses)


def test_draws_raw_and_smoothed_and_the_suggestion() -> None:
    curve = _curve()
    ax = Figure().subplots()
    assert curve.plot(ax) is ax
    raw, smoothed, suggestion = ax.lines
    np.testing.assert_array_equal(raw.get_xydata(), np.c_[curve.lrs, curve.losses])
    np.testing.assert_array_equal(smoothed.get_ydata(), curve.smoothed())
    assert list(np.ravel(suggestion.get_xdata())) == [curve.suggest()]
    assert ax.get_xscale() == "log"
    assert ax.get_ylim()[1] < 2


def test_a_curve_without_a_suggestion() -> None:
    ax = Figure().subplots()
    LRCurve(np.array([0.1]), np.array([np.nan])).plot(ax)
    assert len(ax.lines) == 2


def test_new_axes_are_drawn_without_a_screen() -> None:
    code = """
import matplotlib, numpy
matplotlib.use("agg")
from lrwidget import LRCurve
assert len(LRCurve(numpy.array([0.1, 0.2]), numpy.array([2., 1.])).plot().lines) == 2
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'lrwidget\[plot\]'"):
        _curve().plot()
