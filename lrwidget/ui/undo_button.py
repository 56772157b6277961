"""The button that undoes the latest command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as ipw

if TYPE_CHECKING:
    from collections.abc import Callable


class UndoButton(ipw.Button):  # type: ignore[misc]  # untyped base
    """A button whose tooltip tells what it undoes."""

    def __init__(self, on_undo: Callable[[], object]) -> None:
        super().__init__(
            description="Undo",
            icon="undo",
            layout={"flex": "0 0 auto", "width": "auto", "align_self": "flex-start"},
        )
        self.add_class("lrwidget-undo")
        self.on_click(lambda _button: on_undo())
        self.show("")

    def show(self, undoable: str) -> None:
        """Tell the command that would be undone, or disable the button without one."""
        with self.hold_sync():
            self.disabled = not undoable
            self.tooltip = f"Undo {undoable} (Ctrl+Z in the chart)" if undoable else ""
