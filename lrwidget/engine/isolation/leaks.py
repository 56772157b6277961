"""The check that a loss does not use the original model in place of the copy."""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING, Any

from torch.nn.modules.module import register_module_forward_pre_hook

from lrwidget.engine.isolation.state_snapshot import StateSnapshot

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lrwidget.engine.isolation.contents import Contents
    from lrwidget.engine.losses import LossOf

_RESTORE = "pass isolation='restore', which trains the original and puts it back"


def without_originals(contents: Contents, copies: Contents, loss_of: LossOf) -> LossOf:
    """
    Return a function that computes a loss, and raises if it uses the originals.

    A function is not copied with the model that it refers to: it would train and change
    the original. A call of the original modules raises before buffers are changed; a
    loss that depends on the original parameters raises, too. The check takes time, and
    is not meant for every step.
    """
    original = contents.components
    modules = {original.model, *contents.modules} - set(copies.modules)
    parameters = {*contents.parameters, *contents.trained}
    # A call of a method other than forward runs no hook.
    _, used_by_step = contents.used
    by_name = any(id(value) in contents.own for value in used_by_step)
    restore = StateSnapshot(besides=parameters).keep(
        original.model if by_name else None
    )
    advice = f"but a copy of it is trained; {_RESTORE}"
    if original.training_step is not None:
        advice += ", or use the model that training_step is given"

    def compute(batch: Any) -> Tensor | None:  # noqa: ANN401 (any batch)
        thread = get_ident()

        def refuse(module: nn.Module, _inputs: object) -> None:
            # A notebook cell may use the user's modules meanwhile, in another thread.
            if module in modules and get_ident() == thread:
                name = type(module).__name__
                used = f"the loss was computed with {name} of the original model"
                msg = f"{used}, {advice}"
                raise ValueError(msg)

        try:
            # A global hook leaves the user's modules unchanged.
            with register_module_forward_pre_hook(refuse):
                loss = loss_of(batch)
            if loss is not None:
                _check_leaves(loss, parameters, advice)
        except BaseException:
            restore()
            raise
        return loss

    return compute


def _check_leaves(loss: Tensor, parameters: set[Tensor], advice: str) -> None:
    """Raise if a loss is computed from one of some parameters."""
    nodes: list[Any] = [loss.grad_fn]
    leaves, seen = {id(loss)}, set()
    while nodes:
        node = nodes.pop()
        if node is not None and node not in seen:
            seen.add(node)
            leaves.add(id(getattr(node, "variable", None)))
            nodes += [following for following, _ in node.next_functions]
    if any(id(parameter) in leaves for parameter in parameters):
        msg = f"the loss depends on the original model, {advice}"
        raise ValueError(msg)
