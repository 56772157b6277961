"""The axes of the chart, and the scales of the marks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import bqplot
import numpy as np
from bqscales import LinearScale, LogScale

from lrwidget.curve.ticks import equal_steps, plain, rate_ticks, tick_label

if TYPE_CHECKING:
    import ipywidgets as ipw

    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.loss_limits import Limits

_SPANS_KEPT = 10
_LEAST_PLAIN, _MOST_PLAIN = 1e-6, 1e21
_MOST_DECADES = 300  # a little less than floats can hold


class Axes:
    """
    An axis of rates, and one of losses or of their logarithms.

    The axis of rates is logarithmic, or linear for a linear sweep: each of the two has
    its own scale, since bqplot cannot change the scale of an axis that is drawn.
    """

    def __init__(self, start_lr: float, end_lr: float, loss_name: str) -> None:
        self.rates = [_rate_axis(scale) for scale in (LogScale, LinearScale)]
        self._rates = self.rates[0]
        self._losses = LinearScale(allow_padding=False)
        self._share, self._height = (
            LinearScale(min=0.0, max=1.0, allow_padding=False) for _ in range(2)
        )
        self._loss_axis = loss_axis(self._losses, loss_name)
        self.show_rates(start_lr, end_lr)
        self.show_losses((0.0, 1.0), logarithmic=False)

    @property
    def shared(self) -> list[ipw.Widget]:
        """The axes of rates and their scales, which other figures may share."""
        return [*self.rates, *(axis.scale for axis in self.rates)]

    @property
    def both(self) -> list[bqplot.Axis]:
        """The axis of rates, and that of losses."""
        return [self._rates, self._loss_axis]

    @property
    def on_curve(self) -> dict[str, Any]:
        """The scales of a mark at rates and losses."""
        return {"x": self._rates.scale, "y": self._losses}

    @property
    def on_plot(self) -> dict[str, Any]:
        """The scales of a mark at rates and shares of the plot's height."""
        return {"x": self._rates.scale, "y": self._height}

    @property
    def across(self) -> dict[str, Any]:
        """The scales of a mark at shares of the plot's width and losses."""
        return {"x": self._share, "y": self._losses}

    @property
    def linear(self) -> bool:
        """Whether the axis of rates is linear."""
        return self._rates is self.rates[1]

    @property
    def range(self) -> Limits:
        """The rates at the edges."""
        return self._rates.scale.min, self._rates.scale.max

    def use(self, *, linear: bool) -> None:
        """Use the linear or the logarithmic axis, with the same rates at the edges."""
        edges = self.range
        self._rates = self.rates[linear]
        self.show_rates(*edges)

    def show_rates(self, start_lr: float, end_lr: float) -> None:
        """Set the rates at the edges."""
        if self.linear:
            labels = number_ticks(start_lr, end_lr)
        else:
            ticks = rate_ticks(start_lr, end_lr).tolist()
            labels = {tick: tick_label(tick) for tick in ticks}
        show_axis(self._rates, labels, (start_lr, end_lr))

    def show_losses(self, limits: Limits, *, logarithmic: bool) -> None:
        """Show a range of losses, or of their decimal logarithms."""
        ticks = (logarithm_ticks if logarithmic else number_ticks)(*limits)
        show_axis(self._loss_axis, ticks, limits)

    def places(self, rates: FloatArray) -> FloatArray:
        """Return rates as their places on the axis, in any unit."""
        return rates if self.linear else np.log(rates)

    def kept(self, losses: FloatArray) -> FloatArray:
        """Clip losses that are far outside the plot."""
        return near(losses, (self._losses.min, self._losses.max))


def _rate_axis(scale: type[LogScale | LinearScale]) -> bqplot.Axis:
    return bqplot.Axis(
        scale=scale(allow_padding=False),
        label="learning rate",
        tick_style={"transform": "translateY(4px)"},
        label_offset="34px",
    )


def loss_axis(scale: LinearScale, name: str) -> bqplot.Axis:
    """Return the axis of losses at the left of a chart."""
    return bqplot.Axis(
        scale=scale,
        side="left",
        label=name,
        tick_style={"transform": "translateX(-4px)"},
        label_offset="48px",
    )


def near(losses: FloatArray, limits: Limits) -> FloatArray:
    """Clip losses to ten spans outside limits: farther out, the browser overflows."""
    reach = _SPANS_KEPT * (limits[1] - limits[0])
    return losses.clip(limits[0] - reach, limits[1] + reach)


def show_axis(axis: bqplot.Axis, ticks: dict[float, str], limits: Limits) -> None:
    """Set the ticks of an axis with their labels, and its limits."""
    # The limits last: a little after a change of the limits, the browser writes the
    # ticks that it had at the time of that change.
    with axis.hold_sync():
        axis.tick_labels = {_as_in_the_browser(x): label for x, label in ticks.items()}
        axis.tick_values = np.array([*ticks])
    with axis.scale.hold_sync():
        axis.scale.min, axis.scale.max = limits


def _as_in_the_browser(tick: float) -> str:
    """Return a number as JavaScript writes it, which is the key of its label."""
    if _LEAST_PLAIN <= abs(tick) < _MOST_PLAIN or tick == 0:
        return np.format_float_positional(tick, trim="-")
    return repr(tick).replace("e-0", "e-")


def number_ticks(low: float, high: float) -> dict[float, str]:
    """Return the ticks of a linear axis, each with its label."""
    if math.isinf(high - low):
        return {}
    return {tick: plain(tick) for tick in equal_steps(low, high).tolist()}


def logarithm_ticks(low: float, high: float) -> dict[float, str]:
    """Return the ticks of an axis of decimal logarithms, labelled with the numbers."""
    if low > _MOST_DECADES - 1:
        powers = range(math.ceil(low), math.floor(high) + 1)
        return {float(power): f"1e{power}" for power in powers}
    ends = 10.0 ** max(low, -_MOST_DECADES), 10.0 ** min(high, _MOST_DECADES)
    return {math.log10(tick): plain(tick) for tick in rate_ticks(*ends).tolist()}
