"""The table of the points of the opened run, for screen readers and for copying."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anywidget
import numpy as np
import traitlets

from lrwidget.curve.ticks import plain, short
from lrwidget.ui.widgets import page_file

if TYPE_CHECKING:
    from lrwidget.curve.lr_curve import LRCurve
    from lrwidget.ui.snapshot import Snapshot

_MOST = 100  # points
_DIGITS = 3  # of a loss


class PointsTable(anywidget.AnyWidget):
    """A folded table with the rate, the loss and the trend at points of one curve."""

    _esm = page_file("dom.js", "points_table.js")
    _css = page_file("points_table.css")

    title = traitlets.Unicode().tag(sync=True)
    points = traitlets.List(traitlets.List(traitlets.Unicode())).tag(sync=True)

    def __init__(self) -> None:
        super().__init__(layout={"display": "none", "width": "auto"})

    def show(self, snapshot: Snapshot) -> None:
        """Show points of the opened run, unless it grows."""
        opened = snapshot.opened
        if opened is None or opened in snapshot.growing:
            return
        points = points_of(snapshot.curve)
        of = f" of {opened.name}" if len(snapshot.runs) > 1 else ""
        with self.hold_sync():
            self.title, self.points = f"Table of the points{of}", points
        self.layout.display = None if points else "none"


def points_of(curve: LRCurve) -> list[list[str]]:
    """Return rate, loss and trend as texts, of at most a hundred steps."""
    if not len(curve):
        return []
    count = min(len(curve), _MOST)
    chosen = np.linspace(0, len(curve) - 1, count).round().astype(int)
    lrs, losses = curve.lrs[chosen], curve.losses[chosen]
    trend, _errors = curve.fit().at(lrs)
    return [
        [short(lr), plain(loss, _DIGITS), plain(height, _DIGITS)]
        for lr, loss, height in zip(
            lrs.tolist(), losses.tolist(), trend.tolist(), strict=True
        )
    ]
