"""The places of texts in a plot, so that none covers another."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

# A place is in shares of the width and the height of the plot, a text a number.
Place: TypeAlias = tuple[float, float]
Places: TypeAlias = dict[int, Place]

# The size of a text at the end of a line, in shares of the plot.
_TEXT_WIDTH, _TEXT_HEIGHT = 0.09, 0.075
_MOST_TEXTS = 12  # that fit into the height of the plot
# The size of a text beside a dot, in shares of a plot that is 600 x 100 pixels.
_NAME_WIDTH, _NAME_HEIGHT = 0.055, 0.14
_GAP, _STEP, _BELOW = 0.012, 0.12, 0.03
_DOT_WIDTH, _DOT_HEIGHT = 0.012, 0.08


def apart(places: Places) -> Places:
    """
    Move texts up or down until none covers another, in the order of their heights.

    Of more texts than have room, some are left out, but not the highest and the lowest.
    """
    rising = sorted(places, key=lambda text: places[text][1])
    if len(rising) > _MOST_TEXTS:
        kept = np.linspace(0, len(rising) - 1, _MOST_TEXTS).round().astype(int)
        rising = [rising[i] for i in kept]
    moved: Places = {}
    for text in rising:
        x, y = places[text]
        floors = [height + _TEXT_HEIGHT for height in _beside(x, moved)]
        moved[text] = x, max([y, *floors])
    settled: Places = {}
    for text in reversed(rising):
        x, y = moved[text]
        top = max(1.0, places[text][1])
        ceilings = [height - _TEXT_HEIGHT for height in _beside(x, settled)]
        settled[text] = x, min([y, top, *ceilings])
    return settled


def _beside(x: float, places: Places) -> list[float]:
    """Return the heights of the texts that a text at a place might cover."""
    return [height for other, height in places.values() if abs(other - x) < _TEXT_WIDTH]


def beside_dots(dots: Places, others: Sequence[Place] = ()) -> Places:
    """
    Return the places of the texts to the right of dots, above or below their middle.

    A text has no place if it would cover another text, a dot, or one of the other dots,
    which have no text. The first ones are placed first.
    """
    taken = [
        _box(x - _DOT_WIDTH / 2, y, _DOT_WIDTH, _DOT_HEIGHT)
        for x, y in [*dots.values(), *others]
    ]
    found: Places = {}
    for number, (x, y) in dots.items():
        for height in (y + _STEP, y - _STEP, y):
            box = _box(x + _GAP, height, _NAME_WIDTH, _NAME_HEIGHT)
            inside = box[1] <= 1 and box[2] >= -_BELOW and box[3] <= 1
            if inside and not any(_overlap(box, other) for other in taken):
                found[number] = x, height
                taken.append(box)
                break
    return found


def _box(left: float, middle: float, width: float, height: float) -> tuple[float, ...]:
    """Return left, right, bottom and top."""
    return left, left + width, middle - height / 2, middle + height / 2


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    across = one[0] < other[1] and other[0] < one[1]
    return across and one[2] < other[3] and other[2] < one[3]
