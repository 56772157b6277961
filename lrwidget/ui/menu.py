"""A button with a menu: lines to copy, or files to save."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from lrwidget.ui.widgets import page_file

if TYPE_CHECKING:
    from collections.abc import Callable

_TYPES = {
    "json": "application/json",
    "csv": "text/csv",
    "png": "image/png",
    "svg": "image/svg+xml",
}


class Menu(anywidget.AnyWidget):
    """
    A button that opens a menu.

    An entry copies its text to the clipboard or, if there is `on_export`, asks for a
    file of that format, which the browser saves.
    """

    _esm = page_file("dom.js", "menu.js")
    _css = page_file("menu.css")

    label = traitlets.Unicode().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)
    entries = traitlets.List(traitlets.Unicode()).tag(sync=True)
    saves = traitlets.Bool().tag(sync=True)  # whether an entry is a format of a file

    def __init__(
        self,
        label: str,
        title: str,
        on_export: Callable[[str], bytes] | None = None,
    ) -> None:
        self._on_export = on_export  # from a format to the contents of such a file
        entries = [] if on_export is None else [kind.upper() for kind in _TYPES]
        super().__init__(
            label=label, title=title, entries=entries, saves=on_export is not None
        )
        self.on_msg(self._on_message)

    def show(self, entries: list[str]) -> None:
        """Offer these entries; without any, the button is disabled."""
        if self.entries != entries:
            self.entries = entries

    def _on_message(
        self, _widget: object, content: dict[str, Any], _buffers: object
    ) -> None:
        match content:
            case {"save": str(kind), "view": view} if kind in _TYPES and self.saves:
                answer = {"view": view, "name": f"learning-rates.{kind}"}
                try:
                    contents = self._on_export(kind)  # type: ignore[misc]  # it saves
                except Exception as error:  # noqa: BLE001 (any error is shown)
                    self.send({**answer, "problem": str(error)})
                else:
                    self.send({**answer, "type": _TYPES[kind]}, [contents])
