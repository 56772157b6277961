"""The part of a curve that is worth looking at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_MARGIN = 0.08
_LEAST_SPAN = 0.02


def loss_limits(
    losses: npt.NDArray[np.float64], smoothed: npt.NDArray[np.float64]
) -> tuple[float, float] | None:
    """
    Return the range of losses to show, so that an explosion flattens nothing.

    It spans the smoothed curve down to its minimum together with the bulk of
    the raw losses on that way; what comes after the minimum may leave it.

    Parameters
    ----------
    losses:
        Raw losses, which may hold NaN and infinity.
    smoothed:
        The smoothed losses, as many.

    Returns
    -------
    :
        The lowest and the highest loss to show, or None without a finite loss.
    """
    finite = np.isfinite(losses) & np.isfinite(smoothed)
    if not finite.any():
        return None
    raw, mean = losses[finite], smoothed[finite]
    descent = slice(None, int(np.argmin(mean)) + 1)
    low = min(mean.min(), np.quantile(raw[descent], 0.02))
    high = max(mean[descent].max(), np.quantile(raw[descent], 0.98))
    lacking = max(_LEAST_SPAN * max(abs(low), abs(high)), 1e-12) - (high - low)
    margin = _MARGIN * (high - low) + max(lacking, 0) / 2
    return float(low - margin), float(high + margin)
