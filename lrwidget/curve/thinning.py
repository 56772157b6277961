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
    Return the increasing indices of at most so many points of a line to draw.

    The plot is cut into equally wide columns, and of each the first, the last, the
    lowest and the highest point are kept: M4 (Jugel et al., VLDB 2014), whose line
    covers the same pixels where a column is as wide as one.

    The places on the axis are as displayed, so logarithms on a logarithmic axis: finite
    and never falling. The heights are finite, too. The number is 8 or more.
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
