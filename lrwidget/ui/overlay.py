"""The part of the chart that a script in the page draws over it."""

from __future__ import annotations

from typing import Any

import anywidget
import bqplot
import ipywidgets as ipw
import traitlets

from lrwidget.ui.widgets import page_file


def _widget(kind: type[ipw.Widget]) -> Any:  # noqa: ANN401 (traits have no types)
    trait = traitlets.Instance(kind, allow_none=True)
    return trait.tag(sync=True, **ipw.widget_serialization)


def _widgets(kind: type[ipw.Widget]) -> Any:  # noqa: ANN401 (traits have no types)
    trait = traitlets.List(traitlets.Instance(kind))
    return trait.tag(sync=True, **ipw.widget_serialization)


class Overlay(anywidget.AnyWidget):
    """
    The card at the handle, the crosshair, and the names of the zones.

    The script reads rates and losses from the marks, so that all of it follows the
    mouse while the kernel is busy. It also names the chart for screen readers, and
    hatches the unstable zone.
    """

    _esm = page_file("dom.js", "numbers.js", "overlay.js")
    _css = page_file("overlay.css")

    handle = _widget(bqplot.Scatter)
    needle = _widget(bqplot.Lines)  # the line through the handle
    raw = _widget(bqplot.Lines)  # the losses of the latest run
    training = _widget(bqplot.Lines)  # its training losses beside those of validations
    latest = _widget(bqplot.Lines)  # its trend: three rows, the trend is the second
    others = _widgets(bqplot.Lines)  # other trends, with a band or without
    axes = _widgets(bqplot.Axis)  # the axes of rates, and last that of losses
    figures = _widgets(bqplot.Figure)  # the chart, and those with the same edges
    logarithmic = traitlets.Bool().tag(sync=True)  # whether heights are logarithms
    suggestion = traitlets.Float(None, allow_none=True).tag(sync=True)
    start = traitlets.Float(None, allow_none=True).tag(sync=True)  # loss at the start
    loss_name = traitlets.Unicode("loss").tag(sync=True)
    # Name, lowest and highest rate; None for a rate beyond the axis.
    zones: Any = traitlets.List().tag(sync=True)
