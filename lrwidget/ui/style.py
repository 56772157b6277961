"""The style sheet of the widget, in whatever theme it is shown."""

from __future__ import annotations

import ipywidgets as ipw

_CSS = """
.lrwidget {
  --lrwidget-text: var(--jp-ui-font-color1, #222);
  --bq-content-font-color: var(--lrwidget-text);
  max-width: 1000px;
}
.lrwidget .bqplot > svg .mark path.line { pointer-events: none; }
.lrwidget .bqplot > svg .axis text { fill: var(--lrwidget-text); }
.lrwidget-status, .lrwidget-status * { line-height: 1.4; height: auto; }
.lrwidget-failed { color: var(--jp-error-color1, #c62828); }
"""


def style_sheet() -> ipw.HTML:
    """Return a widget that shows nothing and styles its surroundings."""
    return ipw.HTML(f"<style>{_CSS}</style>", layout={"display": "none"})
