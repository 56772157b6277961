from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lrwidget.curve.spread import spread

_GRID = np.geomspace(1e-3, 1, 8)
_LINES = st.lists(st.dictionaries(st.integers(0, 7), st.floats(-1e6, 1e6)), max_size=6)


@given(_LINES)
def test_spread_against_its_definition(lines: list[dict[int, float]]) -> None:
    losses_at = {
        rate: [line[index] for line in lines if index in line]
        for index, rate in enumerate(_GRID)
    }
    shared = {rate: losses for rate, losses in losses_at.items() if len(losses) >= 3}
    found = spread(
        [
            (_GRID[sorted(line)], np.array([line[i] for i in sorted(line)]))
            for line in lines
        ]
    )
    if not shared:
        assert found is None
        return
    assert found is not None
    assert found.lrs.tolist() == list(shared)
    assert found.median.tolist() == [np.median(losses) for losses in shared.values()]
    assert found.low.tolist() == [min(losses) for losses in shared.values()]
    assert found.high.tolist() == [max(losses) for losses in shared.values()]


def test_two_lines_have_no_spread() -> None:
    line = _GRID, np.ones(8)
    assert spread([line, line]) is None
    assert spread([line, line, line]) is not None
