"""The rates that the chart shows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lrwidget.curve.window import Zoom, around, rates_that_matter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lrwidget.curve.loss_limits import Limits
    from lrwidget.curve.lr_curve import LRCurve


class VisibleRates:
    """The part of the rates that matters, or the one that was zoomed to by hand."""

    def __init__(self) -> None:
        self.zoom: Zoom | None = None
        self.part: Limits = (0.0, math.inf)  # shown without a zoom
        self._found: tuple[object, Limits] | None = None  # from what, and the part

    def part_that_matters(
        self, curves: Sequence[LRCurve], held: Sequence[float], swept: Limits
    ) -> Limits:
        """Return `rates_that_matter`, computed again only if something differs."""
        given = curves, held, swept
        if self._found is None or self._found[0] != given:
            self._found = given, rates_that_matter(*given)
        return self._found[1]

    def window(self, bounds: Limits, choice: float | None) -> Limits:
        """Return the rates to show; a rate that was chosen after a zoom is inside."""
        if self.zoom is None:
            return around(self.part, choice, bounds)
        return self.zoom.window(bounds, choice)
