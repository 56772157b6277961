"""Widgets that a page may set while a thread of the kernel does."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from operator import attrgetter
from typing import Any

import ipywidgets as ipw


class _Own(threading.local):
    """The note of each thread of the state that the page has just sent."""

    def __init__(self) -> None:
        self.note: dict[str, Any] = {}


class SetInThreads(ipw.Widget):  # type: ignore[misc]  # untyped base
    """
    A widget whose state from the page may come while another thread writes to it.

    ipywidgets notes the state that the page has just sent in one place for all
    threads, and traitlets holds back the news of all threads in one dict, so that a
    write at that moment fails or is lost. Here each thread has its own note, and news
    are not held back: a page sends one number or choice of such a widget.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 (any traits)
        self._own = _Own()
        super().__init__(*args, **kwargs)

    def _set_note(self, note: dict[str, Any]) -> None:
        self._own.note = note

    _property_lock = property(attrgetter("_own.note"), _set_note)

    def hold_trait_notifications(self) -> AbstractContextManager[None]:
        """Hold back the news, except of the state that the page has sent."""
        if self._property_lock:
            return nullcontext()
        held: AbstractContextManager[None] = super().hold_trait_notifications()
        return held
