"""The colours and the axis of losses of lanes: the trainings of a check or a race."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from bqscales import LinearScale

from lrwidget.ui.axes import (
    logarithm_ticks,
    loss_axis,
    near,
    number_ticks,
    show_axis,
)

if TYPE_CHECKING:
    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.loss_limits import Limits

# One hue, from the lowest to the highest rate: darker with the rate in a light theme,
# and lighter in a dark one. The style sheet sets the variables for each theme.
_LIGHT = (
    *("#398ccc", "#337ebb", "#2c71ab", "#26639a", "#1f568a"),
    *("#184a7a", "#123d6a", "#0b315b", "#05264c"),
)
LANE_COLOURS = tuple(
    f"var(--lrwidget-lane-{number}, {colour})"
    for number, colour in enumerate(_LIGHT, 1)
)
_LEAST = 1e-300  # a little more than the least float


def lane_colours(count: int) -> list[str]:
    """Return the colours of so many lanes, in increasing order of their rates."""
    places = np.linspace(0, len(LANE_COLOURS) - 1, count).round().astype(int)
    return [LANE_COLOURS[place] for place in places]


class LaneLosses:
    """An axis of losses, which is logarithmic while all of these are above 0."""

    def __init__(self, name: str, most_ticks: int) -> None:
        self._most_ticks = most_ticks
        self._shown: tuple[bool, Limits] | None = None
        self.logarithmic = True
        self.scale = LinearScale(min=0.0, max=1.0, allow_padding=False)
        self.axis = loss_axis(self.scale, name)

    @property
    def limits(self) -> Limits:
        """The ends of the axis."""
        return self.scale.min, self.scale.max

    def heights(self, losses: FloatArray) -> FloatArray:
        """Return losses as numbers of the scale: on a logarithmic axis, logarithms."""
        return np.log10(np.maximum(losses, _LEAST)) if self.logarithmic else losses

    def kept(self, heights: FloatArray) -> FloatArray:
        """Clip heights that are far outside the plot."""
        return near(heights, self.limits)

    def shares(self, heights: FloatArray) -> FloatArray:
        """Return heights as shares of that of the plot."""
        low, high = self.limits
        return (heights - low) / (high - low)

    def show(self, limits: Limits) -> None:
        """Set the ends of the axis, and few ticks."""
        if self._shown == (self.logarithmic, limits):
            return
        self._shown = self.logarithmic, limits
        ticks = (logarithm_ticks if self.logarithmic else number_ticks)(*limits)
        every = -(-len(ticks) // self._most_ticks) or 1
        show_axis(self.axis, dict([*ticks.items()][::every]), limits)
