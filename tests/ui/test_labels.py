from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from lrwidget.ui.labels import apart, in_a_row

_SHARES = st.floats(0, 1)
_PLACES = st.lists(st.tuples(_SHARES, _SHARES), max_size=12).map(
    lambda places: {str(number): place for number, place in enumerate(places)}
)


def test_what_is_apart_stays() -> None:
    places = {"a": (1.0, 0.1), "b": (1.0, 0.9), "c": (0.2, 0.9)}
    assert apart(places) == places


@given(_PLACES)
def test_no_text_covers_another(places: dict[str, tuple[float, float]]) -> None:
    moved = apart(places)
    assert moved.keys() == places.keys()
    assert all(moved[text][0] == places[text][0] for text in places)
    for one, other in combinations(moved.values(), 2):
        assert abs(one[0] - other[0]) >= 0.09 or abs(one[1] - other[1]) >= 0.0749


@given(_PLACES)
def test_texts_keep_their_order(places: dict[str, tuple[float, float]]) -> None:
    moved = apart({text: (1.0, y) for text, (_, y) in places.items()})
    by_height = sorted(places, key=lambda text: places[text][1])
    heights = [moved[text][1] for text in by_height]
    assert heights == sorted(heights)


def test_texts_at_an_edge_move_inside() -> None:
    low = apart({"a": (1.0, 0.0), "b": (1.0, 0.01)})
    assert min(y for _, y in low.values()) == 0
    high = apart({"a": (1.0, 1.0), "b": (1.0, 0.99)})
    assert max(y for _, y in high.values()) == 1


def test_a_row_keeps_the_order() -> None:
    row = in_a_row({"b": 0.02, "a": 0.01, "c": 0.5})
    assert row["a"][0] == 0.01
    assert row["b"][0] > row["a"][0] + 0.05
    assert row["c"][0] == 0.5
    assert {y for _, y in row.values()} == {1.05}
