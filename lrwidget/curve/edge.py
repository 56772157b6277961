"""The edge of a curve: the rate from which on the loss is unstable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lrwidget.curve.lr_curve import LRCurve

# The width of the fit from which edge and suggestion are computed, in decades. The
# display has no influence on it. A narrower fit takes more of the noise for a descent.
WIDTH = 0.35

FEWEST = 10  # finite losses, for an edge and for a suggestion
# Heights above the level of the start, in multiples of its noise.
_HIGH = 2.5  # a loss above this height has risen
_FAR = 7.0  # a loss above this height counts as three risen losses
_SHARE = 0.25  # the smallest share of risen losses from the edge on


def unstable_from(curve: LRCurve) -> float | None:
    """
    Return the rate from which on losses have risen above the start.

    The surplus at a rate is the number of risen losses from there to the last rate,
    less a quarter of all losses there. The edge is the rate with the largest surplus,
    after the lowest point of the fit. None if the losses at the end have not risen, or
    if fewer than ten are finite. NaN is left out; infinity counts as risen.
    """
    known = np.isfinite(curve.losses) | (curve.losses == np.inf)
    lrs, losses, fit = curve.lrs[known], curve.losses[known], curve.fit(WIDTH)
    if int(np.isfinite(losses).sum()) < FEWEST:
        return None
    # High losses before the descent are no rise.
    first = min(int(np.searchsorted(lrs, fit.lrs[fit.lowest()])), len(lrs) - 1)
    level, noise, _, highest = fit.start
    risen = (losses[first:] > level + _HIGH * noise).astype(np.float64)
    # A loss a little above the start may be noise; one far above it counts as three.
    risen += 2.0 * (losses[first:] > max(highest, level + _FAR * noise))
    surplus = np.cumsum(risen[::-1] - _SHARE)[::-1]
    edge = int(np.argmax(surplus))
    return float(lrs[first + edge]) if surplus[edge] > 1 else None
