"""Loaders of any kind, iterated any number of times and left unchanged."""

from __future__ import annotations

import copy
import signal
from contextlib import contextmanager
from inspect import GEN_RUNNING, getgeneratorstate
from itertools import chain
from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader

from lrwidget.config import empty_loader

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator


class Batches:
    """The batches of a loader, once or without end; `name` is the loader's argument."""

    def __init__(self, dataloader: Iterable[Any], name: str = "dataloader") -> None:
        self._dataloader = dataloader
        self._loader = own_loader(dataloader)
        self._name = name
        self._iterator: Iterator[Any] | None = None
        self._latest: Generator[Any, None, None] | None = None  # the latest pass
        self._empty = False  # whether the latest pass has no batch yet

    def close(self) -> None:
        """End the worker processes of the iteration."""
        if self._latest is not None:
            self._latest.close()  # it also refers to the iterator
        iterator, self._iterator = self._iterator, None
        is_users_own = self._loader is self._dataloader
        persistent = getattr(iterator, "_persistent_workers", False)
        if iterator is self._dataloader or (is_users_own and persistent):
            return
        # torch ends the workers with the iterator, which the traceback of an error may
        # keep alive.
        for name in ("_shutdown_workers", "close"):
            if hasattr(iterator, name):
                getattr(iterator, name)()

    @property
    def awaited(self) -> str | None:
        """The argument and class of the loader, if a training waits for its batch."""
        if self._latest is None or getgeneratorstate(self._latest) != GEN_RUNNING:
            return None
        return f"{self._name}=<{type(self._dataloader).__name__}>"

    def once(self) -> Generator[Any, None, None]:
        """Return the batches from first to last; ValueError if there is none."""
        return next(self.epochs())

    def endless(self) -> Iterator[Any]:
        """
        Return the batches without end, pass after pass; ValueError if there is none.

        The batches end if another pass has no batch: most iterators have batches for
        one pass only, and so has a loader that reads from such an iterator.
        """
        return chain.from_iterable(self.epochs())

    def epochs(self) -> Iterator[Generator[Any, None, None]]:
        """Return the batches of each pass, which are those of `endless`."""
        first = True
        while first or not self._empty:
            self._latest = self._batches(first=first)
            yield self._latest
            first = False

    def _batches(self, *, first: bool) -> Generator[Any, None, None]:
        self._empty = True
        with _interrupts_held_back():
            self._iterator = iter(self._loader)
        for batch in self._iterator:
            self._empty = False
            yield batch
        if self._empty and first:
            raise empty_loader(self._name, self._dataloader)


def own_loader(loader: Any) -> Any:  # noqa: ANN401 (any loader)
    """
    Return a loader whose passes do not change the passes of the given loader.

    A loader with persistent workers has one iterator for all its passes: a new pass
    resets it in the middle of another pass. A loader with a state loses the state in a
    new pass.
    """
    if not isinstance(loader, DataLoader):
        return loader
    own: Any = copy.copy(loader)
    if not (own.persistent_workers or hasattr(own, "load_state_dict")):
        return loader
    # A loader of torchdata keeps a loaded state for its next pass. After state_dict(),
    # it keeps the iterator of its next pass.
    if getattr(own, "_initial_iter_for_state_dict", False):
        own.load_state_dict(own.state_dict())
    own._iterator = None  # noqa: SLF001 (torch has no other way)
    if getattr(own, "next_iter_state", None) is not None:
        own.next_iter_state = copy.deepcopy(own.next_iter_state)
    return own


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """
    Block interrupts in this thread and in the processes that it starts meanwhile.

    The process of the test handles an interrupt and ends its workers in order. If the
    workers end first, the test fails instead of stopping.
    """
    if not hasattr(signal, "pthread_sigmask"):  # as on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
