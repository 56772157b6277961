"""Where to write beside lines, so that no text covers another."""

from __future__ import annotations

from typing import TypeAlias

# Of a text, in shares of a plot.
_WIDTH, _HEIGHT = 0.09, 0.075
_ABOVE = 1.05

Place: TypeAlias = tuple[float, float]


def apart(places: dict[str, Place]) -> dict[str, Place]:
    """
    Move texts up or down until none covers another, in the order of their heights.

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
    rising = sorted(places, key=lambda text: places[text][1])
    moved: dict[str, Place] = {}
    for text in rising:
        x, y = places[text]
        moved[text] = x, max([y, *(low + _HEIGHT for low in _beside(x, moved))])
    settled: dict[str, Place] = {}
    for text in reversed(rising):
        x, y = moved[text]
        top = max(1.0, places[text][1])
        settled[text] = x, min([y, top, *(h - _HEIGHT for h in _beside(x, settled))])
    return settled


def _beside(x: float, places: dict[str, Place]) -> list[float]:
    """Return the heights of the texts that one at a place might cover."""
    return [height for other, height in places.values() if abs(other - x) < _WIDTH]


def in_a_row(places: dict[str, float]) -> dict[str, Place]:
    """Put texts into a row above the plot, each as far left as it may, or at its x."""
    row: dict[str, Place] = {}
    free = 0.0
    for text in sorted(places, key=lambda text: places[text]):
        x = max(places[text], free)
        row[text] = x, _ABOVE
        free = x + _WIDTH * 0.6
    return row
