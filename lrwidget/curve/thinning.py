"""Fewer points for a line that looks the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from tsdownsample import M4Downsampler

if TYPE_CHECKING:
    import numpy.typing as npt

    from lrwidget.curve.arrays import FloatArray


def thinned(x: FloatArray, y: FloatArray, most: int) -> npt.NDArray[np.intp]:
    """
    Return which points of a line to draw.

    The plot is cut into equally wide columns, and of each the first, the last, the
    lowest and the highest point are kept: M4 (Jugel et al., VLDB 2014), whose line
    covers the same pixels where a column is as wide as one.

    Parameters
    ----------
    x:
        Where the points are on the axis as it is shown, so logarithms on a
        logarithmic one: finite and never falling.
    y:
        The heights, as many, and finite.
    most:
        How many points to keep at most, 8 or more.

    Returns
    -------
    :
        Increasing indices: all of them, if there are no more than ``most``.
    """
    if len(x) <= most:
        return np.arange(len(x))
    # As shares of the width: where they all but coincide, tsdownsample 0.1.5 panics.
    width = x[-1] - x[0]
    shares = (x - x[0]) / width if width > 0 else np.linspace(0.0, 1.0, len(x))
    kept = M4Downsampler().downsample(
        shares, np.ascontiguousarray(y), n_out=most - most % 4
    )
    kept = np.sort(kept.astype(np.intp))  # np.unique takes several times as long
    return kept[np.diff(kept, prepend=-1) > 0]
