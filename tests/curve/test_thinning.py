from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lrwidget.curve.thinning import thinned

if TYPE_CHECKING:
    from lrwidget.curve.arrays import FloatArray

_NEAR = {"min_value": -1e6, "max_value": 1e6}
_ANY = {"allow_nan": False, "allow_infinity": False}
_COUNT = st.shared(st.integers(1, 300))
_PLACES = arrays(np.float64, _COUNT, elements=_NEAR)
_HEIGHTS = arrays(np.float64, _COUNT, elements=_ANY)


@given(_PLACES, _HEIGHTS, st.integers(8, 40))
def test_ends_and_extremes_are_kept(
    places: FloatArray, y: FloatArray, most: int
) -> None:
    kept = thinned(np.sort(places), y, most)
    assert (np.diff(kept) > 0).all()
    assert kept[0] == 0
    assert kept[-1] == len(y) - 1
    assert len(kept) <= most
    assert y[kept].min() == y.min()
    assert y[kept].max() == y.max()


@pytest.mark.parametrize("count", [0, 1, 8, 9])
def test_few_points_are_all_kept(count: int) -> None:
    x = np.exp2(np.arange(count, dtype=np.float64))
    assert thinned(x, x, 9).tolist() == list(range(count))


def test_each_column_keeps_its_ends_and_extremes() -> None:
    x = np.arange(1000.0)
    y = np.random.default_rng(0).normal(size=1000)
    columns = np.split(np.arange(1000), 10)
    expected = {
        i
        for column in columns
        for i in (
            *(column[0], column[-1]),
            *(column[y[column].argmin()], column[y[column].argmax()]),
        )
    }
    assert set(thinned(x, y, 40)) == expected


def test_columns_are_equally_wide_on_the_axis() -> None:
    x = np.log(np.linspace(1e-7, 10, 100_000))
    y = np.random.default_rng(0).normal(size=100_000)
    last_eighth = x >= x[-1] - (x[-1] - x[0]) / 8
    assert last_eighth.mean() > 0.89
    kept = last_eighth[thinned(x, y, 2000)]
    assert kept.sum() == pytest.approx(2000 / 8, abs=4)


def test_places_that_are_all_the_same() -> None:
    y = np.r_[0.0, np.ones(98), -1.0]
    y[50] = 2.0
    assert set(thinned(np.zeros(100), y, 8)) >= {0, 50, 99}
