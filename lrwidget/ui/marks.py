"""What the charts do with bqplot's marks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lrwidget.curve.thinning import thinned

if TYPE_CHECKING:
    import bqplot
    import numpy.typing as npt

    from lrwidget.curve.arrays import FloatArray

# Nothing to see, stretched over the plot to catch clicks: bqplot tells the place of
# a click on an image, and of no other.
EMPTY_PICTURE = b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'
# Of a line, a column for each four pixels of a wide chart: what takes a page longer to
# draw than it takes a hand to notice shows no more.
MOST_POINTS = 1000


def set_points(
    mark: bqplot.Mark, x: FloatArray | list[float], y: FloatArray | list[float]
) -> None:
    """Set a mark's points in one message, since each one is a redraw."""
    with mark.hold_sync():
        mark.x, mark.y = np.array(x, np.float64), np.array(y, np.float64)


def set_line(line: bqplot.Lines, lrs: FloatArray, losses: FloatArray) -> None:
    """Set the points of a line over rates, as many as a screen can show of them."""
    shown = shown_of(lrs, losses)
    set_points(line, lrs[shown], losses[shown])


def shown_of(lrs: FloatArray, losses: FloatArray) -> npt.NDArray[np.intp]:
    """Return which points of a line a screen can show; the extremes are among them."""
    return thinned(np.log(lrs), losses, MOST_POINTS)
