"""The rates at which a curve begins to fall, and from which on it is unstable."""

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
# A fall is clear beyond three standard errors, and beyond this share of the whole fall.
_CLEAR, _FALLEN = 3.0, 0.05


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


def learning_from(curve: LRCurve) -> float | None:
    """
    Return the lowest rate from which on the fit is clearly below the start.

    It is so from there up to the lowest fitted loss: by three standard errors, and by a
    twentieth of the depth of that loss below the start. None if there is no such rate,
    or if fewer than ten losses are finite.
    """
    if int(np.isfinite(curve.losses).sum()) < FEWEST:
        return None
    fit = curve.fit(WIDTH)
    lowest = fit.lowest()
    before = fit.losses[: lowest + 1]
    # Of a curve that only rises, the start is above the first loss.
    fallen = min(fit.start.level, float(before.max())) - before
    least = np.maximum(_CLEAR * fit.errors[: lowest + 1], _FALLEN * fallen[-1])
    clear = fallen > np.maximum(least, fit.start.rounding)
    if not clear[-1]:
        return None
    first = lowest + 1 - int(np.argmin(clear[::-1])) if not clear.all() else 0
    return float(fit.lrs[first])
