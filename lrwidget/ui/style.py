"""The style sheet of the widget, in whatever theme it is shown."""

from __future__ import annotations

import ipywidgets as ipw

_CSS = """
.lrwidget {
  --lrwidget-text: var(--jp-ui-font-color1, #222);
  --bq-content-font-color: var(--lrwidget-text);
  max-width: 1000px;
}
.lrwidget .svg-background .axis text { fill: var(--lrwidget-text); }
.lrwidget .svg-figure image { cursor: crosshair; }
.lrwidget .svg-figure .dot { cursor: pointer; }
.lrwidget .svg-figure .label { dominant-baseline: central; }
.lrwidget .lrwidget-race .label { fill: var(--lrwidget-text) !important; }
/* so that a click on a line or a text is one on the place behind it */
.lrwidget .svg-figure .curve, .lrwidget .svg-figure text { pointer-events: none; }
.lrwidget .lrwidget-status.widget-html > .widget-html-content { line-height: 1.4; }
.lrwidget-failed { color: var(--jp-error-color1, #c62828); }
"""


def style_sheet() -> ipw.HTML:
    """Return a widget that shows nothing and styles its surroundings."""
    return ipw.HTML(f"<style>{_CSS}</style>", layout={"display": "none"})
