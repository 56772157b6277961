"""A snapshot of the content of objects, and its restoration in the same objects."""

from __future__ import annotations

import random
import sys
from collections import OrderedDict, UserDict, deque
from contextlib import ExitStack
from functools import partial, singledispatch
from types import MethodType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import Sampler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy.typing as npt

    # the function that restores a value, if it can change, and its content
    Found: TypeAlias = tuple[Callable[[], object] | None, Iterable[object]]

GENERATORS = (
    torch.Generator,
    np.random.Generator,
    np.random.RandomState,
    random.Random,
)
# torch's copy-on-write is private, and may be dropped.
_lazy_clone = getattr(torch, "_lazy_clone", torch.clone)
# The classes of most items of containers, which cannot change.
IMMUTABLE = frozenset({int, float, bool, str, bytes, type(None)})


class StateSnapshot:
    """
    The content of objects, to be restored in the same objects.

    The content of modules, optimizers, gradient scalers, samplers, containers, arrays,
    tensors and random generators is stored in depth, each once. Of other objects, only
    the references in the attributes are stored; of those in ``besides``, nothing.
    """

    def __init__(self, besides: Iterable[object] = ()) -> None:
        self._restores: list[Callable[[], object]] = []
        self._seen = {id(value): value for value in besides}

    @property
    def generators(self) -> list[object]:
        """The random generators in the snapshot."""
        return [value for value in self._seen.values() if isinstance(value, GENERATORS)]

    def keep(self, value: object) -> Callable[[], None]:
        """Store a value, and return the function that restores all that is stored."""
        self._keep(value)

        def restore() -> None:
            # All functions are called, also after an error of one.
            with torch.no_grad(), ExitStack() as stack:
                for restore in self._restores:
                    stack.callback(restore)

        return restore

    def keep_inside(self, value: object) -> None:
        """Store the content of the attributes of an object of any class."""
        if not isinstance(value, type) and hasattr(value, "__dict__"):
            self._keep(vars(value))

    def keep_attributes(self, value: object) -> None:
        """Store the references in the attributes of an object."""
        attributes = vars(value)
        self._restores.append(partial(_set_attributes, attributes, dict(attributes)))

    def _keep(self, value: object) -> None:
        if type(value) in IMMUTABLE or id(value) in self._seen:
            return
        self._seen[id(value)] = value
        restore, inside = _look_into(value)
        if restore is not None:
            self._restores.append(restore)
        for item in inside:
            self._keep(item)


@singledispatch
def _look_into(value: object) -> Found:
    """
    Return the function that restores a value, if it can change, and its content.

    Of an object of an unknown class, the references in its attributes are stored.
    """
    attributes = getattr(value, "__dict__", None)
    library = type(value).__module__.partition(".")[0]
    # Classes have no plain dict. Other code may use objects of Python's own library
    # meanwhile: a thread, a lock, a logger.
    if type(attributes) is dict and library not in sys.stdlib_module_names:
        return partial(_set_attributes, attributes, dict(attributes)), ()
    return None, ()


@_look_into.register(nn.Module)
@_look_into.register(Optimizer)
@_look_into.register(torch.amp.GradScaler)
@_look_into.register(Sampler)
@_look_into.register(UserDict)
def _(value: object) -> Found:
    return partial(_set_class, value, type(value)), (vars(value),)


@_look_into.register(dict)
def _(value: dict[Any, Any]) -> Found:
    # not the methods of a subclass, which may raise
    kind = OrderedDict if isinstance(value, OrderedDict) else dict
    items = dict(value)
    clear = partial(kind.clear, value)
    fill = partial(kind.update, value, items)
    return partial(_refill, clear, fill), items.values()


@_look_into.register(list)
@_look_into.register(deque)
@_look_into.register(set)
def _(value: list[Any] | deque[Any] | set[Any]) -> Found:
    items = list(value)
    fill = value.update if isinstance(value, set) else value.extend
    return partial(_refill, value.clear, partial(fill, items)), items


@_look_into.register(tuple)
def _(value: tuple[Any, ...]) -> Found:
    return None, value


@_look_into.register(partial)
def _(value: partial[Any]) -> Found:
    return None, (value.func, value.args, value.keywords)


@_look_into.register(MethodType)
def _(value: MethodType) -> Found:
    return None, (value.__self__,)


@_look_into.register(torch.Generator)
@_look_into.register(np.random.RandomState)
def _(value: Any) -> Found:  # noqa: ANN401 (of two classes)
    return partial(value.set_state, value.get_state()), ()


@_look_into.register(random.Random)
def _(value: random.Random) -> Found:
    if isinstance(value, random.SystemRandom):  # it has no state
        return None, ()
    return partial(value.setstate, value.getstate()), ()


@_look_into.register(np.random.Generator)
def _(value: np.random.Generator) -> Found:
    bits = value.bit_generator
    return partial(setattr, bits, "state", bits.state), ()


@_look_into.register(np.ndarray)
def _(value: npt.NDArray[Any]) -> Found:
    return partial(_set_array, value, value.copy(), value.flags.writeable), ()


@_look_into.register(torch.Tensor)
def _(tensor: Any) -> Found:  # noqa: ANN401 (torch's distributed part is not imported)
    # Of a distributed tensor, the local part is written to the memory that it has at
    # the end, to which other objects refer, too.
    sharded = hasattr(tensor, "_local_tensor")
    kind, requires_grad = type(tensor), tensor.requires_grad
    data = None if sharded else tensor.data
    grad = tensor.grad if tensor.is_leaf else None
    saved = None
    if not nn.parameter.is_lazy(tensor):
        saved = _saved(tensor._local_tensor if sharded else tensor)  # noqa: SLF001 (torch has no other way without autograd)

    def restore() -> None:
        if not sharded:
            tensor.data = data
        if tensor.is_leaf:
            tensor.requires_grad = requires_grad
            tensor.grad = grad
        here = tensor._local_tensor if sharded else tensor.data  # noqa: SLF001 (as above)
        if saved is not None and not _same_bits(here, saved):
            here.copy_(saved)
        _set_class(tensor, kind)

    return restore, (grad,)


def _set_attributes(attributes: dict[str, object], before: dict[str, object]) -> None:
    """Make the attributes of an object as they were before."""
    for name in attributes.keys() - before.keys():
        del attributes[name]
    attributes.update(before)


def _set_array(
    array: npt.NDArray[Any], before: npt.NDArray[Any], writeable: object
) -> None:
    """Make an array as it was before; one that did not change may be read-only."""
    if array.tobytes() != before.tobytes():
        array.flags.writeable = True
        np.copyto(array, before)
    if array.flags.writeable != writeable:
        array.flags.writeable = bool(writeable)


def _set_class(value: object, kind: type) -> None:
    """Set the class of a value, unless it has it."""
    if type(value) is not kind:  # lazy modules and parameters change it
        value.__class__ = kind


def _refill(clear: Callable[[], object], fill: Callable[[], object]) -> None:
    """Empty a container, and then fill it."""
    clear()
    fill()


def _saved(tensor: torch.Tensor) -> torch.Tensor:
    """Return a copy: of a frozen parameter on its device, of others in main memory."""
    data = tensor.detach()
    if isinstance(tensor, nn.Parameter) and not tensor.requires_grad:
        return copied_on_write(data)
    return data.to("cpu", copy=True)


def copied_on_write(data: torch.Tensor) -> torch.Tensor:
    """
    Return a copy of a tensor that takes memory only once one of the two is written to.

    Some models write to their frozen parameters: for example those with a moving
    average of the weights. A NumPy view made before refers to the first memory of both
    tensors: what is written through it changes both, until torch writes to one.
    """
    try:
        copied: torch.Tensor = _lazy_clone(data)
    except RuntimeError:  # memory that is not torch's own
        return data.clone()
    return copied


def shared_parameter(parameter: nn.Parameter) -> nn.Parameter:
    """Return a parameter that shares its memory until the first write."""
    shared = copied_on_write(parameter.detach())
    return nn.Parameter(shared, parameter.requires_grad)


def _same_bits(tensor: torch.Tensor, saved: torch.Tensor) -> bool:
    """Whether two tensors are equal, so that read-only memory need not be written."""
    if tensor.shape != saved.shape or tensor.layout != torch.strided:
        return False
    now = tensor.to(saved.device).contiguous().flatten()
    return torch.equal(
        now.view(torch.uint8), saved.contiguous().flatten().view(torch.uint8)
    )
