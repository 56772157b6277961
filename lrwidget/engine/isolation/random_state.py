"""The random states that a range test uses, and the states of its loaders."""

from __future__ import annotations

import random
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import chain, count
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, IterableDataset
from torch.utils.data.dataloader import _BaseDataLoaderIter

from lrwidget.engine.isolation.state_snapshot import (
    GENERATORS,
    IMMUTABLE,
    StateSnapshot,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


_lock = threading.RLock()
_taken: weakref.WeakSet[RandomState] = weakref.WeakSet()
_numbers = count()
_SMALL = (int, float, str, type(None), *GENERATORS)
_DEPTH = 6  # of the containers in the state of a data set
_MOST_NESTED = 1000  # containers in a container; data have more
_MOST_TRANSFORMS = 50  # in a list; data are longer


class _Kept(NamedTuple):
    """The function that restores a state; a lower number means an earlier state."""

    number: int
    restore: Callable[[], object]


class RandomState:
    """
    The random states of Python, NumPy and torch, and the states of some loaders.

    The constructor takes the states, and `restore` puts them back, also after `seed`.
    The state of a loader is its attributes, its generators and the content of its
    samplers, also of the loaders that it wraps. Data are no state, but the generators
    in a data set, its transforms and ``collate_fn`` are, and the attributes of an
    iterable data set and of one with ``state_dict`` and ``load_state_dict``.

    A training that starts during another one takes states that the other one has
    changed already. A training that ends therefore passes its states on to the
    trainings that go on, so that the last one restores the states before the first.
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
        for loader in dataloaders:
            restore_loader, generators = _keep(loader)
            self._kept[f"loader {id(loader)}"] = _Kept(number, restore_loader)
            self._generators += generators
        with _lock:
            _taken.add(self)

    def seed(self, seed: int) -> None:
        """Seed all generators that `restore` puts back, each with the same number."""
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 (the generator that users seed)
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
        """Take over earlier states of the same objects."""
        for key, kept in other._kept.items():
            if key in self._kept and kept.number < self._kept[key].number:
                self._kept[key] = kept


def _keep_process() -> Callable[[], None]:
    """Return a function that restores the present random states of the CPU."""
    of_python = random.getstate()
    of_numpy = np.random.get_state()  # noqa: NPY002 (as above)
    of_torch = torch.get_rng_state()

    def restore() -> None:
        random.setstate(of_python)
        np.random.set_state(of_numpy)  # noqa: NPY002 (as above)
        torch.set_rng_state(of_torch)

    return restore


def _keep(dataloader: Iterable[Any]) -> tuple[Callable[[], None], list[object]]:
    """Return a function that restores the state of a loader, and its generators."""
    loaders, samplers = _parts(dataloader)
    depths = [_DEPTH if _is_stateful(loader) else 0 for loader in loaders]
    held = zip(depths, (vars(loader).values() for loader in loaders), strict=True)
    small = [x for depth, values in held for x in values if _is_order(x, depth)]
    if isinstance(dataloader, Iterator):
        small = [value for value in small if isinstance(value, GENERATORS)]
    # Samplers refer to the data set, which may be large, and is no state of a sampler.
    data = [getattr(loader, "dataset", None) for loader in loaders]
    used = [*data, *(getattr(loader, "collate_fn", None) for loader in loaders)]
    orders = (small, [vars(part) for part in samplers], _generators_in(used))
    snapshot = StateSnapshot(besides=data)
    # torch's own loaders have no other state, and an iterator cannot go back.
    for loader in loaders[isinstance(dataloader, Iterator) :]:
        if not isinstance(loader, DataLoader):
            snapshot.keep_attributes(loader)
    return snapshot.keep(orders), snapshot.generators


def _generators_in(used: list[Any]) -> list[object]:
    """Return the generators in data sets and functions, such as those of transforms."""
    found, seen = list(used), set[int]()
    for value in found:  # the list grows in the loop
        if id(value) in seen or len(found) > _MOST_NESTED:
            continue
        seen.add(id(value))
        if isinstance(value, list | tuple | dict):
            inside = list(value.values() if isinstance(value, dict) else value)
            found += inside[:_MOST_TRANSFORMS]
        elif isinstance(value, partial):
            found += [value.func, *value.args, *value.keywords.values()]
        elif isinstance(value, MethodType):
            found.append(value.__self__)
        elif not isinstance(value, (type, FunctionType, ModuleType, torch.Tensor)):
            found += getattr(value, "__dict__", {}).values()
    return [value for value in found if isinstance(value, GENERATORS)]


def _seed(generator: Any, seed: int) -> None:  # noqa: ANN401 (of four classes)
    if isinstance(generator, torch.Generator):
        generator.manual_seed(seed)
    elif isinstance(generator, np.random.Generator):
        bits = generator.bit_generator
        bits.state = type(bits)(seed).state
    else:
        generator.seed(seed)


def _is_stateful(value: object) -> bool:
    """Whether an object has a state of its own that it can go back to."""
    methods = hasattr(value, "state_dict") and hasattr(value, "load_state_dict")
    others = (nn.Module, Optimizer, DataLoader, _BaseDataLoaderIter)
    has_state = methods or isinstance(value, IterableDataset)
    return has_state and hasattr(value, "__dict__") and not isinstance(value, others)


def _is_order(value: object, depth: int) -> bool:
    """Whether an attribute of a loader is part of its state, rather than its data."""
    if type(value) in IMMUTABLE:
        return False  # the usual case, in the shortest time
    if isinstance(value, list | deque | set | dict):
        items = list(value.values() if isinstance(value, dict) else value)
        deeper = depth if len(items) <= _MOST_NESTED else 0
        return all(
            isinstance(x, _SMALL) or (deeper > 0 and _is_order(x, deeper - 1))
            for x in items
        )
    if isinstance(value, np.ndarray):
        return value.ndim == 1 and value.dtype.kind == "i"
    return isinstance(value, GENERATORS)


def _parts(dataloader: object) -> tuple[list[object], list[object]]:
    """
    Return a loader with all loaders that it wraps, and the samplers of all.

    Data sets with a state are among the loaders, unless an iterator has them, which
    goes on.
    """
    loaders = [dataloader] if hasattr(dataloader, "__dict__") else []
    goes_on = isinstance(dataloader, Iterator)
    for loader in loaders:  # the list grows in the loop
        for value in list(vars(loader).values()):
            if isinstance(value, DataLoader) or (not goes_on and _is_stateful(value)):
                _add(loaders, [value])
    samplers: list[object] = []
    for part in chain(loaders, samplers):
        inner = [getattr(part, name, None) for name in ("sampler", "batch_sampler")]
        _add(samplers, [value for value in inner if hasattr(value, "__dict__")])
    return loaders, samplers


def _add(parts: list[object], more: list[object]) -> None:
    """Add objects that are not in a list, by identity."""
    parts += [value for value in more if not any(value is part for part in parts)]
