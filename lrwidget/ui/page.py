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


class Page(anywidget.AnyWidget):
    """
    The script and the style sheet in the browser.

    The script moves the handle by keys and clicks, names the controls for screen
    readers, tells these of starts and ends, and shows a notice when another cell keeps
    the kernel busy.
    """

    _esm = page_file("dom.js", "page.js")
    _css = page_file("page.css")

    # The rates that keys reach, beyond the visible ones.
    bounds = traitlets.Tuple(
        traitlets.Float(), traitlets.Float(), default_value=(1e-7, 10.0)
    ).tag(sync=True)
    suggestion = traitlets.Float(None, allow_none=True).tag(sync=True)
    said = traitlets.Unicode().tag(sync=True)  # a start, an end or an error
    handle = traitlets.Instance(bqplot.Scatter, allow_none=True).tag(
        sync=True, **ipw.widget_serialization
    )

    def __init__(self, on_home: Callable[[], object]) -> None:
        self._on_home = on_home
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
        if content.get("do") == "home":
            self._on_home()
