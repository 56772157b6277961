"""The view of the curves, and its controls."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import ipywidgets as ipw
import numpy as np

from lrwidget.curve.loss_limits import loss_limits, whole_limits
from lrwidget.curve.trend import AUTOMATIC, FASTAI, Trend, common_trend, trend
from lrwidget.ui.controls import show_if
from lrwidget.ui.marks import CHOICE, CURVE, RAW_OPACITY, SUGGESTION
from lrwidget.ui.widgets import SetInThreads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.loss_limits import Limits
    from lrwidget.curve.lr_curve import LRCurve
    from lrwidget.curve.trend import Smoothing

_WIDTHS = (0.05, 0.07, 0.1, 0.14, 0.2, 0.28, 0.4, 0.56, 0.8)  # in decades
_MOST_HIDDEN = 10**6
# What was set by hand in the widgets of this kernel, by the names of the controls.
session: dict[str, Any] = {}


class VisibleCurve(NamedTuple):
    """The visible points of a curve; in a logarithmic view, logarithms of losses."""

    lrs: FloatArray
    raw: FloatArray
    trend: FloatArray
    band: FloatArray | None  # two standard errors below and above, in two rows
    limits: Limits | None  # of the loss axis; None without a point

    def height_at(self, rate: float) -> float | None:
        """Return the height of the trend at a rate; None outside the curve."""
        lrs = self.lrs
        if not len(lrs) or not lrs[0] <= rate <= lrs[-1]:
            return None
        return float(np.interp(np.log(rate), np.log(lrs), self.trend))


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

    def training_of(self, curve: LRCurve) -> VisibleCurve | None:
        """Return the training losses of a test with a ``val_loader``; else None."""
        losses = curve.train_losses
        if losses is None:
            return None
        return self._visible(losses, Trend(curve.lrs, losses, None), self._seen(curve))

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


class ViewBar(ipw.HBox):  # type: ignore[misc]  # untyped base
    """
    The title and the key of the chart, the controls of its view, and the menu to save.

    The controls begin as they were last set by hand in this kernel, except that a
    smoothing may be given. Controls that are seldom used are folded away at first.
    """

    def __init__(
        self,
        smoothing: Smoothing | None,
        loss_name: str,
        on_change: Callable[[], object],
        save: ipw.Widget,
    ) -> None:
        self._loss_name = loss_name
        fastai = session.get("fastai", False) if smoothing is None else False
        if smoothing is None:
            smoothing = session.get("smoothing", AUTOMATIC)
        width = AUTOMATIC if smoothing == FASTAI else smoothing
        widths = sorted({*_WIDTHS, width} - {AUTOMATIC})
        self.smoothing = _Slider(
            options=[("auto", AUTOMATIC), *((f"{x:g}", x) for x in widths)],
            value=width,
            description="Smoothing",
            style={"description_width": "initial"},
            layout={"width": "190px"},
        )
        self.logarithmic = _switch("log scale")
        self.everything = _switch("include explosion")
        self.fastai = _switch("fastai's mean")
        self.fastai.value = fastai or smoothing == FASTAI
        self.hide_first = _number("hide first")
        self.hide_last = _number("hide last")
        self.key = ipw.HTML()
        self.key.add_class("lrwidget-key")
        ipw.dlink((self.fastai, "value"), (self.smoothing, "disabled"))
        hidden = ipw.HBox([self.hide_first, self.hide_last, ipw.Label("steps")])
        self.more = ipw.ToggleButton(
            description="More",
            tooltip="Show or hide further settings of the view",
            layout={"flex": "0 0 auto", "width": "auto"},
        )
        self.more.add_class("lrwidget-small")
        often = ipw.HBox([self.smoothing, self.logarithmic, self.more, save])
        self.seldom = ipw.HBox([self.everything, self.fastai, hidden])
        for box in (often, self.seldom):
            box.add_class("lrwidget-view")
        super().__init__([self.key, often, self.seldom])
        self.add_class("lrwidget-toolbar")
        kept = {
            "smoothing": self.smoothing,
            "logarithmic": self.logarithmic,
            "everything": self.everything,
            "fastai": self.fastai,
            "more": self.more,
        }
        for name in ("logarithmic", "everything", "more"):
            kept[name].value = session.get(name, False)
        for name, control in kept.items():
            control.observe(partial(_remember, name), "value")
        for control in (*kept.values(), self.hide_first, self.hide_last):
            if control is not self.more:
                control.observe(lambda _change: on_change(), "value")
        self.more.observe(lambda _change: self._fold(), "value")
        self._fold()
        self.explain(dots=True, repeats=False, checked=False)

    @property
    def view(self) -> ViewOptions:
        """The view that the controls are set to."""
        return ViewOptions(
            FASTAI if self.fastai.value else self.smoothing.value,
            self.hide_first.value,
            self.hide_last.value,
            self.logarithmic.value,
            self.everything.value,
        )

    def _fold(self) -> None:
        show_if(self.seldom, shown=self.more.value)

    def explain(
        self, *, dots: bool, repeats: bool, checked: bool, training: bool = False
    ) -> None:
        """Explain the marks of the chart by keys that look like them."""
        band = not self.fastai.value
        batch = "one batch" if self._loss_name == "loss" else f"one {self._loss_name}"
        key = [
            (_DOT if dots else _THIN, "validation loss" if training else batch),
            *([(_SQUARE if dots else _DASHED, "training loss")] if training else []),
            (_TREND if band else _MEAN, "trend ±2 standard errors" if band else "mean"),
            *([(_REPEATS, "trend of repeated runs")] if repeats else []),
            (_DIAMOND, "suggested"),
            (_RANGE, "range to try (checked)" if checked else "range to try"),
            (_HANDLE, "chosen"),
        ]
        parts = (_PART.format(picture=picture, text=text) for picture, text in key)
        text = f"<b>Range test</b> {' '.join(parts)}"
        if self.key.value != text:
            self.key.value = text


# The keys are pictures of the marks, with the colours of the style sheet.
_PART = (
    '<span><svg viewBox="0 0 20 12" width="20" height="12" aria-hidden="true">'
    "{picture}</svg> {text}</span>"
)
_DOT = f'<circle cx="10" cy="6" r="2.5" fill="{CURVE}" opacity="{RAW_OPACITY}"/>'
_THIN = f'<path d="M1 9L7 3L12 9L19 3" fill="none" stroke="{CURVE}" opacity="0.65"/>'
_SQUARE = f'<path d="M7.5 3.5H12.5V8.5H7.5Z" fill="none" stroke="{CURVE}"/>'
_DASHED = _THIN.replace('opacity="0.65"', 'stroke-dasharray="4 3"')
_MEAN = f'<path d="M0 6H20" stroke="{CURVE}" stroke-width="3"/>'
_TREND = f'<path d="M0 6H20" stroke="{CURVE}" stroke-width="12" opacity="0.2"/>{_MEAN}'
_REPEATS = '<path d="M0 6H20" stroke="currentColor" stroke-width="2.5"/>'
_DIAMOND = f'<path d="M10 0L16 6L10 12L4 6Z" fill="{SUGGESTION}"/>'
_RANGE = f'<path d="M0 0H20V12H0Z" fill="{SUGGESTION}" class="lrwidget-range"/>'
_HANDLE = f'<circle cx="10" cy="6" r="6" fill="{CHOICE}"/>'


def _remember(name: str, change: Mapping[str, Any]) -> None:
    session[name] = change["new"]


def _switch(description: str) -> ipw.Checkbox:
    return ipw.Checkbox(description=description, indent=False, layout={"width": "auto"})


def _number(description: str) -> ipw.BoundedIntText:
    return ipw.BoundedIntText(
        0,
        min=0,
        max=_MOST_HIDDEN,
        description=description,
        style={"description_width": "initial"},
        layout={"width": "auto"},
    )
