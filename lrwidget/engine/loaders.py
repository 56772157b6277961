"""Any loader, iterated over any number of times and left as it was."""

from __future__ import annotations

import copy
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import GEN_RUNNING, getgeneratorstate
from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable


class Batches:
    """
    The batches of a loader, once or without end.

    Close it at the end, which ends the worker processes that it started.

    Parameters
    ----------
    dataloader:
        Any iterable of batches.
    name:
        The argument that it is.
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
        # torch ends the workers with the iterator, which the traceback of an error
        # may keep alive for as long as somebody wants to read it.
        if iterator is self._dataloader or self._persists(iterator):
            return
        for name in ("_shutdown_workers", "close"):
            if hasattr(iterator, name):
                getattr(iterator, name)()

    def _persists(self, iterator: object) -> bool:
        """Whether an iterator is that of a loader of the user's that keeps its own."""
        kept = getattr(iterator, "_persistent_workers", False)
        return bool(kept) and self._loader is underlying(self._dataloader)

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for the next batch at the moment."""
        given = self._given
        return given is not None and getgeneratorstate(given) == GEN_RUNNING

    def once(self) -> Generator[Any, None, None]:
        """
        Return the batches from first to last.

        Raises
        ------
        ValueError
            If the loader has none.
        """
        self._given = self._pass_once()
        return self._given

    def endless(self) -> Generator[Any, None, None]:
        """
        Return the batches, from the first again whenever they end.

        Ends only where the loader cannot start again: a one-shot iterator, or what
        has one inside.

        Raises
        ------
        ValueError
            If the loader has none.
        """
        self._given = self._pass_endlessly()
        return self._given

    def _pass_once(self) -> Generator[Any, None, None]:
        empty = True
        for batch in self._begun():
            empty = False
            yield batch
        if empty:
            raise empty_loader(self._dataloader, self._name)

    def _pass_endlessly(self) -> Generator[Any, None, None]:
        # One generator, not one in another: each takes time at every step.
        first = True
        while first or not isinstance(self._dataloader, Iterator):
            empty = True
            for batch in self._begun():
                empty = False
                yield batch
            if empty and first:
                raise empty_loader(self._dataloader, self._name)
            if empty:
                return
            first = False

    def _begun(self) -> Iterator[Any]:
        with _interrupts_held_back():
            self._iterator = iter(self._loader)
        return self._iterator


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """
    Hold interrupts back from this thread, and for good from processes it starts.

    They are for the one that runs the test, which ends its workers in order; where
    these end first, the test fails instead of being stopped.
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
    """The loaders of a training, by which one can see what it waits for."""

    def __init__(self) -> None:
        self._loaders: dict[str, Batches] = {}

    def watch(self, **loaders: Batches) -> None:
        """Look at these from now on, by the names of the arguments that they are."""
        self._loaders = loaders

    @property
    def now(self) -> str | None:
        """The loader whose next batch somebody waits for, if it is one."""
        for name, batches in self._loaders.items():
            if batches.awaited:
                return f"{name}=<{batches.kind}>"
        return None


class EmptyLoaderError(ValueError):
    """A loader has no batch."""


def empty_loader(dataloader: object, name: str = "dataloader") -> EmptyLoaderError:
    """Return the error of a loader that has no batch."""
    if isinstance(dataloader, Iterator):
        msg = f"{name}={dataloader!r} is an iterator with no batch left"
        return EmptyLoaderError(msg + "; pass a loader that can be iterated again")
    hint = "pass one with a batch at least"
    if getattr(dataloader, "drop_last", False):
        hint += "; with drop_last=True a data set smaller than batch_size has none"
    return EmptyLoaderError(f"{name}={dataloader!r} is empty; {hint}")


def underlying(dataloader: Iterable[Any]) -> Iterable[Any]:
    """
    Return the loader that Accelerate has wrapped, or a loader itself.

    Accelerate's counts itself among those that are being iterated over until it has
    come to its end, which a test seldom does.
    """
    loader: Iterable[Any] = getattr(dataloader, "base_dataloader", dataloader)
    return loader


def _own(dataloader: Iterable[Any]) -> Iterable[Any]:
    """Return a loader whose iterators are not the user's."""
    loader = underlying(dataloader)
    # One with persistent workers has one iterator for good, which each new pass
    # takes from whoever is in the midst of it.
    if isinstance(loader, DataLoader) and loader.persistent_workers:
        own: DataLoader[Any] = copy.copy(loader)
        own._iterator = None  # noqa: SLF001 (torch has no other way)
        return own
    return loader
