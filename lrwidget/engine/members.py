"""
What modules hold, without the names that torch's own ways to it make up.

Those take several times as long, and what begins a test asks for it time and again. A
tensor that modules share comes once for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn


def parameters_in(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    """Return the parameters that some modules hold themselves."""
    return [
        parameter
        for module in modules
        for parameter in module._parameters.values()  # noqa: SLF001 (as said above)
        if parameter is not None
    ]


def buffers_in(modules: Iterable[nn.Module]) -> list[Tensor]:
    """Return the buffers that some modules hold themselves."""
    return [
        buffer
        for module in modules
        for buffer in module._buffers.values()  # noqa: SLF001 (as said above)
        if buffer is not None
    ]


def parts_of(model: nn.Module) -> list[object]:
    """Return the modules of a model, their parameters and their buffers."""
    modules = list(model.modules())
    return [*modules, *parameters_in(modules), *buffers_in(modules)]
