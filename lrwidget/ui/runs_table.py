"""The table of the runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import anywidget
import bqplot
import ipywidgets as ipw
import numpy as np
import traitlets

from lrwidget.curve.run_settings import differences
from lrwidget.curve.runs import in_rows
from lrwidget.curve.ticks import short
from lrwidget.ui.answer_text import fall
from lrwidget.ui.marks import CURVE, look_of_former
from lrwidget.ui.messages import same_batches
from lrwidget.ui.widgets import page_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from lrwidget.curve.runs import Run
    from lrwidget.curve.suggestion import Suggestion
    from lrwidget.ui.snapshot import Snapshot

_FEWEST = 2  # runs; a single one needs no table


class RunCommands(Protocol):
    """The commands that the table gives, on any thread."""

    def open(self, name: str) -> None:
        """Show the curve and the suggestion of a run."""

    def rename(self, name: str, new: str) -> None:
        """Give a run another name."""

    def mark(
        self, name: str, *, pinned: bool | None = None, hidden: bool | None = None
    ) -> None:
        """Pin a run, or hide it."""

    def remove(self, name: str) -> None:
        """Forget a former run."""


class RunsTable(anywidget.AnyWidget):
    """
    A row for each run, with its result and the settings in which the runs differ.

    The page opens, renames, pins, hides and removes runs by messages. It highlights the
    curve of a row under the mouse or with the focus, without a message.
    """

    _esm = page_file("dom.js", "runs_table.js")
    _css = page_file("runs_table.css")

    rows = traitlets.List(traitlets.Dict()).tag(sync=True)
    # The lines of the chart: those of former runs are named by their labels.
    lines = traitlets.List(traitlets.Instance(bqplot.Lines)).tag(
        sync=True, **ipw.widget_serialization
    )

    def __init__(self, commands: RunCommands, answer: Callable[[], object]) -> None:
        self._commands = commands
        self._answer = answer  # to the page, which waits for it
        super().__init__(layout={"display": "none", "width": "auto"})
        self.on_msg(self._on_message)

    def show(self, snapshot: Snapshot, lines: list[bqplot.Lines]) -> None:
        """Show the runs of a snapshot, if there are several."""
        rows = rows_of(snapshot) if len(snapshot.runs) >= _FEWEST else []
        with self.hold_sync():
            self.rows, self.lines = rows, lines if rows else []
        self.layout.display = None if rows else "none"

    def _on_message(
        self, _widget: object, content: dict[str, Any], _buffers: object
    ) -> None:
        self._answer()
        try:
            self._obey(content)
        except ValueError as error:  # of a run that another display has removed
            self.send({"problem": str(error)})

    def _obey(self, content: dict[str, Any]) -> None:
        match content:
            case {"do": "open", "name": str(name)}:
                self._commands.open(name)
            case {"do": "rename", "name": str(name), "new": str(new)}:
                self._commands.rename(name, new)
            case {"do": "pin", "name": str(name), "on": bool(on)}:
                self._commands.mark(name, pinned=on)
            case {"do": "hide", "name": str(name), "on": bool(on)}:
                self._commands.mark(name, hidden=on)
            case {"do": "remove", "name": str(name)}:
                self._commands.remove(name)


def rows_of(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return the rows of the table, each with the texts of its cells."""
    runs, note = list(snapshot.runs), same_batches(snapshot)
    of_each = zip(runs, snapshot.suggestions, differences(runs), strict=True)
    told = {run.name: (suggestion, differs) for run, suggestion, differs in of_each}
    rows = []
    for run in in_rows(runs):
        suggestion, differs = told[run.name]
        opened, latest = run is snapshot.opened, run is snapshot.latest
        colour, style = (CURVE, "solid") if opened else look_of_former(run.number)
        row = {
            "name": run.name,
            "latest": latest,
            "opened": opened,
            "pinned": run.pinned,
            "hidden": run.hidden,
            "colour": colour,
            "style": style,
            **_results(run, suggestion, grows=run in snapshot.growing),
            "differs": differs,
            "note": note if latest else "",
        }
        rows.append(row)
    return rows


def _results(run: Run, suggestion: Suggestion, *, grows: bool) -> dict[str, str]:
    """Return the cells of the results; those of a run that grows are still empty."""
    if grows:
        empty = dict.fromkeys(("suggested", "range", "lowest", "unstable"), "")
        return {**empty, "steps": "running"}
    curve, (lr, low, high, _) = run.history.curve(), suggestion
    to_try = "" if low is None or high is None else f"{short(low)} to {short(high)}"
    known = np.isfinite(curve.losses).any()
    edge, done = curve.unstable_from, len(curve)
    return {
        "suggested": "none" if lr is None else short(lr),
        "range": to_try,
        "lowest": fall(curve)[1] if known else "",
        "unstable": "" if edge is None else short(edge),
        "steps": str(done) if done >= curve.num_it else f"{done} of {curve.num_it}",
    }
