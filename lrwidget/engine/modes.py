"""The modes of the modules of a model in a test: training or evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn.modules.batchnorm import _NormBase

if TYPE_CHECKING:
    from torch import nn


def train(model: nn.Module, *, keep_modes: bool) -> list[str]:
    """
    Put a model into training mode, and return notices of the modules it has changed.

    It calls ``model.train()``, as every training does. A normalization layer in
    evaluation mode with only frozen parameters keeps its mode, which was set on
    purpose. With ``keep_modes``, all modules keep their modes.
    """
    before = [module for module in model.modules() if not module.training]
    if keep_modes or not before:
        return []
    frozen = [module for module in before if _is_frozen_norm(module)]
    model.train()
    kept = [module for module in frozen if module.training]
    for module in kept:
        module.train(mode=False)
    switched = [m for m in before if m.training and m is not model]
    notices = []
    if switched:
        notices.append(
            f"{_count(switched, 'module was', 'modules were')} in eval mode and "
            f"{'is' if len(switched) == 1 else 'are'} trained in training mode, as "
            "model.train() does; keep_modes=True keeps the modes."
        )
    if kept:
        notices.append(
            f"{_count(kept, 'normalization layer', 'normalization layers')} with "
            f"frozen parameters {'stays' if len(kept) == 1 else 'stay'} in eval mode."
        )
    return notices


def _is_frozen_norm(module: nn.Module) -> bool:
    parameters = list(module.parameters(recurse=False))
    frozen = not any(parameter.requires_grad for parameter in parameters)
    return isinstance(module, _NormBase) and bool(parameters) and frozen


def _count(modules: list[nn.Module], one: str, several: str) -> str:
    return f"1 {one}" if len(modules) == 1 else f"{len(modules)} {several}"
