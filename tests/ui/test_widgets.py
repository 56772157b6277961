from __future__ import annotations

import bqplot
import ipywidgets as ipw
from bqscales import LinearScale
from ipywidgets.widgets import widget

from lrwidget.ui.widgets import close_with_parts


def test_closes_everything_that_a_widget_holds() -> None:
    before = set(widget._instances)
    scales = {"x": LinearScale(), "y": LinearScale()}
    figure = bqplot.Figure(
        marks=[bqplot.Lines(x=[1], y=[1], scales=scales)],
        axes=[bqplot.Axis(scale=scales["x"])],
    )
    box = ipw.VBox([figure, ipw.HBox([ipw.Button()])])
    other = ipw.Button()
    axis, x = figure.axes[0], scales["x"]
    close_with_parts(ipw.VBox([ipw.HBox([axis])]), kept=[axis])
    assert {axis, x} <= set(widget._instances.values())
    close_with_parts(box)
    closed = {box, figure, *figure.marks, *figure.axes, *scales.values()}
    assert not closed & set(widget._instances.values())
    assert other in widget._instances.values()
    close_with_parts(box)
    close_with_parts(other)
    assert set(widget._instances) == before
