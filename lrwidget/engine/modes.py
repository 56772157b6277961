"""The modes of the modules of a model in a test: training or evaluation."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

_MOST_NAMED = 3  # classes


def train(model: nn.Module, *, keep_modes: bool) -> list[str]:
    """
    Put a model into training mode, and return notices of the modules it has changed.

    It calls ``model.train()``, as every training does. A normalization layer in
    evaluation mode with only frozen parameters keeps its mode, which was set on
    purpose. With ``keep_modes``, all modules keep their modes. The notices leave out
    modules on which the mode has no effect, such as linear layers.
    """
    before: list[Any] = [module for module in model.modules() if not module.training]
    if keep_modes or not before:
        return []
    frozen = [module for module in before if _is_frozen_norm(module)]
    model.train()
    kept = [module for module in frozen if module.training]
    for module in kept:
        module.train(mode=False)
    switched = [m for m in before if m.training and _depends_on_mode(m.__class__)]
    notices = []
    if switched:
        kinds = sorted({type(module).__name__ for module in switched})
        kinds[_MOST_NAMED:] = ["..."] * (len(kinds) > _MOST_NAMED)
        notices.append(
            f"{_count(switched, 'module', 'modules')} ({', '.join(kinds)}) "
            f"{'was' if len(switched) == 1 else 'were'} in eval mode and "
            f"{'is' if len(switched) == 1 else 'are'} trained in training mode, as "
            "model.train() does; keep_modes=True keeps the modes."
        )
    if kept:
        notices.append(
            f"{_count(kept, 'normalization layer', 'normalization layers')} with "
            f"frozen parameters {'stays' if len(kept) == 1 else 'stay'} in eval mode."
        )
    return notices


@cache
def _depends_on_mode(kind: Any) -> bool:  # noqa: ANN401 (a class of modules)
    """Whether the code of a class of modules uses the mode."""
    if issubclass(kind, torch.jit.ScriptModule):
        return True
    own = [each for each in kind.__mro__ if each not in nn.Module.__mro__]
    functions = [inspect.unwrap(x) for each in own for x in vars(each).values()]
    return any(
        "training" in function.__code__.co_names
        for function in functions
        if inspect.isfunction(function)
    )


def _is_frozen_norm(module: nn.Module) -> bool:
    parameters = list(module.parameters(recurse=False))
    frozen = not any(parameter.requires_grad for parameter in parameters)
    return isinstance(module, _NormBase) and bool(parameters) and frozen


def _count(modules: list[nn.Module], one: str, several: str) -> str:
    return f"1 {one}" if len(modules) == 1 else f"{len(modules)} {several}"
