"""The classes of objects by name, and the tensors that modules hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn

T = TypeVar("T")


def is_kind(value: object, *names: str) -> bool:
    """
    Whether a value is an instance of a class with one of some names, or of a subclass.

    Classes of other libraries are known by name, since the import takes seconds.
    """
    return any(kind.__name__ in names for kind in type(value).__mro__)


# `Module.parameters` and `Module.buffers` also compute names, which takes several times
# as long. A model may override them: the answer may then differ from what is here.


def parameters_in(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    """Return the parameters that some modules hold, each once."""
    return _each_once(module._parameters for module in modules)  # noqa: SLF001 (see above)


def buffers_in(modules: Iterable[nn.Module]) -> list[Tensor]:
    """Return the buffers that some modules hold, each once."""
    return _each_once(module._buffers for module in modules)  # noqa: SLF001 (see above)


def _each_once(held: Iterable[dict[str, T | None]]) -> list[T]:
    found = {value: None for values in held for value in values.values()}
    return [value for value in found if value is not None]
