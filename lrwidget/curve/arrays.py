"""Arrays of numbers."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]


def float_array(name: str, values: object) -> FloatArray:
    """
    Return a new one-dimensional array of what a user passed.

    Raises
    ------
    ValueError
        If these are no numbers, or not in one dimension.
    """
    try:
        array = np.array(values, np.float64)
    except (TypeError, ValueError) as error:
        msg = f"{name}={str(values)[:80]} must be numbers: {error}"
        raise ValueError(msg) from error
    if array.ndim != 1:
        msg = f"{name} must be one-dimensional, not of shape {array.shape}"
        raise ValueError(msg)
    return array
