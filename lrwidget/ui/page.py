"""The part of the widget that runs in the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anywidget
import bqplot
import ipywidgets as ipw
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


class Page(anywidget.AnyWidget):
    """
    The script and the style sheet in the browser.

    The script moves the handle by keys and clicks, names the controls for screen
    readers, copies to the clipboard, saves files, and shows a notice when another cell
    keeps the kernel busy.
    """

    _esm = page_file("dom.js", "page.js")
    _css = page_file("page.css")

    suggestion = traitlets.Float(None, allow_none=True).tag(sync=True)
    code = traitlets.Unicode().tag(sync=True)  # of the chosen rate
    handle = traitlets.Instance(bqplot.Scatter, allow_none=True).tag(
        sync=True, **ipw.widget_serialization
    )

    def __init__(
        self, on_home: Callable[[], object], on_export: Callable[[str], bytes]
    ) -> None:
        self._on_home = on_home
        self._on_export = on_export  # from a format to the contents of such a file
        super().__init__(layout={"width": "auto"})
        self.on_msg(self._on_message)

    def answer(self, *_what: object) -> None:
        """Tell the page that the kernel has received the last action."""
        # No trait: another thread may send traits at the same time.
        self.send({"answered": True})

    def answered(self, command: Callable[..., Any]) -> Callable[..., Any]:
        """Return a command that tells the page first that the kernel has it."""

        def answered(*arguments: object) -> object:
            self.answer()
            return command(*arguments)

        return answered

    def _on_message(
        self, _widget: object, content: dict[str, Any], _buffers: object
    ) -> None:
        self.answer()
        match content:
            case {"do": "home"}:
                self._on_home()
            case {"do": "export", "format": str(kind), "view": view} if kind in _TYPES:
                answer = {"view": view, "name": f"learning-rates.{kind}"}
                try:
                    contents = self._on_export(kind)
                except Exception as error:  # noqa: BLE001 (any error is shown)
                    self.send({**answer, "problem": str(error)})
                else:
                    self.send({**answer, "type": _TYPES[kind]}, [contents])
