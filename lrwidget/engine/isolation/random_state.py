"""The random states that a range test draws from, and how loaders stand."""

from __future__ import annotations

import random
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import chain, count
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader

from lrwidget.engine.isolation.snapshot import GENERATORS, IMMUTABLE, StateSnapshot
from lrwidget.engine.loaders import underlying

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


_lock = threading.RLock()
_taken: weakref.WeakSet[RandomState] = weakref.WeakSet()
_numbers = count()


class _Kept(NamedTuple):
    """How something stood: the number is lower the earlier that was."""

    number: int
    restore: Callable[[], object]


class RandomState:
    """
    The random states of Python, NumPy and torch, and how some loaders stand.

    They are taken when it is made, and put back by `restore`, whatever `seed` has made
    of them. Of a loader, and of those that it wraps, those are the attributes, the
    generators, and all that the samplers hold.

    Where trainings overlap, who began later may have taken what another one had drawn
    from already. So who ends leaves what it has taken to those that go on: the last
    one puts back what there was before the first.
    """

    def __init__(self, *dataloaders: Iterable[Any]) -> None:
        self._cuda = torch.cuda.is_initialized()
        self._generators: list[object] = []
        number = next(_numbers)
        self._kept = {"process": _Kept(number, _keep_process())}
        if self._cuda:
            states = torch.cuda.get_rng_state_all()
            restore = partial(torch.cuda.set_rng_state_all, states)
            self._kept["cuda"] = _Kept(number, restore)
        for loader in map(underlying, dataloaders):
            restore_loader, generators = _keep(loader)
            self._kept[f"loader {id(loader)}"] = _Kept(number, restore_loader)
            self._generators += generators
        with _lock:
            _taken.add(self)

    def seed(self, seed: int) -> None:
        """
        Seed all generators whose states it puts back, each with the same number.

        Parameters
        ----------
        seed:
            From 0 to 2**32 - 1.
        """
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 (the one that users seed)
        # Not torch.manual_seed: that seeds CUDA, too, as soon as it is initialised.
        torch.default_generator.manual_seed(seed)
        if self._cuda:
            torch.cuda.manual_seed_all(seed)
        for generator in self._generators:
            _seed(generator, seed)

    def restore(self) -> None:
        """Put the states back."""
        with _lock, ExitStack() as stack:
            for other in _taken:
                other._adopt(self)  # noqa: SLF001 (of this class)
            for kept in self._kept.values():
                stack.callback(kept.restore)

    def _adopt(self, other: RandomState) -> None:
        """Take what another one has taken of the same things earlier."""
        for key, kept in other._kept.items():
            if key in self._kept and kept.number < self._kept[key].number:
                self._kept[key] = kept


def _keep_process() -> Callable[[], None]:
    """Return what puts the random states of the CPU back to what they are."""
    of_python = random.getstate()
    of_numpy = np.random.get_state()  # noqa: NPY002 (as above)
    of_torch = torch.get_rng_state()

    def restore() -> None:
        random.setstate(of_python)
        np.random.set_state(of_numpy)  # noqa: NPY002 (as above)
        torch.set_rng_state(of_torch)

    return restore


def _keep(dataloader: Iterable[Any]) -> tuple[Callable[[], None], list[object]]:
    """Return what puts a loader back to how it stands now, and its generators."""
    loaders, samplers = _parts(dataloader)
    # Samplers refer to the data set, which may be large, and is not theirs.
    keeper = StateSnapshot(
        besides=[getattr(loader, "dataset", None) for loader in loaders]
    )
    held = [value for loader in loaders for value in vars(loader).values()]
    small = [value for value in held if _is_order(value)]
    if isinstance(dataloader, Iterator):
        small = [value for value in small if isinstance(value, GENERATORS)]
    # torch's own have nothing else that changes, and what an iterator has given does
    # not come back.
    for loader in loaders:
        if not isinstance(loader, DataLoader | Iterator):
            keeper.keep_attributes(loader)
    restore = keeper.keep((small, [vars(part) for part in samplers]))
    return restore, keeper.generators


def _seed(generator: Any, seed: int) -> None:  # noqa: ANN401 (of four classes)
    if isinstance(generator, torch.Generator):
        generator.manual_seed(seed)
    elif isinstance(generator, np.random.Generator):
        bits = generator.bit_generator
        bits.state = type(bits)(seed).state
    else:
        generator.seed(seed)


def _is_order(value: object) -> bool:
    """Whether a loader's attribute is of how it goes on, rather than of its data."""
    if type(value) in IMMUTABLE:
        return False  # as below, but most are so, and this takes less time
    if isinstance(value, list | deque | set):
        return all(_is_number_or_generator(item) for item in value)
    if isinstance(value, dict):
        return all(_is_number_or_generator(item) for item in value.values())
    if isinstance(value, np.ndarray):
        return value.ndim == 1 and value.dtype.kind == "i"
    return isinstance(value, GENERATORS)


def _is_number_or_generator(value: object) -> bool:
    return isinstance(value, (int, float, str, *GENERATORS))


def _parts(dataloader: object) -> tuple[list[object], list[object]]:
    """Return a loader with those that it wraps, and all their samplers."""
    loaders = [dataloader] if hasattr(dataloader, "__dict__") else []
    for loader in loaders:  # which grows meanwhile
        values = list(vars(loader).values())
        _add(loaders, [value for value in values if isinstance(value, DataLoader)])
    samplers: list[object] = []
    for part in chain(loaders, samplers):
        inner = [getattr(part, name, None) for name in ("sampler", "batch_sampler")]
        _add(samplers, [value for value in inner if hasattr(value, "__dict__")])
    return loaders, samplers


def _add(parts: list[object], more: list[object]) -> None:
    """Add what is not among some parts, which may not be comparable."""
    parts += [value for value in more if not any(value is part for part in parts)]
