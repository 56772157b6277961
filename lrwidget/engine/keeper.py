"""Remembers what objects hold, and puts it back into the very same objects."""

from __future__ import annotations

import random
import sys
from collections import OrderedDict, UserDict, deque
from contextlib import ExitStack
from functools import partial, singledispatchmethod
from types import MethodType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import Sampler

from lrwidget.engine.memory import copied_on_write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy.typing as npt


GENERATORS = (
    torch.Generator,
    np.random.Generator,
    np.random.RandomState,
    random.Random,
)


# What is most of what containers hold, and cannot change.
_VALUES = {int, float, bool, str, bytes, type(None)}


class Keeper:
    """
    Remembers what objects hold, to put it back into the very same objects.

    It looks into modules, optimizers, gradient scalers, samplers, containers, arrays,
    tensors and random generators, each once. Of other objects, it keeps which values
    their attributes have.

    Parameters
    ----------
    besides:
        Objects that it takes as values, too.
    """

    def __init__(self, besides: Iterable[object] = ()) -> None:
        self._restores: list[Callable[[], object]] = []
        self._seen = {id(value): value for value in besides}

    @property
    def generators(self) -> list[object]:
        """The random generators among all that it keeps."""
        return [value for value in self._seen.values() if isinstance(value, GENERATORS)]

    def keep(self, value: object) -> Callable[[], None]:
        """Remember a value, and return the function that puts it back."""
        self._keep(value)

        def restore() -> None:
            # Every one of them is called, whatever another one raises.
            with torch.no_grad(), ExitStack() as stack:
                for restore in self._restores:
                    stack.callback(restore)

        return restore

    def keep_inside(self, value: object) -> None:
        """Remember all that the attributes of an object hold, whatever it is."""
        if not isinstance(value, type) and hasattr(value, "__dict__"):
            self._keep(vars(value))

    def keep_attributes(self, value: object) -> None:
        """Remember which values the attributes of an object have."""
        attributes = vars(value)
        before = dict(attributes)

        def restore() -> None:
            for name in attributes.keys() - before.keys():
                del attributes[name]
            attributes.update(before)

        self._restores.append(restore)

    def _keep(self, value: object) -> None:
        if type(value) not in _VALUES and id(value) not in self._seen:
            self._seen[id(value)] = value
            self._look_into(value)

    @singledispatchmethod
    def _look_into(self, value: object) -> None:
        """Keep the attributes of anything else, and take what they hold as values."""
        attributes = getattr(value, "__dict__", None)
        library = type(value).__module__.partition(".")[0]
        # Classes have no plain dict; what belongs to Python's own library may be of
        # use elsewhere meanwhile: a thread, a lock, a logger.
        if type(attributes) is dict and library not in sys.stdlib_module_names:
            self.keep_attributes(value)

    @_look_into.register(nn.Module)
    @_look_into.register(Optimizer)
    @_look_into.register(torch.amp.GradScaler)
    @_look_into.register(Sampler)
    @_look_into.register(UserDict)
    def _(self, value: object) -> None:
        self._keep_class(value)
        self._keep(vars(value))

    @_look_into.register(dict)
    def _(self, value: dict[Any, Any]) -> None:
        # not its own methods, which may refuse
        kind = OrderedDict if isinstance(value, OrderedDict) else dict
        clear, fill = partial(kind.clear, value), partial(kind.update, value)
        self._keep_items(clear, dict(value), fill, value.values())

    @_look_into.register(list)
    @_look_into.register(deque)
    def _(self, value: list[Any] | deque[Any]) -> None:
        self._keep_items(value.clear, list(value), value.extend, value)

    @_look_into.register(set)
    def _(self, value: set[Any]) -> None:
        self._keep_items(value.clear, set(value), value.update, value)

    @_look_into.register(tuple)
    def _(self, value: tuple[Any, ...]) -> None:
        for item in value:
            self._keep(item)

    @_look_into.register(partial)
    def _(self, value: partial[Any]) -> None:
        self._keep((value.func, value.args, value.keywords))

    @_look_into.register(MethodType)
    def _(self, value: MethodType) -> None:
        self._keep(value.__self__)

    @_look_into.register(torch.Generator)
    def _(self, value: torch.Generator) -> None:
        self._restores.append(partial(value.set_state, value.get_state()))

    @_look_into.register(np.random.RandomState)
    def _(self, value: np.random.RandomState) -> None:
        self._restores.append(partial(value.set_state, value.get_state()))

    @_look_into.register(random.Random)
    def _(self, value: random.Random) -> None:
        if not isinstance(value, random.SystemRandom):  # which has no state
            self._restores.append(partial(value.setstate, value.getstate()))

    @_look_into.register(np.random.Generator)
    def _(self, value: np.random.Generator) -> None:
        bits, state = value.bit_generator, value.bit_generator.state
        self._restores.append(lambda: setattr(bits, "state", state))

    @_look_into.register(np.ndarray)
    def _(self, value: npt.NDArray[Any]) -> None:
        saved = value.copy()
        self._restores.append(lambda: np.copyto(value, saved))

    @_look_into.register(torch.Tensor)
    def _(self, tensor: torch.Tensor) -> None:
        self._keep_class(tensor)
        data, requires_grad = tensor.data, tensor.requires_grad
        grad = tensor.grad if tensor.is_leaf else None
        lazy = nn.parameter.is_lazy(tensor)
        saved = None if lazy else _saved(tensor)

        def restore() -> None:
            tensor.data = data
            if tensor.is_leaf:
                tensor.requires_grad = requires_grad
                tensor.grad = grad
            if saved is not None and not _same_bits(tensor.data, saved):
                tensor.data.copy_(saved)

        self._restores.append(restore)
        self._keep(grad)

    def _keep_class(self, value: object) -> None:
        kind = type(value)  # lazy modules and parameters change theirs

        def restore() -> None:
            if type(value) is not kind:
                value.__class__ = kind

        self._restores.append(restore)

    def _keep_items(
        self,
        clear: Callable[[], object],
        items: Iterable[Any],
        fill: Callable[[Any], object],
        inside: Iterable[object],
    ) -> None:
        def restore() -> None:
            clear()
            fill(items)

        self._restores.append(restore)
        for item in inside:
            self._keep(item)


def _saved(tensor: torch.Tensor) -> torch.Tensor:
    """Return a copy: of what is frozen on its device, of all else in main memory."""
    data = tensor.detach()
    if isinstance(tensor, nn.Parameter) and not tensor.requires_grad:
        return copied_on_write(data)
    return data.to("cpu", copy=True)


def _same_bits(tensor: torch.Tensor, saved: torch.Tensor) -> bool:
    """Whether nothing was written: memory that is read only stays unwritten."""
    if tensor.shape != saved.shape or tensor.layout != torch.strided:
        return False
    now = tensor.to(saved.device).contiguous().flatten()
    return torch.equal(
        now.view(torch.uint8), saved.contiguous().flatten().view(torch.uint8)
    )
