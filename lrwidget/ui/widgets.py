"""Widgets that several threads may set, and the end of a widget with its parts."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator


class _Note(threading.local):
    """The state that the page has just sent, in each thread its own."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}


class SetInThreads(ipw.Widget):  # type: ignore[misc]  # untyped base
    """
    A widget whose state from the page may come while another thread writes to it.

    ipywidgets notes the state that the page has just sent in one place for all
    threads, and traitlets holds back the news of all threads in one dict, so that a
    write at that moment fails or is lost. Here each thread has its own note, and news
    are not held back: a page sends one number or choice of such a widget.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 (any traits)
        self._note = _Note()
        super().__init__(*args, **kwargs)

    def _set_note(self, state: dict[str, Any]) -> None:
        self._note.state = state

    _property_lock = property(attrgetter("_note.state"), _set_note)

    def hold_trait_notifications(self) -> AbstractContextManager[None]:
        """Hold back the news, except of the state that the page has sent."""
        if self._property_lock:
            return nullcontext()
        held: AbstractContextManager[None] = super().hold_trait_notifications()
        return held


def page_file(*names: str) -> str:
    """Return the text of files beside this one, in their order, for the page."""
    # As text: a path would make anywidget keep each object of a class for ever.
    folder = Path(__file__).parent
    return "\n".join(folder.joinpath(name).read_text("utf-8") for name in names)


def close_with_parts(widget: ipw.Widget, kept: Collection[ipw.Widget] = ()) -> None:
    """
    Close a widget and every widget that its traits hold, at any depth.

    ipywidgets closes a box without its children and a chart without its marks, and
    keeps every open widget alive. Widgets to be kept stay open, with their parts.
    """
    parts = {widget: None}  # in order, each once
    found = [widget]
    while found:
        held = [part for part in _held(found.pop()) if part not in kept]
        new = [part for part in held if part not in parts]
        parts.update(dict.fromkeys(new))
        found += new
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
