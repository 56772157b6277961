from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lrwidget.curve.lr_curve import LRCurve
from lrwidget.ui.points_table import PointsTable, columns_of
from lrwidget.ui.widgets import close_with_parts
from tests.curves import curve_of, fitted, run_of, sweep
from tests.ui.snapshots import IDLE, snapshot_with

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def table() -> Iterator[PointsTable]:
    table = PointsTable()
    yield table
    close_with_parts(table)


def test_the_points_are_those_of_the_curve_and_of_its_trend() -> None:
    curve = sweep()
    expected = np.array([curve.lrs, curve.losses, fitted(curve)[0]]).T
    columns = columns_of(curve)
    assert list(columns) == ["rate", "loss", "trend"]
    found = np.array(list(columns.values()), float).T
    np.testing.assert_allclose(found, expected, rtol=0.05)


def test_the_training_losses_have_a_column() -> None:
    curve = replace(curve_of(3.0, 2.0), train_losses=np.array([2.5, 1.5]))
    columns = columns_of(curve, "validation loss")
    assert columns["validation loss"] == ["3", "2"]
    assert columns["training loss"] == ["2.5", "1.5"]


def test_of_many_points_a_hundred_stay_with_both_ends() -> None:
    lrs = np.geomspace(1e-6, 1.0, 2000)
    columns = columns_of(LRCurve(lrs, np.linspace(2.0, 1.0, 2000)))
    ends = {name: [float(x[0]), float(x[-1])] for name, x in columns.items()}
    assert [len(x) for x in columns.values()] == [100, 100, 100]
    assert (ends["rate"], ends["loss"]) == ([1e-6, 1.0], [2.0, 1.0])


def test_a_curve_may_have_no_points_or_none_that_are_finite() -> None:
    assert columns_of(curve_of()) == {"rate": [], "loss": [], "trend": []}
    assert columns_of(curve_of(float("nan"), float("inf")))["loss"] == ["nan", "inf"]


def test_it_is_filled_at_the_end_of_a_run(table: PointsTable) -> None:
    run = run_of([3.0, 2.0, 1.0], "a")
    table.show(IDLE)
    table.show(snapshot_with(run, testing=True))
    assert (table.points, table.layout.display) == ([], "none")
    table.show(snapshot_with(run))
    assert (table.title, len(table.points)) == ("Table of the points", 3)
    assert table.layout.display is None
    table.show(snapshot_with(run_of([1.0], "b"), run))
    assert table.title == "Table of the points of a"
