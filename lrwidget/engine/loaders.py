"""Loaders of any kind, iterated any number of times and left unchanged."""

from __future__ import annotations

import copy
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import GEN_RUNNING, getgeneratorstate
from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader

from lrwidget.config import empty_loader

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable


class Batches:
    """
    The batches of a loader, once or without end.

    `close` ends the worker processes of the iteration.

    Parameters
    ----------
    dataloader:
        Any iterable of batches.
    name:
        The name of the loader's argument.
    """

    def __init__(self, dataloader: Iterable[Any], name: str = "dataloader") -> None:
        self._dataloader = dataloader
        self._name = name
        self._loader = _own(dataloader)
        self._iterator: Iterator[Any] | None = None
        self._given: Generator[Any, None, None] | None = None

    @property
    def kind(self) -> str:
        """The name of the loader's class."""
        return type(self._dataloader).__name__

    def close(self) -> None:
        """End the worker processes."""
        iterator, self._iterator = self._iterator, None
        # torch ends the workers with the iterator, which the traceback of an error may
        # keep alive.
        if iterator is self._dataloader or self._persists(iterator):
            return
        for name in ("_shutdown_workers", "close"):
            if hasattr(iterator, name):
                getattr(iterator, name)()

    def _persists(self, iterator: object) -> bool:
        """Whether an iterator is that of the user's loader with persistent workers."""
        kept = getattr(iterator, "_persistent_workers", False)
        return bool(kept) and self._loader is underlying(self._dataloader)

    @property
    def awaited(self) -> bool:
        """Whether the training waits for the next batch at the moment."""
        given = self._given
        return given is not None and getgeneratorstate(given) == GEN_RUNNING

    def once(self) -> Generator[Any, None, None]:
        """
        Return the batches from first to last.

        Raises
        ------
        ValueError
            If the loader has no batch.
        """
        self._given = self._pass_once()
        return self._given

    def endless(self) -> Generator[Any, None, None]:
        """
        Return the batches without end, pass after pass.

        They end only where the loader cannot start again: an iterator, or a loader with
        an iterator inside.

        Raises
        ------
        ValueError
            If the loader has no batch.
        """
        self._given = self._pass_endlessly()
        return self._given

    def _pass_once(self) -> Generator[Any, None, None]:
        empty = True
        for batch in self._start_pass():
            empty = False
            yield batch
        if empty:
            raise empty_loader(self._name, self._dataloader)

    def _pass_endlessly(self) -> Generator[Any, None, None]:
        # Not nested generators: each one takes time at every step.
        first = True
        while first or not isinstance(self._dataloader, Iterator):
            empty = True
            for batch in self._start_pass():
                empty = False
                yield batch
            if empty and first:
                raise empty_loader(self._name, self._dataloader)
            if empty:
                return
            first = False

    def _start_pass(self) -> Iterator[Any]:
        with _interrupts_held_back():
            self._iterator = iter(self._loader)
        return self._iterator


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


class LoaderMonitor:
    """The loaders of a training, and the loader that the training waits for."""

    def __init__(self) -> None:
        self._loaders: dict[str, Batches] = {}

    def watch(self, **loaders: Batches) -> None:
        """Set the loaders, by the names of their arguments."""
        self._loaders = loaders

    @property
    def awaited(self) -> str | None:
        """The argument and class of the loader that the training waits for, if any."""
        for name, batches in self._loaders.items():
            if batches.awaited:
                return f"{name}=<{batches.kind}>"
        return None


def underlying(dataloader: Iterable[Any]) -> Iterable[Any]:
    """
    Return the loader that Accelerate has wrapped, or a loader itself.

    Accelerate's wrapper counts as active until its end, which a test seldom reaches.
    """
    loader: Iterable[Any] = getattr(dataloader, "base_dataloader", dataloader)
    return loader


def _own(dataloader: Iterable[Any]) -> Iterable[Any]:
    """Return a loader whose iterators are independent of the user's."""
    loader = underlying(dataloader)
    # A loader with persistent workers has one iterator for all its passes: a new pass
    # resets it in the midst of another one.
    if isinstance(loader, DataLoader) and loader.persistent_workers:
        own: DataLoader[Any] = copy.copy(loader)
        own._iterator = None  # noqa: SLF001 (torch has no other way)
        return own
    return loader
