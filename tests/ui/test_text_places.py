from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from lrwidget.ui.text_places import apart, beside_dots

_SHARES = st.floats(0, 1)
_PLACES = st.lists(st.tuples(_SHARES, _SHARES), max_size=12).map(
    lambda places: dict(enumerate(places))
)


def test_what_is_apart_stays() -> None:
    places = {0: (1.0, 0.1), 1: (1.0, 0.9), 2: (0.2, 0.9)}
    assert apart(places) == places


@given(_PLACES)
def test_no_text_covers_another(places: dict[int, tuple[float, float]]) -> None:
    moved = apart(places)
    assert moved.keys() == places.keys()
    assert all(moved[text][0] == places[text][0] for text in places)
    for one, other in combinations(moved.values(), 2):
        assert abs(one[0] - other[0]) >= 0.09 or abs(one[1] - other[1]) >= 0.0749


@given(_PLACES)
def test_texts_keep_their_order(places: dict[int, tuple[float, float]]) -> None:
    moved = apart({text: (1.0, y) for text, (_, y) in places.items()})
    by_height = sorted(places, key=lambda text: places[text][1])
    heights = [moved[text][1] for text in by_height]
    assert heights == sorted(heights)


def test_texts_at_an_edge_move_inside() -> None:
    low = apart({0: (1.0, 0.0), 1: (1.0, 0.01)})
    assert min(y for _, y in low.values()) == 0
    high = apart({0: (1.0, 1.0), 1: (1.0, 0.99)})
    assert max(y for _, y in high.values()) == 1


def test_of_too_many_texts_some_are_left_out() -> None:
    kept = apart({number: (1.0, number / 29) for number in range(30)})
    assert len(kept) == 12
    assert {0, 29} <= kept.keys()
    heights = sorted(y for _, y in kept.values())
    assert heights[0] >= 0
    assert heights[-1] <= 1


def test_a_text_beside_a_dot_is_where_there_is_room() -> None:
    # alone: above; at the top: below; of two at one place, the first one alone
    assert beside_dots({0: (0.5, 0.5)})[0][1] > 0.5
    assert beside_dots({0: (0.5, 1.0)})[0][1] < 1
    assert 1 not in beside_dots(dict.fromkeys(range(2), (0.5, 0.0)))
    assert beside_dots({0: (0.5, 0.0)}, [(0.53, 0.1)]) == {}
    assert beside_dots({0: (0.99, 0.5)}) == {}
