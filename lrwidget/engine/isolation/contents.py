"""The modules and tensors in the components of a training, and what functions use."""

from __future__ import annotations

import dis
import weakref
from contextlib import suppress
from functools import cached_property, partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from torch import nn

from lrwidget.engine.optimizers import optimizers_in

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from lrwidget.engine.isolation.components import Components

T = TypeVar("T")

_MOST_ITEMS = 1000  # larger ones hold data
_CONTAINERS = (dict, list, tuple, set, frozenset)


class Contents:
    """The modules and tensors in components, listed once, and what functions use."""

    def __init__(self, components: Components, model: nn.Module) -> None:
        """List the content, that of the model without `DistributedDataParallel`."""
        self.components = components
        self.model = model
        self.modules = list(model.modules())
        self.parameters = parameters_in(self.modules)
        self.buffers = _each_once(module._buffers for module in self.modules)  # noqa: SLF001 (as in parameters_in)
        others = [part for part in components[1:] if isinstance(part, nn.Module)]
        # also of the loss and the training step
        self.all_modules = [*self.modules, *(m for x in others for m in x.modules())]
        self.optimizers = optimizers_in(components.optimizer)
        groups = components.optimizer.param_groups
        self.trained = [parameter for group in groups for parameter in group["params"]]
        self.tensors = [*parameters_in(self.all_modules), *self.trained]
        own = (components.model, *self.modules, *self.parameters, *self.buffers)
        self.own = set(map(id, (*own, *self.optimizers)))

    @cached_property
    def used(self) -> tuple[list[object], list[object]]:
        """The objects outside the loss function and outside the training step."""
        _, _, loss_fn, training_step, _ = self.components
        return outside(loss_fn), outside(training_step)

    def knows_parameters_by_id(self) -> bool:
        """Whether an optimizer has the `id` of a parameter in its attributes."""
        known, seen = set(map(id, self.trained)), set[int]()
        found: list[Any] = [vars(optimizer) for optimizer in self.optimizers]
        for value in found:  # the list grows in the loop
            if type(value) is int and value in known:
                return True
            if id(value) not in seen and isinstance(value, _CONTAINERS):
                seen.add(id(value))
                found += [*value, *getattr(value, "values", tuple)()]
        return False


def parameters_in(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    """
    Return the parameters that some modules hold, each once.

    `Module.parameters` also computes names, which takes several times as long. A model
    may override it: the answer may then differ from this.
    """
    return _each_once(module._parameters for module in modules)  # noqa: SLF001 (see above)


def _each_once(held: Iterable[dict[str, T | None]]) -> list[T]:
    found = {value: None for values in held for value in values.values()}
    return [value for value in found if value is not None]


def outside(value: object) -> list[object]:
    """
    Return the objects outside a function that it refers to, directly or indirectly.

    The search follows closures, defaults, globals, functions of the same package,
    partials, methods, weak references and small containers, but no modules or other
    objects. The content of the value itself, if it is a partial or a method, is left
    out: a deep copy copies it.
    """
    while isinstance(value, partial | MethodType):
        value = value.func if isinstance(value, partial) else value.__func__
    package = _package(value)
    found = [value]
    seen = {id(value)}
    for part in found:  # the list grows in the loop
        if isinstance(part, FunctionType) and _package(part) != package:
            continue
        for inner in inside(part):
            if id(inner) not in seen:
                seen.add(id(inner))
                found.append(inner)
    return found[1:]


def held_by(used: Iterable[object]) -> Iterator[object]:
    """Yield some objects, their attributes, and the items of small ones of these."""
    for value in used:
        yield value
        if not isinstance(value, (FunctionType, ModuleType, nn.Module)):
            attributes = getattr(value, "__dict__", None)
            # a class has no plain dict
            values = attributes.values() if type(attributes) is dict else ()
            for item in list(values):
                yield from (item, *inside(item))


def _package(function: object) -> str:
    return str(getattr(function, "__module__", "")).partition(".")[0]


def inside(value: object) -> Iterable[object]:  # noqa: PLR0911 (a branch for each kind)
    """Return the objects in a function or a small container; others have none."""
    if isinstance(value, FunctionType):
        return _used_by(value)
    if isinstance(value, partial):
        return (value.func, *value.args, *value.keywords.values())
    if isinstance(value, MethodType):
        return (value.__func__, value.__self__)
    if isinstance(value, weakref.ref):
        return (value(),)
    if isinstance(value, list | tuple | set) and len(value) <= _MOST_ITEMS:
        return list(value)
    if type(value) is dict and len(value) <= _MOST_ITEMS:
        return list(value.values())
    return ()


def _used_by(function: FunctionType) -> list[object]:
    used: list[object] = [
        *(function.__defaults__ or ()),
        *(function.__kwdefaults__ or {}).values(),
    ]
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # a cell without a value yet
            used.append(cell.cell_contents)
    values = function.__globals__
    return used + [values[name] for name in _global_names(function.__code__, values)]


def _global_names(code: CodeType, among: Container[str]) -> set[str]:
    """Return the global names that a function uses."""
    # co_names has attributes, too; to tell the two apart takes long, so it comes last.
    names = {name for name in code.co_names if name in among}
    if names:
        names &= {
            str(instruction.argval)
            for instruction in dis.get_instructions(code)
            if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME")
        }
    for constant in code.co_consts:
        if isinstance(constant, CodeType):  # of a function or comprehension inside
            names |= _global_names(constant, among)
    return names
