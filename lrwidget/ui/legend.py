"""The list of the runs, and the former ones to show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as ipw

from lrwidget.ui.marks import CURVE, look_of_former
from lrwidget.ui.widgets import close_with_parts

if TYPE_CHECKING:
    from collections.abc import Callable

    from lrwidget.curve.runs import Run

# The border that looks most like a line, where the style of that has another name.
_BORDERS = {"dash_dotted": "double"}


class Legend(ipw.HBox):  # type: ignore[misc]  # untyped base
    """The name of the latest run; a check box and a button for each former run."""

    def __init__(
        self, on_change: Callable[[], object], on_remove: Callable[[str], object]
    ) -> None:
        self._on_change = on_change  # other runs are to be shown
        self._on_remove = on_remove
        self._entries: dict[str, ipw.HBox] = {}
        self._latest = ipw.Label(layout={"border_bottom": f"3px solid {CURVE}"})
        self._latest.add_class("lrwidget-latest")
        super().__init__()
        self.add_class("lrwidget-legend")
        self.show([], None)

    def show(self, former: list[Run], latest: Run | None) -> list[Run]:
        """List these runs alone; return the former ones that are to be shown."""
        for name in self._entries.keys() - {run.name for run in former}:
            close_with_parts(self._entries.pop(name))
        for run in former:
            if run.name not in self._entries:
                self._entries[run.name] = self._entry(run)
        self._latest.value = "" if latest is None else latest.name
        # Alone, a run needs no name.
        self._latest.layout.display = None if former else "none"
        boxes = {run.name: self._entries[run.name] for run in former}
        self.children = (self._latest, *boxes.values())
        return [run for run in former if boxes[run.name].children[0].value]

    def _entry(self, run: Run) -> ipw.HBox:
        colour, style = look_of_former(run.number)
        border = f"3px {_BORDERS.get(style, style)} {colour}"
        shown = ipw.Checkbox(
            value=True,
            description=run.name,
            tooltip=f"Show {run.name}",
            indent=False,
            layout={"width": "auto", "min_width": "0", "border_bottom": border},
        )
        remove = ipw.Button(
            icon="times",
            tooltip=f"Remove {run.name}",
            layout={"flex": "0 0 auto", "width": "28px"},
        )
        shown.observe(lambda _change: self._on_change(), "value")
        remove.on_click(lambda _button: self._on_remove(run.name))
        return ipw.HBox([shown, remove], layout={"max_width": "100%"})
