"""Closing of a widget with all its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as ipw

if TYPE_CHECKING:
    from collections.abc import Iterator


def close_with_parts(widget: ipw.Widget) -> None:
    """
    Close a widget and every widget that its traits hold, at any depth.

    ipywidgets closes a box without its children and a chart without its marks, and
    keeps every open widget alive.
    """
    parts: list[ipw.Widget] = []
    found = [widget]
    while found:
        part = found.pop()
        if part not in parts:
            parts.append(part)
            found.extend(_held(part))
    for part in parts:
        # Widget.close itself: the close of a part may have called this function.
        ipw.Widget.close(part)


def _held(widget: ipw.Widget) -> Iterator[ipw.Widget]:
    for name in widget.keys:
        value = getattr(widget, name)
        if isinstance(value, dict):
            value = value.values()
        elif not isinstance(value, list | tuple):
            value = (value,)
        yield from (item for item in value if isinstance(item, ipw.Widget))
