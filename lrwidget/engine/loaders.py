"""Loaders of any kind, iterated any number of times and left unchanged."""

from __future__ import annotations

import copy
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import GEN_RUNNING, getgeneratorstate
from itertools import chain
from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader

from lrwidget.config import empty_loader

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable


class Batches:
    """The batches of a loader, once or without end; `name` is that of its argument."""

    def __init__(self, dataloader: Iterable[Any], name: str = "dataloader") -> None:
        self._dataloader = self._loader = dataloader
        self._name = name
        self._iterator: Iterator[Any] | None = None
        self._given: Generator[Any, None, None] | None = None
        self._empty = False  # the latest pass
        # A loader with persistent workers has one iterator for all its passes: a new
        # pass resets it in the midst of another one.
        if isinstance(dataloader, DataLoader) and dataloader.persistent_workers:
            self._loader = own = copy.copy(dataloader)
            own._iterator = None  # noqa: SLF001 (torch has no other way)

    def close(self) -> None:
        """End the worker processes of the iteration."""
        iterator, self._iterator = self._iterator, None
        users = self._loader is self._dataloader
        persistent = getattr(iterator, "_persistent_workers", False)
        if iterator is self._dataloader or (users and persistent):
            return
        # torch ends the workers with the iterator, which the traceback of an error may
        # keep alive.
        for name in ("_shutdown_workers", "close"):
            if hasattr(iterator, name):
                getattr(iterator, name)()

    @property
    def awaited(self) -> str | None:
        """The argument and class of the loader, if a training waits for its batch."""
        if self._given is None or getgeneratorstate(self._given) != GEN_RUNNING:
            return None
        return f"{self._name}=<{type(self._dataloader).__name__}>"

    def once(self) -> Generator[Any, None, None]:
        """Return the batches from first to last; ValueError if there is none."""
        return self._pass(first=True)

    def endless(self) -> Iterator[Any]:
        """
        Return the batches without end, pass after pass; ValueError if there is none.

        They end only where the loader cannot start again: an iterator, or a loader with
        an iterator inside.
        """
        return chain.from_iterable(self.epochs())

    def epochs(self) -> Iterator[Generator[Any, None, None]]:
        """Return the batches of each pass, which are those of `endless`."""
        first = True
        while first or not (self._empty or isinstance(self._loader, Iterator)):
            yield self._pass(first=first)
            first = False

    def _pass(self, *, first: bool) -> Generator[Any, None, None]:
        self._given = self._batches(first=first)
        return self._given

    def _batches(self, *, first: bool) -> Generator[Any, None, None]:
        self._empty = True
        with _interrupts_held_back():
            self._iterator = iter(self._loader)
        for batch in self._iterator:
            self._empty = False
            yield batch
        if self._empty and first:
            raise empty_loader(self._name, self._dataloader)


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """
    Block interrupts in this thread, and in the processes that it starts meanwhile.

    The interrupt is for the process of the test, which ends its workers in order. If
    the workers end first, the test fails instead of being stopped.
    """
    if not hasattr(signal, "pthread_sigmask"):  # as on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
