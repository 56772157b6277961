"""The strip below the chart: the whole sweep, and the part of it that is shown."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import anywidget
import ipywidgets as ipw
import numpy as np
import traitlets

from lrwidget.curve.loss_limits import loss_limits
from lrwidget.curve.ticks import equal_steps, plain, rate_ticks, short, tick_label
from lrwidget.ui.controls import show_if
from lrwidget.ui.widgets import SetInThreads, page_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.loss_limits import Limits
    from lrwidget.curve.lr_curve import LRCurve
    from lrwidget.ui.snapshot import Snapshot

PLACES = 1000  # of the brush, over the whole width
_NARROWEST = 10  # places
_HEIGHT = 44  # pixels
_MOST_POINTS = 400
_MOST_TICKS = 6
_BUTTON = {"flex": "0 0 auto", "width": "auto"}


class _Commands(Protocol):
    """The commands of the strip."""

    def zoom(self, low: float, high: float) -> None: ...
    def end_zoom(self) -> None: ...
    def show_all(self) -> None: ...
    def undo_pick(self) -> None: ...


class _Scale(NamedTuple):
    """The rates along the strip, with equal ratios or with equal differences."""

    low: float
    high: float
    linear: bool

    def shares(self, rates: FloatArray) -> FloatArray:
        """Return the places of rates, from 0 at the left to 1 at the right."""
        if self.linear:
            return (rates - self.low) / (self.high - self.low)
        return np.log(rates / self.low) / math.log(self.high / self.low)

    def places(self, rates: Limits) -> tuple[int, int]:
        """Return the places of the brush around a range of rates."""
        low, high = (self.shares(np.array(rates)) * PLACES).clip(0, PLACES).tolist()
        return round(low), round(high)

    def rate(self, place: int) -> float:
        """Return the rate at a place of the brush."""
        if place in {0, PLACES}:
            return self.high if place else self.low
        share = place / PLACES
        if self.linear:
            return self.low + share * (self.high - self.low)
        return self.low * math.pow(self.high / self.low, share)

    def ticks(self) -> dict[float, str]:
        """Return some rates with their labels."""
        if self.linear:
            rates = equal_steps(self.low, self.high, _MOST_TICKS).tolist()
            return {rate: plain(rate) for rate in rates}
        rates = rate_ticks(self.low, self.high)
        every = -(-len(rates) // _MOST_TICKS)
        return {rate: tick_label(rate) for rate in rates[::every].tolist()}


class _Brush(SetInThreads, ipw.IntRangeSlider): ...  # type: ignore[misc]  # untyped base


class StripPage(anywidget.AnyWidget):
    """
    The script and the style sheet of the strip.

    The script names the handles of the brush, zooms by the wheel and by double clicks,
    and undoes by Ctrl+Z. A command waits until the moves of the brush and of the handle
    in the chart have arrived.
    """

    _esm = page_file("dom.js", "strip.js")
    _css = page_file("strip.css")

    brush = traitlets.Instance(ipw.IntRangeSlider).tag(
        sync=True, **ipw.widget_serialization
    )
    handle = traitlets.Instance(ipw.Widget, allow_none=True).tag(
        sync=True, **ipw.widget_serialization
    )
    rates = traitlets.List(traitlets.Unicode()).tag(sync=True)  # at the handles
    narrowest = traitlets.Int(_NARROWEST).tag(sync=True)

    def __init__(
        self,
        brush: ipw.IntRangeSlider,
        commands: _Commands,
        on_undo: Callable[[], object],
    ) -> None:
        self._commands = {
            "all": commands.show_all,
            "begin": commands.end_zoom,
            "undo pick": commands.undo_pick,
            "undo": on_undo,
        }
        super().__init__(brush=brush, layout={"width": "auto"})
        self.on_msg(self._on_message)

    def _on_message(
        self, _widget: object, content: Mapping[str, Any], _buffers: object
    ) -> None:
        command = self._commands.get(str(content.get("do")))
        if command is not None:
            command()


class Strip(ipw.VBox):  # type: ignore[misc]  # untyped base
    """
    The trend over the whole sweep, and a brush over the rates that the chart shows.

    ``margins`` are the distances of the chart's plot from its left and right edges, in
    pixels. ``on_run`` gets the two rates of a sweep that is to be run.
    """

    def __init__(
        self,
        commands: _Commands,
        on_run: Callable[[float, float], object],
        on_undo: Callable[[], object],
        margins: tuple[int, int],
        *,
        can_run: bool,
    ) -> None:
        self._commands = commands
        self._scale = _Scale(1e-7, 10.0, linear=False)
        self._window: Limits = self._scale[:2]
        self._curve: LRCurve | None = None
        self.picture = ipw.HTML()
        self.picture.add_class("lrwidget-strip-picture")
        self.brush = _Brush(
            value=(0, PLACES),
            min=0,
            max=PLACES,
            description="Shown rates",
            readout=False,
            behavior="drag",
            layout={"width": "auto"},
        )
        self.brush.add_class("lrwidget-brush")
        self.page = StripPage(self.brush, commands, on_undo)
        # The script of the chart sets the variables where its margins shrink.
        left, right = (
            f"calc(var(--lrwidget-{side}, {x}px) + var(--jp-widgets-margin, 2px))"
            for side, x in zip(("left", "right"), margins, strict=True)
        )
        below_plot = {"margin": f"0 {right} 0 {left}"}
        area = ipw.Box([self.picture, self.brush], layout=below_plot)
        area.add_class("lrwidget-strip-area")
        self.text = ipw.Label()
        self.everything = ipw.Button(
            description="Show all", tooltip="Show all rates", layout=_BUTTON
        )
        self.again = ipw.Button(description="Run this range again", layout=_BUTTON)
        for button in (self.everything, self.again):
            button.add_class("lrwidget-small")
        show_if(self.again, shown=can_run)
        buttons = ipw.HBox([self.everything, self.again])
        row = ipw.HBox([self.text, buttons], layout=below_plot)
        row.add_class("lrwidget-strip-row")
        super().__init__([area, row, self.page])
        self.add_class("lrwidget-strip")
        self.brush.observe(self._on_brushed, "value")
        self.everything.on_click(lambda _button: commands.show_all())
        self.again.on_click(lambda _button: on_run(*self._two_digits()))

    def show(self, snapshot: Snapshot) -> None:
        """Write what has changed; a curve is drawn once its test has ended."""
        scale = _Scale(*snapshot.bounds, snapshot.linear)
        curve = None if snapshot.testing else snapshot.curve
        redrawn = scale != self._scale or curve is not self._curve
        moved = scale != self._scale or snapshot.window != self._window
        self._scale, self._curve, self._window = scale, curve, snapshot.window
        if redrawn or not self.picture.value:
            self.picture.value = _picture(scale, curve)
        if moved or not self.page.rates:
            self._show_window()
        whole = snapshot.window == snapshot.bounds
        for button, enabled in (
            (self.everything, not whole),
            (self.again, not whole and not snapshot.running),
        ):
            if button.disabled == enabled:
                button.disabled = not enabled

    def _show_window(self) -> None:
        low, high = (short(rate) for rate in self._window)
        places = self._scale.places(self._window)
        if self._rates_at(self.brush.value) != self._window:
            self.brush.value = places
        self.page.rates = [low, high]
        self.text.value = f"Shown: {low} to {high}"
        low, high = (short(rate) for rate in self._two_digits())
        self.again.tooltip = f"Sweep from {low} to {high}, with the same settings"

    def _rates_at(self, places: tuple[int, int]) -> Limits:
        """Return the rates at two places; an edge of the window, if it is there."""
        exact = dict(zip(self._scale.places(self._window), self._window, strict=True))
        low, high = (exact.get(x, self._scale.rate(x)) for x in places)
        return low, high

    def _two_digits(self) -> Limits:
        """Return the window in two digits; as it is if they would be the same."""
        low, high = (float(f"{rate:.1e}") for rate in self._window)
        return (low, high) if low < high else self._window

    def _on_brushed(self, change: Mapping[str, Any]) -> None:
        low, high = change["new"]
        rates = self._rates_at(change["new"])
        if rates == self._window:  # a write from here
            return
        if high - low < _NARROWEST:
            self.brush.value = self._scale.places(self._window)
        else:
            self._commands.zoom(*rates)


def _picture(scale: _Scale, curve: LRCurve | None) -> str:
    """Return a curve and the ticks of the rates as HTML."""
    ticks = scale.ticks()
    shares = 100 * scale.shares(np.array([*ticks]))
    labels = " ".join(
        f'<span style="left: {share:.2f}%">{label}</span>'
        for share, label in zip(shares.tolist(), ticks.values(), strict=True)
    )
    line = "" if curve is None or not len(curve) else _line(scale, curve)
    return (
        f'<svg viewBox="0 0 1000 {_HEIGHT}" preserveAspectRatio="none" '
        f'aria-hidden="true">{line}</svg><div aria-hidden="true">{labels}</div>'
    )


def _line(scale: _Scale, curve: LRCurve) -> str:
    """Return the trend of a curve as a line of SVG, down to its lowest loss."""
    lrs, losses, *_ = curve.fit()
    known = np.isfinite(losses)
    lrs, losses = lrs[known], losses[known]
    limits = loss_limits(losses, losses)
    if limits is None:
        return ""
    every = -(-len(lrs) // _MOST_POINTS)
    low, high = limits
    across = 1000 * scale.shares(lrs[::every])
    down = _HEIGHT * (high - losses[::every].clip(low, high)) / (high - low)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))
    return f'<polyline points="{points}" fill="none" stroke="currentColor"/>'
