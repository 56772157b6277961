"""The edge of a curve: the rate from which on the loss is unstable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lrwidget.curve.lr_curve import LRCurve

# Of the fit that edge and suggestion are measured on, whatever the display does: a
# narrower one takes more of the noise for a descent.
WIDTH = 0.35  # decades

FEWEST = 10  # losses, with fewer of which neither is measured
# Heights above the level of the start, in multiples of its noise.
_HIGH = 2.5  # a loss above this height has risen
_FAR = 7.0  # a loss above this height counts as three risen losses
_SHARE = 0.25  # the smallest share of risen losses from the edge on


def unstable_from(curve: LRCurve) -> float | None:
    """
    Return the rate from which on losses have risen above the start.

    After the lowest point of the fit, the edge is where the surplus of risen losses,
    up to the last rate, is largest. There is none if no losses rise at the end, and in
    fewer than ten losses. NaN is left out; infinity has risen.
    """
    known = np.isfinite(curve.losses) | (curve.losses == np.inf)
    lrs, losses, fit = curve.lrs[known], curve.losses[known], curve.fit(WIDTH)
    if int(np.isfinite(losses).sum()) < FEWEST:
        return None
    # High losses before the descent are no rise.
    first = min(int(np.searchsorted(lrs, fit.lrs[fit.lowest()])), len(lrs) - 1)
    level, noise, _, highest = fit.start
    risen = (losses[first:] > level + _HIGH * noise).astype(np.float64)
    # A loss that is not far above the start may be there by its noise.
    risen += 2.0 * (losses[first:] > max(highest, level + _FAR * noise))
    surplus = np.cumsum(risen[::-1] - _SHARE)[::-1]
    edge = int(np.argmax(surplus))
    return float(lrs[first + edge]) if surplus[edge] > 1 else None
