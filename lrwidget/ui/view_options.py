"""The view of the curves, and its controls."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import ipywidgets as ipw
import numpy as np

from lrwidget.curve.loss_limits import loss_limits, whole_limits
from lrwidget.ui.widgets import SetInThreads

if TYPE_CHECKING:
    from collections.abc import Callable

    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.loss_limits import Limits
    from lrwidget.curve.lr_curve import LRCurve

MOST_SMOOTHING = 0.99
_FEWEST_POINTS = 2


class VisibleCurve(NamedTuple):
    """The visible points of a curve; in a logarithmic view, logarithms of losses."""

    lrs: FloatArray
    raw: FloatArray
    smoothed: FloatArray
    limits: Limits | None  # the losses worth showing; None without a point

    def height_at(self, rate: float) -> float | None:
        """Return the height of the smoothed line at a rate; None beside the line."""
        lrs = self.lrs
        if not len(lrs) or not lrs[0] <= rate <= lrs[-1]:
            return None
        return float(np.interp(np.log(rate), np.log(lrs), self.smoothed))


NOTHING = VisibleCurve(np.array([]), np.array([]), np.array([]), None)


class ViewOptions(NamedTuple):
    """The view of the curves."""

    beta: float  # of the smoothing, as in `LRCurve.smoothed`
    skip_first: int = 0  # number of points to leave out
    skip_last: int = 0
    logarithmic: bool = False  # whether to show decimal logarithms of the losses
    everything: bool = False  # whether to show all losses, not only those worth showing

    def of(self, curve: LRCurve) -> VisibleCurve:
        """Return the visible part of a curve, which is smoothed as a whole."""
        seen = slice(self.skip_first, max(len(curve) - self.skip_last, 0))
        lrs, raw = curve.lrs[seen], curve.losses[seen]
        smoothed = curve.smoothed(self.beta)[seen]
        if self.logarithmic:
            raw, smoothed = _logarithms(raw), _logarithms(smoothed)
        shown = np.isfinite(raw) & np.isfinite(smoothed)
        if not shown.all():  # otherwise without copies
            lrs, raw, smoothed = lrs[shown], raw[shown], smoothed[shown]
        if self.everything:
            # Smoothed losses may be far off where the first points are left out.
            limits = whole_limits(np.concatenate([raw, smoothed]))
        else:
            limits = loss_limits(raw, smoothed)
        return VisibleCurve(lrs, raw, smoothed, limits)


def _logarithms(losses: FloatArray) -> FloatArray:
    """Return the decimal logarithms; NaN for a loss without one."""
    logarithms: FloatArray = np.log10(np.where(losses > 0, losses, np.nan))
    return logarithms


class _Slider(SetInThreads, ipw.FloatSlider): ...  # type: ignore[misc]  # untyped base


class _RangeSlider(SetInThreads, ipw.IntRangeSlider): ...  # type: ignore[misc]  # untyped base


class ViewBar(ipw.HBox):  # type: ignore[misc]  # untyped base
    """The smoothing slider, the slider of points, and the two switches of the axis."""

    def __init__(
        self, beta: float, total: int, on_change: Callable[[], object]
    ) -> None:
        self._on_change = on_change
        self._left_out = 0, 0  # as the user set it, also for a shorter curve
        row = {
            "style": {"description_width": "75px"},
            "layout": {"flex": "1 1 240px", "width": "auto"},
        }
        self.smoothing = _Slider(
            value=beta,
            min=0.0,
            max=MOST_SMOOTHING,
            step=0.01,
            description="Smoothing",
            tooltip="How much of the past counts in the bold line; 0 shows raw losses",
            readout_format=".2f",
            **row,
        )
        self.points = _RangeSlider(
            value=(1, total),
            min=1,
            max=total,
            description="Points",
            # Otherwise the page writes a wrong value between the limits and the value
            # of the kernel.
            continuous_update=False,
            tooltip="The points that are shown; leave out the first and last ones. "
            "No suggestion depends on it",
            **row,
        )
        self.logarithmic = _switch("Log loss", "A logarithmic axis for the losses")
        self.everything = _switch("Show all", "All losses, explosions too")
        switches = ipw.HBox([self.logarithmic, self.everything])
        switches.add_class("lrwidget-switches")
        super().__init__(
            [self.smoothing, self.points, switches], layout={"flex_flow": "row wrap"}
        )
        for control in (self.smoothing, self.logarithmic, self.everything):
            control.observe(lambda _change: self._on_change(), "value")
        self.points.observe(self._on_trimmed, "value")

    @property
    def view(self) -> ViewOptions:
        """The view that the controls are set to."""
        first, last = self.points.value
        left_out = first - 1, self.points.max - last
        switches = self.logarithmic.value, self.everything.value
        return ViewOptions(self.smoothing.value, *left_out, *switches)

    def show_total(self, total: int) -> None:
        """Set the number of points; as many at the ends stay left out."""
        total = max(total, _FEWEST_POINTS)
        if total == self.points.max:  # the user may be moving the slider
            return
        at_first, at_last = self._left_out
        first = min(at_first + 1, total)
        self.points.unobserve(self._on_trimmed, "value")
        with self.points.hold_sync():
            self.points.max = total
            self.points.value = first, max(total - at_last, first)
        self.points.observe(self._on_trimmed, "value")

    def _on_trimmed(self, _change: object) -> None:
        view = self.view
        self._left_out = view.skip_first, view.skip_last
        self._on_change()


def _switch(description: str, tooltip: str) -> ipw.Checkbox:
    return ipw.Checkbox(
        description=description, tooltip=tooltip, indent=False, layout={"width": "auto"}
    )
