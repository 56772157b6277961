"""The part of the widget that runs in the page, outside the reach of Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import bqplot
import ipywidgets as ipw
import traitlets

if TYPE_CHECKING:
    from collections.abc import Callable

_TYPES = {
    "json": "application/json",
    "csv": "text/csv",
    "png": "image/png",
    "svg": "image/svg+xml",
}
_FILE = "learning-rates"


class Page(anywidget.AnyWidget):
    """
    The script and the style sheet in the browser.

    The script moves the handle by keys, tells the point under the mouse, names the
    parts for screen readers, copies to the clipboard, saves files, and says when the
    kernel is busy with something else.

    Parameters
    ----------
    handle:
        The dot that keys and clicks move.
    on_home:
        Called when the handle is to go to the suggestion.
    on_export:
        Function of a format, ``"json"``, ``"csv"``, ``"png"`` or ``"svg"``, that
        returns the contents of such a file.
    """

    # As text: a path would make anywidget keep each object of this class for ever.
    _esm = Path(__file__).with_name("page.js").read_text("utf-8")
    _css = Path(__file__).with_name("page.css").read_text("utf-8")

    rate = traitlets.Float(
        None, allow_none=True, help="The chosen learning rate, if any."
    ).tag(sync=True)
    range = traitlets.Tuple(
        traitlets.Float(),
        traitlets.Float(),
        default_value=(1e-7, 10.0),
        help="The rates at the chart's edges.",
    ).tag(sync=True)
    suggestion = traitlets.Float(
        None, allow_none=True, help="The suggested learning rate, if any."
    ).tag(sync=True)
    words = traitlets.Unicode(help="What is known of the chosen rate.").tag(sync=True)
    code = traitlets.Unicode(help="The chosen rate as Python code.").tag(sync=True)
    handle = traitlets.Instance(
        bqplot.Scatter, help="The handle, which keys and clicks move, too."
    ).tag(sync=True, **ipw.widget_serialization)
    lines = traitlets.List(
        traitlets.Instance(bqplot.Lines),
        help="The lines whose points the mouse tells, named by their labels.",
    ).tag(sync=True, **ipw.widget_serialization)
    logarithmic = traitlets.Bool(
        help="Whether the lines are logarithms of losses."
    ).tag(sync=True)

    def __init__(
        self,
        handle: bqplot.Scatter,
        on_home: Callable[[], object],
        on_export: Callable[[str], bytes],
    ) -> None:
        self._on_home = on_home
        self._on_export = on_export
        super().__init__(handle=handle, layout={"width": "auto"})
        self.on_msg(self._on_message)

    def answer(self) -> None:
        """Tell the page that the kernel has received the last action."""
        # No trait: a hand may come while another thread sends these.
        self.send({"answered": True})

    def _on_message(
        self, _widget: object, content: dict[str, Any], _buffers: object
    ) -> None:
        self.answer()
        match content:
            case {"do": "home"}:
                self._on_home()
            case {"do": "export", "format": str(kind), "view": view} if kind in _TYPES:
                self._export(kind, view)

    def _export(self, kind: str, view: object) -> None:
        answer = {"view": view, "name": f"{_FILE}.{kind}", "type": _TYPES[kind]}
        try:
            contents = self._on_export(kind)
        except Exception as error:  # noqa: BLE001 (whatever it is, the user is told)
            self.send({**answer, "problem": str(error)})
        else:
            self.send(answer, [contents])
