"""The loss of a batch, by the conventions of batches and models."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from lrwidget.config import is_kind
from lrwidget.curve.checks import check_object
from lrwidget.curve.short_repr import short_repr
from lrwidget.engine.advice import to_paste
from lrwidget.engine.batches import TARGETS, structure

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from lrwidget.config import LossFunction, TrainingStep

LossOf: TypeAlias = "Callable[[Any], Tensor | None]"

_LEAST_PARTS = 2
_OR_LOSS_FN = "pass loss_fn=... for batches of the form (inputs, target), or "


class NoLossError(Exception):
    """The batch has no loss, and is to be skipped."""


def check_loss(model: Any, loss_fn: object, training_step: object) -> None:  # noqa: ANN401 (Lightning is not imported)
    """Raise unless the loss comes from one function, or from a known kind of model."""
    check_object("loss_fn", loss_fn, "")
    if loss_fn is not None and training_step is not None:
        msg = (
            f"loss_fn={short_repr(loss_fn)} and training_step="
            f"{short_repr(training_step)} both give the loss; pass one of them"
        )
        raise ValueError(msg)
    if training_step is not None and not _takes_two(training_step):
        msg = (
            f"training_step={short_repr(training_step)} cannot be called with (model, "
            "batch); pass a function of these two arguments that returns the loss"
        )
        raise TypeError(msg)
    given = loss_fn is not None or training_step is not None
    if given or not is_kind(model, "LightningModule"):
        return
    if "lightning" not in type(model).training_step.__module__.partition(".")[0]:
        name = type(model).__name__
        msg = (
            f"model=<{name}> has its own training_step, which the loops of Lightning "
            "call; use LRWidget.from_lightning(module, data), or the from_lightning of "
            "RangeTest, range_test or race; or pass loss_fn or training_step"
        )
        raise ValueError(msg)


def untrained(loss_fn: object, optimizer: Optimizer) -> list[str]:
    """Return a sentence on the parameters of a loss that are not trained, if any."""
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    parameters = loss_fn.parameters() if isinstance(loss_fn, torch.nn.Module) else ()
    count = sum(p.requires_grad and id(p) not in held for p in parameters)
    sentence = (
        f"loss_fn has {count} trainable parameters that no optimizer has; pass their "
        "optimizer, too, as in optimizer=[of_the_loss, optimizer]."
    )
    return [sentence] if count else []


def _takes_two(function: Any) -> bool:  # noqa: ANN401 (anything callable)
    """Whether a function can be called with two arguments, as far as is known."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some functions in C have no signature
        return True
    try:
        signature.bind(None, None)
    except TypeError:
        return False
    return True


def loss_function(
    model: nn.Module, loss_fn: LossFunction | None, training_step: TrainingStep | None
) -> LossOf:
    """
    Return the function that computes the loss of a batch: `training_step` or `loss_fn`.

    ``loss_fn(model(*inputs), target)`` is for a batch ``(*inputs, target)``; for a
    mapping with one usual name of a target, it is ``loss_fn(model(**inputs), target)``,
    or ``loss_fn(model(only_input), target)`` if the model has another name for its only
    input; and for an object with a ``y``, ``loss_fn(model(batch), batch.y)``.

    If both are None, the model gives the loss itself. It is called with the batch, with
    the items of a list or tuple, or with the items of a mapping as keywords. It returns
    the loss, an object with a ``loss``, a tuple that begins with the loss, or a mapping
    of losses, whose sum is the loss.

    The function returns a tensor of one element, or None where the batch is skipped. It
    raises TypeError if the batch gives no loss by these conventions, and ValueError if
    the loss has more than one element.
    """
    if training_step is not None:
        return partial(_by_training_step, model, training_step)
    if loss_fn is not None:
        return partial(_by_loss_fn, model, loss_fn)
    return partial(_by_model, model)


def _by_training_step(
    model: nn.Module,
    training_step: TrainingStep,
    batch: Any,  # noqa: ANN401 (any batch)
) -> Tensor | None:
    try:
        result = training_step(model, batch)
    except NoLossError:
        return None
    return _one(_loss_in(result), "training_step", result, "return the mean loss")


def _by_loss_fn(
    model: nn.Module,
    loss_fn: LossFunction,
    batch: Any,  # noqa: ANN401 (any batch)
) -> Tensor:
    args, kwargs, target = _inputs_and_target(model, batch, loss_fn)
    outputs = _called(model, batch, loss_fn, *args, **kwargs)
    try:
        result = loss_fn(outputs, target)
    except (TypeError, AttributeError) as error:
        if isinstance(outputs, torch.Tensor):
            raise
        msg = (
            f"loss_fn cannot be called with the output of the model, "
            f"{structure(outputs)}: {error}; {to_paste(model, batch, loss_fn)}"
        )
        raise TypeError(msg) from error
    hint = "return the mean loss, as reduction='mean' does"
    return _one(_loss_in(result), "loss_fn", result, hint)


def _inputs_and_target(
    model: nn.Module,
    batch: Any,  # noqa: ANN401 (any batch)
    loss_fn: LossFunction,
) -> tuple[tuple[Any, ...], dict[str, Any], Any]:
    """Return the positional inputs, the named inputs and the target in a batch."""
    if isinstance(batch, list | tuple) and len(batch) >= _LEAST_PARTS:
        names = getattr(batch, "_fields", ())
        if not any(name in TARGETS for name in names[:-1]):
            *inputs, target = batch
            return tuple(inputs), {}, target
    elif isinstance(batch, Mapping):
        targets = [name for name in TARGETS if name in batch]
        named = {name: item for name, item in batch.items() if name not in targets}
        if len(targets) == 1 and named:
            if _accepts(model, **named):
                return (), named, batch[targets[0]]
            if len(named) == 1:
                return tuple(named.values()), {}, batch[targets[0]]
    elif hasattr(batch, "y"):
        return (batch,), {}, batch.y
    msg = (
        "loss_fn needs batches of the form (inputs, target), or a mapping with one of "
        f"the keys {TARGETS}, or an object with a y; the dataloader gave "
        f"{structure(batch)}; {to_paste(model, batch, loss_fn)}"
    )
    raise TypeError(msg)


def _accepts(model: nn.Module, /, *args: object, **kwargs: object) -> bool:
    """Whether a model can be called in this way."""
    # A compiled model takes any arguments, the model in it does not.
    forward = getattr(model, "_orig_mod", model).forward
    try:
        inspect.signature(forward).bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def _by_model(model: nn.Module, batch: Any) -> Tensor:  # noqa: ANN401 (any batch)
    result: Any
    if isinstance(batch, Mapping):
        result = _called(model, batch, None, **batch)
    elif isinstance(batch, list | tuple):
        result = _called(model, batch, None, *batch)
    else:
        result = _called(model, batch, None, batch)
    loss = _loss_in(result)
    if loss is None and isinstance(result, tuple) and result and _is_loss(result[0]):
        loss = result[0]
    elif loss is None and isinstance(result, Mapping):  # as detection models do
        losses = list(result.values())
        if losses and all(_is_loss(item) for item in losses):
            loss = torch.stack(losses).sum()
    if loss is None or loss.numel() != 1:
        return _one(loss, "model", result, f"pass loss_fn, or {to_paste(model, batch)}")
    return loss


def _called(
    model: nn.Module,
    batch: object,
    loss_fn: LossFunction | None,
    /,
    *args: object,
    **kwargs: object,
) -> object:
    """Call a model; explain an error of the call, but not one inside of the model."""
    try:
        return model(*args, **kwargs)
    except TypeError as error:
        if _accepts(model, *args, **kwargs):
            raise
        hint = _OR_LOSS_FN if loss_fn is None else ""
        msg = (
            f"the model cannot be called with the batch of the dataloader, "
            f"{structure(batch)}: {error}; "
            f"{hint}{to_paste(model, batch, loss_fn)}"
        )
        raise TypeError(msg) from error


def _loss_in(result: object) -> Tensor | None:
    """Return the tensor called loss in the result of a function, if any."""
    if isinstance(result, torch.Tensor):
        return result
    if isinstance(result, Mapping):
        loss = result.get("loss")
    else:
        loss = getattr(result, "loss", None)
    return loss if isinstance(loss, torch.Tensor) else None


def _is_loss(item: object) -> bool:
    """Whether an object is a tensor of one number that can be differentiated."""
    return (
        isinstance(item, torch.Tensor)
        and not item.dim()
        and item.requires_grad == torch.is_grad_enabled()
    )


def _one(loss: Tensor | None, source: str, result: object, hint: str) -> Tensor:
    """Return the loss of a result; raise if it is None or has several elements."""
    if loss is None:
        msg = f"{source} returned {structure(result)}, which is no loss; {hint}"
        raise TypeError(msg)
    if loss.numel() != 1:
        msg = f"{source} returned {structure(loss)}, not one loss; {hint}"
        raise ValueError(msg)
    return loss
