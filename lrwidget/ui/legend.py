"""The legend: the marks of the chart."""

from __future__ import annotations

import ipywidgets as ipw

_KEY = """<span class="lrwidget-key">
<span><i class="lrwidget-trend">━</i> trend</span>
{}<span><i class="lrwidget-raw">─</i> one batch</span>
<span><i class="lrwidget-suggestion">◆</i> suggestion</span>
<span><i class="lrwidget-band">█</i> {}</span>
<span><i class="lrwidget-choice">●</i> chosen</span>
{}</span>"""
_BAND = """<span><i class="lrwidget-errors">█</i> ± 2 standard errors</span>
"""
_REPEATS = """<span><i class="lrwidget-repeats">━</i> trend of repeated runs</span>
"""


class Legend(ipw.HBox):  # type: ignore[misc]  # untyped base
    """The meaning of the marks."""

    def __init__(self) -> None:
        self._key = ipw.HTML()
        super().__init__([self._key])
        self.add_class("lrwidget-legend")
        self.explain(band=True, repeats=False, checked=False)

    def explain(self, *, band: bool, repeats: bool, checked: bool) -> None:
        """Explain the marks, and those that are not always in the chart if they are."""
        key = _KEY.format(
            _BAND if band else "",
            "checked by training" if checked else "range to try",
            _REPEATS if repeats else "",
        )
        if self._key.value != key:
            self._key.value = key
