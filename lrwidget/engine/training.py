"""From a model and a batch to a loss, and from a loss to an optimizer step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from lrwidget.engine.batches import structure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn
    from torch.optim import Optimizer

TrainingStep: TypeAlias = "Callable[[nn.Module, Any], Tensor]"
LossFunction: TypeAlias = "Callable[..., Tensor]"

_LEAST_PARTS = 2
_PASTE = """pass training_step=... to say how

For example:

    def training_step(model, batch):
        return model(batch["inputs"]).square().mean()
"""


def loss_of(
    model: nn.Module,
    batch: Any,  # noqa: ANN401 (any batch)
    loss_fn: LossFunction | None,
    training_step: TrainingStep | None,
) -> Tensor:
    """
    Return the loss of a batch.

    Parameters
    ----------
    model:
        The model that is trained.
    batch:
        What the loader gave, on the model's device.
    loss_fn:
        Called as ``loss_fn(model(*inputs), target)`` for a batch
        ``(*inputs, target)``. If None, the model gives the loss itself: called
        with the batch, with its items or, for a mapping, with its keywords, it
        returns the loss or something with a ``loss``.
    training_step:
        Called as ``training_step(model, batch)`` instead of all that, if given.

    Returns
    -------
    :
        A tensor of one element that can be differentiated.

    Raises
    ------
    TypeError
        If the batch cannot be turned into a loss this way.
    ValueError
        If the loss has more than one element, or depends on no parameter.
    """
    result: object
    if training_step is not None:
        result, source = training_step(model, batch), "training_step"
    elif loss_fn is not None:
        *inputs, target = _parts(batch)
        result, source = loss_fn(_called(model, batch, *inputs), target), "loss_fn"
    else:
        result, source = _call(model, batch), "model"
    return _checked(result, source)


def _parts(batch: object) -> list[Any] | tuple[Any, ...]:
    if isinstance(batch, list | tuple) and len(batch) >= _LEAST_PARTS:
        return batch
    msg = (
        "loss_fn needs batches of the form (inputs, target); the dataloader gave "
        f"{structure(batch)}; {_PASTE}"
    )
    raise TypeError(msg)


def _call(model: nn.Module, batch: Any) -> object:  # noqa: ANN401 (any batch)
    if isinstance(batch, Mapping):
        return _called(model, batch, **batch)
    if isinstance(batch, list | tuple):
        return _called(model, batch, *batch)
    return _called(model, batch, batch)


def _called(
    model: nn.Module, batch: object, /, *args: object, **kwargs: object
) -> object:
    try:
        return model(*args, **kwargs)
    except TypeError as error:
        msg = (
            f"the model cannot be called with what the dataloader gave, "
            f"{structure(batch)}: {error}; pass loss_fn=... for batches of the form "
            f"(inputs, target), or {_PASTE}"
        )
        raise TypeError(msg) from error


def _checked(result: object, source: str) -> Tensor:
    """Return the loss in what a model, loss function or training step returned."""
    loss = result
    if isinstance(loss, Mapping):
        loss = loss.get("loss")
    elif not isinstance(loss, torch.Tensor):
        loss = getattr(loss, "loss", None)
    if not isinstance(loss, torch.Tensor):
        hint = "return a tensor" if source != "model" else f"pass loss_fn, or {_PASTE}"
        msg = f"{source} returned {structure(result)}, which is no loss; {hint}"
        raise TypeError(msg)
    if loss.numel() != 1:
        hint = "pass loss_fn" if source == "model" else "return its mean"
        msg = f"{source} returned {structure(loss)}, not one loss; {hint}"
        raise ValueError(msg)
    if not loss.requires_grad:
        msg = (
            f"{source} returned a loss that depends on no trainable parameter; "
            "compute it with the model that is passed, without detach() or no_grad()"
        )
        raise ValueError(msg)
    return loss


def without(originals: Iterable[Tensor], compute_loss: Callable[[], Tensor]) -> Tensor:
    """
    Return a loss, once it is clear that it depends on none of the originals.

    A function cannot be copied with the model that it refers to, so what it trains
    would not be the copy, and what it changes not the copy's.

    Raises
    ------
    ValueError
        If the loss depends on one of the originals.
    """
    loss = compute_loss()
    nodes, seen = [loss.grad_fn], set()
    leaves = {id(loss)}
    while nodes:
        node = nodes.pop()
        if node is not None and node not in seen:
            seen.add(node)
            leaves.add(id(getattr(node, "variable", None)))
            nodes += [following for following, _ in node.next_functions]
    if any(id(parameter) in leaves for parameter in originals):
        msg = (
            "the loss depends on the original model, but a copy of it is trained; "
            "use the model that training_step is given, or pass isolation='restore'"
        )
        raise ValueError(msg)
    return loss


def stepper(optimizer: Optimizer) -> Callable[[Callable[[], Tensor]], Tensor]:
    """
    Return what does one optimizer step for a function that computes the loss.

    It returns the loss before the step. An optimizer that evaluates the loss
    itself, as `torch.optim.LBFGS` does, is given a closure, and the loss is that
    of its first evaluation.
    """

    def differentiate(compute_loss: Callable[[], Tensor]) -> Tensor:
        optimizer.zero_grad()
        loss = compute_loss()
        loss.backward()
        return loss.detach()

    def step(compute_loss: Callable[[], Tensor]) -> Tensor:
        loss = differentiate(compute_loss)
        optimizer.step()
        return loss

    def step_with_closure(compute_loss: Callable[[], Tensor]) -> Tensor:
        losses: list[Tensor] = []

        def closure() -> float:
            losses.append(differentiate(compute_loss))
            return losses[-1].item()

        optimizer.step(closure)
        return losses[0]

    closure = inspect.signature(optimizer.step).parameters.get("closure")
    needs_closure = closure is not None and closure.default is inspect.Parameter.empty
    return step_with_closure if needs_closure else step
