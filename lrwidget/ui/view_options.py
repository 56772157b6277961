"""The view of the curves, and its controls."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import ipywidgets as ipw
import numpy as np

from lrwidget.curve.loss_limits import loss_limits, whole_limits
from lrwidget.curve.thinning import thinned
from lrwidget.curve.trend import AUTOMATIC, FASTAI, common_trend, trend
from lrwidget.ui.widgets import SetInThreads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.loss_limits import Limits
    from lrwidget.curve.lr_curve import LRCurve
    from lrwidget.curve.trend import Smoothing, Trend

_WIDTHS = (0.05, 0.07, 0.1, 0.14, 0.2, 0.28, 0.4, 0.56, 0.8)  # in decades
_FEWEST_POINTS = 2
_MOST_KEPT = 2000


class VisibleCurve(NamedTuple):
    """The visible points of a curve; in a logarithmic view, logarithms of losses."""

    lrs: FloatArray
    raw: FloatArray
    trend: FloatArray
    band: FloatArray | None  # two standard errors below and above, in two rows
    limits: Limits | None  # of the loss axis; None without a point

    def trend_alone(self) -> VisibleCurve:
        """Return the trend in few points and without raw losses, to be kept."""
        kept = thinned(np.log(self.lrs), self.trend, _MOST_KEPT)
        band = None if self.band is None else self.band[:, kept]
        trend = self.trend[kept]
        return VisibleCurve(self.lrs[kept], NOTHING.raw, trend, band, self.limits)

    def height_at(self, rate: float) -> float | None:
        """Return the height of the trend at a rate; None outside the curve."""
        return self._at(rate, self.trend)

    def upper_at(self, rate: float) -> float | None:
        """Return the upper end of the band at a rate; None outside it."""
        return None if self.band is None else self._at(rate, self.band[1])

    def _at(self, rate: float, heights: FloatArray) -> float | None:
        lrs = self.lrs
        if not len(lrs) or not lrs[0] <= rate <= lrs[-1]:
            return None
        return float(np.interp(np.log(rate), np.log(lrs), heights))


NOTHING = VisibleCurve(np.array([]), np.array([]), np.array([]), None, None)


class ViewOptions(NamedTuple):
    """The view of the curves."""

    smoothing: Smoothing = AUTOMATIC
    skip_first: int = 0  # number of points to leave out
    skip_last: int = 0
    logarithmic: bool = False  # whether to show decimal logarithms of the losses
    everything: bool = False  # whether the loss axis shows all losses

    def of(self, curve: LRCurve) -> VisibleCurve:
        """Return the visible part of a curve; its trend is computed from all points."""
        seen = self._seen(curve)
        return self._visible(curve.losses, trend(curve, self.smoothing), seen)

    def of_repeats(self, curves: Sequence[LRCurve]) -> VisibleCurve:
        """Return the visible part of the common trend of curves, without raw losses."""
        common = common_trend(curves, self.smoothing)
        parts = [curve.lrs[self._seen(curve)] for curve in curves]
        shown = np.isin(common.lrs, np.concatenate(parts))
        return self._visible(common.losses, common, shown)._replace(raw=NOTHING.raw)

    def _seen(self, curve: LRCurve) -> slice:
        return slice(self.skip_first, max(len(curve) - self.skip_last, 0))

    def _visible(
        self, raw: FloatArray, whole: Trend, seen: slice | npt.NDArray[np.bool_]
    ) -> VisibleCurve:
        lrs, raw, line = whole.lrs[seen], raw[seen], whole.losses[seen]
        band = None if whole.band is None else whole.band[:, seen]
        if self.logarithmic:
            # A fit may be below all losses, and even below 0.
            line = np.maximum(line, raw.min(where=raw > 0, initial=np.inf))
            if band is not None:
                low = _logarithms(band[0], -np.inf)
                band = np.array([low, _logarithms(np.maximum(band[1], line))])
            raw, line = _logarithms(raw), _logarithms(line)
        shown = np.isfinite(raw) & np.isfinite(line)
        if not shown.all():  # otherwise without copies
            lrs, raw, line = lrs[shown], raw[shown], line[shown]
            band = None if band is None else band[:, shown]
        if self.everything:
            # The trend may be far from the losses if the first points are left out.
            limits = whole_limits(np.concatenate([raw, line]))
        else:
            limits = loss_limits(raw, line)
        return VisibleCurve(lrs, raw, line, band, limits)


def _logarithms(losses: FloatArray, missing: float = np.nan) -> FloatArray:
    """Return the decimal logarithms; ``missing`` for a loss without one."""
    logarithms = np.full(len(losses), missing)
    np.log10(losses, where=losses > 0, out=logarithms)
    return logarithms


class _Slider(SetInThreads, ipw.SelectionSlider): ...  # type: ignore[misc]  # untyped base


class _RangeSlider(SetInThreads, ipw.IntRangeSlider): ...  # type: ignore[misc]  # untyped base


class ViewBar(ipw.HBox):  # type: ignore[misc]  # untyped base
    """The smoothing slider, the slider of points, and three switches."""

    def __init__(
        self, smoothing: Smoothing, total: int, on_change: Callable[[], object]
    ) -> None:
        self._on_change = on_change
        self._left_out = 0, 0  # numbers that the user set, also for a shorter curve
        row = {
            "style": {"description_width": "75px"},
            "layout": {"flex": "1 1 240px", "width": "auto"},
        }
        width = AUTOMATIC if smoothing == FASTAI else smoothing
        widths = sorted({*_WIDTHS, width} - {AUTOMATIC})
        self.smoothing = _Slider(
            options=[(AUTOMATIC, AUTOMATIC), *((f"{x:g}", x) for x in widths)],
            value=width,
            description="Smoothing",
            tooltip="The width of the trend, in decades of the learning rate; "
            "automatic: chosen by the noise",
            **row,
        )
        self.points = _RangeSlider(
            value=(1, total),
            min=1,
            max=total,
            description="Points",
            # Otherwise the page sends a wrong value after the new limits, before the
            # new value arrives from the kernel.
            continuous_update=False,
            tooltip="The points that are shown: leave out first and last ones. "
            "No suggestion depends on this",
            **row,
        )
        self.logarithmic = _switch("Log loss", "A logarithmic axis for the losses")
        self.everything = _switch("Show all", "All losses, explosions too")
        self.fastai = _switch(
            "fastai's mean", "The bold line is fastai's running mean, which is late"
        )
        self.fastai.value = smoothing == FASTAI
        ipw.dlink((self.fastai, "value"), (self.smoothing, "disabled"))
        switches = ipw.HBox(
            [self.logarithmic, self.everything, self.fastai],
            layout={"flex_flow": "row wrap"},
        )
        switches.add_class("lrwidget-switches")
        super().__init__(
            [self.smoothing, self.points, switches], layout={"flex_flow": "row wrap"}
        )
        drawn = self.smoothing, self.logarithmic, self.everything, self.fastai
        for control in drawn:
            control.observe(lambda _change: self._on_change(), "value")
        self.points.observe(self._on_trimmed, "value")

    @property
    def view(self) -> ViewOptions:
        """The view that the controls are set to."""
        first, last = self.points.value
        left_out = first - 1, self.points.max - last
        smoothing = FASTAI if self.fastai.value else self.smoothing.value
        switches = self.logarithmic.value, self.everything.value
        return ViewOptions(smoothing, *left_out, *switches)

    def show_total(self, total: int) -> None:
        """Set the number of points; the numbers left out at both ends stay."""
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
