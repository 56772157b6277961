"""Where to write beside lines, so that no text covers another."""

from __future__ import annotations

from typing import TypeAlias

# Of a text, in shares of a plot.
_WIDTH, _HEIGHT = 0.09, 0.075
_ABOVE = 1.05
_MIDDLE = 0.5

Place: TypeAlias = tuple[float, float]


def apart(places: dict[str, Place]) -> dict[str, Place]:
    """
    Move texts up or down, away from the nearer edge, until none covers another.

    Parameters
    ----------
    places:
        From each text to where it would best begin, in shares of the plot's width
        and height.

    Returns
    -------
    :
        From each text to where it begins.
    """
    moved: dict[str, Place] = {}

    def covered(x: float, y: float) -> bool:
        return any(
            abs(other_x - x) < _WIDTH and abs(other_y - y) < _HEIGHT
            for other_x, other_y in moved.values()
        )

    for text in sorted(places, key=lambda text: -abs(places[text][1] - _MIDDLE)):
        x, y = places[text]
        way = (1 if y < _MIDDLE else -1) * _HEIGHT / 5
        while covered(x, y):
            y += way
        moved[text] = x, y
    return moved


def in_a_row(places: dict[str, float]) -> dict[str, Place]:
    """Put texts into a row above the plot, each as far left as it may, or at its x."""
    row: dict[str, Place] = {}
    free = 0.0
    for text in sorted(places, key=lambda text: places[text]):
        x = max(places[text], free)
        row[text] = x, _ABOVE
        free = x + _WIDTH * 0.6
    return row
