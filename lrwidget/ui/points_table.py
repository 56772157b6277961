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
    columns = traitlets.List(traitlets.Unicode()).tag(sync=True)
    points = traitlets.List(traitlets.List(traitlets.Unicode())).tag(sync=True)

    def __init__(self) -> None:
        self._run = ""  # name of the run of which the points are
        super().__init__(layout={"display": "none", "width": "auto"})

    def show(self, snapshot: Snapshot) -> None:
        """Show points of the opened run, unless it grows."""
        opened = snapshot.opened
        if opened is None:
            return
        if opened in snapshot.growing:
            if len(self.points):  # of the run before, as long as this one grows
                self.title = f"Table of the points of {self._run}"
            return
        self._run = opened.name
        columns = columns_of(snapshot.curve, snapshot.capabilities.loss_name)
        of = f" of {opened.name}" if len(snapshot.runs) > 1 else ""
        with self.hold_sync():
            self.title, self.columns = f"Table of the points{of}", [*columns]
            self.points = [list(point) for point in zip(*columns.values(), strict=True)]
        self.layout.display = None if len(snapshot.curve) else "none"


def columns_of(curve: LRCurve, loss_name: str = "loss") -> dict[str, list[str]]:
    """Return rates, losses and trend as texts, at a hundred steps at most."""
    count = min(len(curve), _MOST)
    chosen = np.linspace(0, max(len(curve) - 1, 0), count).round().astype(int)
    columns = {loss_name: curve.losses, "trend": curve.fit().at(curve.lrs)[0]}
    if curve.train_losses is not None:
        columns["training loss"] = curve.train_losses
    texts = {"rate": [short(lr) for lr in curve.lrs[chosen].tolist()]}
    for name, losses in columns.items():
        texts[name] = [plain(loss, _DIGITS) for loss in losses[chosen].tolist()]
    return texts
