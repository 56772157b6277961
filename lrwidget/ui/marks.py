"""What the charts do with bqplot's marks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import bqplot
    import numpy.typing as npt

# Nothing to see, stretched over the plot to catch clicks: bqplot tells the place of
# a click on an image, and of no other.
EMPTY_PICTURE = b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'


def set_points(
    mark: bqplot.Mark,
    x: npt.NDArray[np.float64] | list[float],
    y: npt.NDArray[np.float64] | list[float],
) -> None:
    """Set a mark's points in one message, since each one is a redraw."""
    with mark.hold_sync():
        mark.x, mark.y = np.array(x, np.float64), np.array(y, np.float64)
