"""Widgets that a page may set while a thread of the kernel does."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import ipywidgets as ipw


class SetInThreads(ipw.Widget):  # type: ignore[misc]  # untyped base
    """
    A widget whose state from the page may come while another thread writes to it.

    ipywidgets notes what the page has just sent in one place for all threads, and
    traitlets holds back the news of all threads in one dict, so that a write at that
    moment fails or goes astray. Here each thread has a note of its own, and news are
    not held back: what a page sends of such a widget is one number or choice.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 (any traits)
        self._own = threading.local()
        super().__init__(*args, **kwargs)

    @property
    def _property_lock(self) -> dict[str, Any]:
        lock: dict[str, Any] = getattr(self._own, "lock", {})
        return lock

    @_property_lock.setter
    def _property_lock(self, lock: dict[str, Any]) -> None:
        self._own.lock = lock

    def hold_trait_notifications(self) -> AbstractContextManager[None]:
        """Hold back the news, but of what the page has sent."""
        if self._property_lock:
            return nullcontext()
        held: AbstractContextManager[None] = super().hold_trait_notifications()
        return held
