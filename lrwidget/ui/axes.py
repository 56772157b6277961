"""The axes of the chart, and the scales of the marks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import bqplot
import numpy as np
from bqscales import LinearScale, LogScale

from lrwidget.curve.axis import equal_steps, plain, rate_ticks, tick_label

if TYPE_CHECKING:
    from lrwidget.curve.arrays import FloatArray

_SPANS_KEPT = 10
_LEAST_PLAIN, _MOST_PLAIN = 1e-6, 1e21
_MOST_DECADES = 300  # a little within what floats hold


class Axes:
    """
    A logarithmic axis of rates, and one of losses or of their logarithms.

    Parameters
    ----------
    start_lr, end_lr:
        The rates at the edges.
    loss_name:
        The name of the losses.

    Attributes
    ----------
    both:
        The axes themselves, for a figure.
    on_curve:
        The scales of a mark at a rate and a loss.
    on_plot:
        The scales of a mark at a rate and a share of the plot's height.
    """

    def __init__(self, start_lr: float, end_lr: float, loss_name: str) -> None:
        self._rates = LogScale(min=start_lr, max=end_lr, allow_padding=False)
        self._losses = LinearScale(allow_padding=False)
        height = LinearScale(min=0.0, max=1.0, allow_padding=False)
        self.on_curve = {"x": self._rates, "y": self._losses}
        self.on_plot = {"x": self._rates, "y": height}
        self._rate_axis = bqplot.Axis(
            scale=self._rates,
            label="learning rate",
            tick_style={"transform": "translateY(4px)"},
            label_offset="38px",
        )
        self._loss_axis = bqplot.Axis(
            scale=self._losses,
            side="left",
            label=loss_name,
            tick_style={"transform": "translateX(-4px)"},
            label_offset="58px",
        )
        self.both = [self._rate_axis, self._loss_axis]
        self.show_rates(start_lr, end_lr)
        self.show_losses((0.0, 1.0), logarithmic=False)

    @property
    def range(self) -> tuple[float, float]:
        """The rates at the edges."""
        return self._rates.min, self._rates.max

    def show_rates(self, start_lr: float, end_lr: float) -> None:
        """Set the rates at the edges."""
        ticks = rate_ticks(start_lr, end_lr)
        # The limits last: a little after a change of the limits, the browser writes
        # the ticks that it had at the time of that change.
        with self._rate_axis.hold_sync():
            self._rate_axis.tick_labels = {
                _as_in_the_browser(tick): tick_label(tick) for tick in ticks.tolist()
            }
            self._rate_axis.tick_values = ticks
        with self._rates.hold_sync():
            self._rates.min, self._rates.max = start_lr, end_lr

    def show_losses(self, limits: tuple[float, float], *, logarithmic: bool) -> None:
        """Show a range of losses, or of their decimal logarithms."""
        ticks = (logarithm_ticks if logarithmic else loss_ticks)(*limits)
        with self._loss_axis.hold_sync():
            self._loss_axis.tick_labels = {
                _as_in_the_browser(tick): text for tick, text in ticks.items()
            }
            self._loss_axis.tick_values = np.array([*ticks])
        # Last, as above.
        with self._losses.hold_sync():
            self._losses.min, self._losses.max = limits

    def kept(self, losses: FloatArray) -> FloatArray:
        """Return losses that are not far outside: there, the browser overflows."""
        low, high = self._losses.min, self._losses.max
        reach = _SPANS_KEPT * (high - low)
        return losses.clip(low - reach, high + reach)


def _as_in_the_browser(tick: float) -> str:
    """Return a number as JavaScript writes it, which is the key of its label."""
    if _LEAST_PLAIN <= abs(tick) < _MOST_PLAIN or tick == 0:
        return np.format_float_positional(tick, trim="-")
    return repr(tick).replace("e-0", "e-")


def loss_ticks(low: float, high: float) -> dict[float, str]:
    """Return the ticks of an axis of losses, each with its label."""
    if math.isinf(high - low):
        return {}
    return {tick: plain(tick) for tick in equal_steps(low, high).tolist()}


def logarithm_ticks(low: float, high: float) -> dict[float, str]:
    """
    Return the ticks of an axis of decimal logarithms.

    Parameters
    ----------
    low, high:
        The logarithms at the ends of the axis.

    Returns
    -------
    :
        From each logarithm to its label, the number itself.
    """
    if low > _MOST_DECADES - 1:
        powers = range(math.ceil(low), math.floor(high) + 1)
        return {float(power): f"1e{power}" for power in powers}
    ends = 10.0 ** max(low, -_MOST_DECADES), 10.0 ** min(high, _MOST_DECADES)
    return {math.log10(tick): plain(tick) for tick in rate_ticks(*ends).tolist()}
