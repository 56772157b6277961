"""
What modules hold themselves, without the names that torch's own ways to it make up.

Those take several times as long, and what begins a test asks for it time and again.
What a model says of itself, by a ``parameters`` of its own, is another question.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn

T = TypeVar("T")


def parameters_in(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    """Return the parameters that some modules hold, each once."""
    return _each_once(module._parameters for module in modules)  # noqa: SLF001 (see above)


def buffers_in(modules: Iterable[nn.Module]) -> list[Tensor]:
    """Return the buffers that some modules hold, each once."""
    return _each_once(module._buffers for module in modules)  # noqa: SLF001 (see above)


def _each_once(held: Iterable[dict[str, T | None]]) -> list[T]:
    found = {value: None for values in held for value in values.values()}
    return [value for value in found if value is not None]
