"""What is trained instead of the user's model, or how that is put back."""

from __future__ import annotations

import copy
import weakref
from collections import OrderedDict
from functools import partial
from types import FunctionType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, get_args

import torch
from torch import nn

from lrwidget.engine.distributed.process_groups import replicated, sharded_states
from lrwidget.engine.isolation.references import outside
from lrwidget.engine.isolation.snapshot import StateSnapshot
from lrwidget.engine.memory import copied_on_write
from lrwidget.engine.modules import buffers_in, parameters_in
from lrwidget.engine.optimizers import parameters_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from lrwidget.engine.losses import LossFunction, TrainingStep

Isolation: TypeAlias = Literal["auto", "copy", "restore"]
ISOLATIONS: tuple[str, ...] = get_args(Isolation)

# By name, since importing torch's distributed parts and compiler takes seconds.
_UNCOPIED = {
    "DTensor",
    "DistributedDataParallel",
    "FSDPModule",
    "FullyShardedDataParallel",
    "OptimizedModule",
    "UninitializedParameter",
}

_LEADING = (FunctionType, partial, weakref.ref)


class Components(NamedTuple):
    """
    What a range test trains.

    Attributes
    ----------
    model:
        The model.
    optimizer:
        Its optimizer.
    loss_fn, training_step, grad_scaler:
        What it is trained with.
    """

    model: nn.Module
    optimizer: Optimizer
    loss_fn: LossFunction | None = None
    training_step: TrainingStep | None = None
    grad_scaler: GradScaler | None = None


def isolate(
    subject: Components, how: Isolation, device: torch.device | None
) -> tuple[Components, Callable[[], object]]:
    """
    Return what to train, and the function that makes all as it was.

    Parameters
    ----------
    subject:
        What the user passed. A copy is without the wrapper that averages gradients.
    how:
        ``"copy"`` trains a deep copy, which shares the memory of frozen parameters.
        ``"restore"`` trains the original and puts it back bit for bit.
        ``"auto"`` copies where a copy can be made and is right.
    device:
        Where to move the copy, or None to leave it where the original is.

    Raises
    ------
    ValueError
        If ``"copy"`` cannot be done, or ``device`` would move an original.
    """
    if how == "restore":
        return _original(subject, device)
    try:
        _check_copyable(subject)
        # Its wrapper communicates, which that of a test does in another group.
        inner = subject._replace(model=replicated(subject.model))
        copied = _copied(inner)
        _check_whole(inner, copied)
    except Exception as error:
        # Torch refuses non-leaf tensors, Python locks and files, and a class may refuse
        # with any error: what cannot be copied is put back.
        if how == "copy":
            msg = (
                f"isolation='copy' cannot copy the model: {error}; pass 'restore', "
                "which trains the original and puts it back, or 'auto'"
            )
            raise ValueError(msg) from error
        return _original(subject, device)
    if device is not None:
        _move(copied, device)
    # A function cannot be copied with the modules that it uses.
    return copied, _keep_outside(subject)


def _original(
    subject: Components, device: torch.device | None
) -> tuple[Components, Callable[[], object]]:
    where = {tensor.device for tensor in subject.model.parameters()}
    if device is not None and where != {device}:
        msg = (
            f"device={str(device)!r} would move the original model, since no copy of "
            "it is made; move the model there yourself and pass device=None"
        )
        raise ValueError(msg)
    restore_outside = _keep_outside(subject)
    keeper = StateSnapshot(besides=sharded_states(subject.model))
    for part in subject:  # of whatever class
        keeper.keep_inside(part)
    restore_subject = keeper.keep(subject)

    def restore() -> None:
        try:
            restore_outside()
        finally:
            restore_subject()

    return subject, restore


def _check_copyable(subject: Components) -> None:
    """Raise where a copy can be made, but what is trained would not be the same."""
    modules = list(replicated(subject.model).modules())
    parameters = parameters_in(modules)
    kinds = {kind.__name__ for module in modules for kind in type(module).__mro__}
    kinds |= {type(tensor).__name__ for tensor in parameters}
    for kind in kinds & _UNCOPIED:
        msg = f"a copy of its {kind} would not be the same"
        raise ValueError(msg)
    own = set(map(id, (subject.model, *modules, *parameters, *buffers_in(modules))))
    if any(id(value) in own for value in outside(subject.loss_fn)):
        msg = "loss_fn uses the original by its name"
        raise ValueError(msg)
    if any(_points_back(module, own) for module in modules):
        msg = "it holds a function that uses the original by its name"
        raise ValueError(msg)
    for tensor in _parameters(subject):
        for hooks in ("_backward_hooks", "_post_accumulate_grad_hooks"):
            if getattr(tensor, hooks, None):
                msg = "the hooks of its parameters do not go with a copy"
                raise ValueError(msg)


def _parameters(subject: Components) -> list[torch.Tensor]:
    """Return the parameters of all modules and of the optimizer."""
    own = parameters_in(_modules(subject))
    return [*own, *parameters_of(subject.optimizer)]


def _modules(subject: Components) -> list[nn.Module]:
    """Return the modules of all parts."""
    parts = [part for part in subject if isinstance(part, nn.Module)]
    return [module for part in parts for module in part.modules()]


def _points_back(module: nn.Module, own: set[int]) -> bool:
    """Whether a module holds a function or a weak reference that leads to some."""
    held: list[object] = []
    for name, kept in vars(module).items():
        if not isinstance(kept, dict):
            held.append(kept)
        elif name not in ("_parameters", "_modules", "_buffers"):
            held += kept.values()
    # A deep copy follows methods and containers by itself, but not what is in them.
    leading = [x for x in held if isinstance(x, _LEADING)]
    return any(id(part) in own for value in leading for part in outside(value))


def _keep_outside(subject: Components) -> Callable[[], None]:
    """
    Remember what a loss may change in modules that only functions know.

    That are buffers, attributes, and gradients where there are none. Their parameters
    are left to whoever may train them meanwhile.
    """
    own = set(subject.model.modules())
    used = (*outside(subject.loss_fn), *outside(subject.training_step))
    modules = [x for x in used if isinstance(x, nn.Module) and x not in own]
    parameters = parameters_in(part for x in modules for part in x.modules())
    without_grad = [p for p in parameters if p.grad is None]
    restore = StateSnapshot(besides=parameters).keep(modules)

    def restore_and_clear() -> None:
        restore()
        for parameter in without_grad:
            parameter.grad = None

    return restore_and_clear


def _copied(subject: Components) -> Components:
    """Return a deep copy of all parts in one, so that their references follow."""
    memo: dict[int, Any] = {
        id(parameter): _shared(parameter)
        for parameter in parameters_in(subject.model.modules())
        if not parameter.requires_grad and type(parameter) is nn.Parameter
    }
    memo |= {id(empty): OrderedDict() for empty in _empty_dicts(subject)}
    copied = copy.deepcopy(subject, memo)
    pairs = zip(_parameters(subject), _parameters(copied), strict=True)
    for parameter, twin in pairs:  # which has none of its attributes
        if vars(parameter):
            vars(twin).update(copy.deepcopy(vars(parameter), memo))
    if "_trainer" in vars(subject.model):  # which Lightning leaves out of a copy
        vars(copied.model)["_trainer"] = vars(subject.model)["_trainer"]
    _complete(subject.optimizer, copied.optimizer, memo)
    return copied


def _empty_dicts(subject: Components) -> Iterator[OrderedDict[Any, Any]]:
    """
    Yield the empty ordered dicts of all modules and of the optimizer.

    Each has ten for hooks alone, on which a deep copy would spend most of its time.
    """
    for holder in (subject.optimizer, *_modules(subject)):
        for value in vars(holder).values():
            if type(value) is OrderedDict and not value:
                yield value


def _check_whole(subject: Components, copied: Components) -> None:
    """Raise unless the copied optimizer trains the copied model, and nothing else."""
    # As the models say it: one may have others than its modules hold.
    before, after = (
        {id(tensor) for tensor in (*model.parameters(), *model.buffers())}
        for model in (subject.model, copied.model)
    )
    pairs = zip(
        parameters_of(subject.optimizer), parameters_of(copied.optimizer), strict=True
    )
    if before & after or any(
        (id(p) in before) != (id(of_copy) in after) for p, of_copy in pairs
    ):
        msg = (
            f"a copy of {type(subject.model).__name__} has other parameters or buffers"
        )
        raise ValueError(msg)


def _shared(frozen: nn.Parameter) -> nn.Parameter:
    """Return a frozen parameter that shares its memory until somebody writes to it."""
    return nn.Parameter(copied_on_write(frozen.detach()), requires_grad=False)


def _move(copied: Components, device: torch.device) -> None:
    """Move a copy with its loss and with what its optimizer keeps to a device."""
    modules = [part for part in copied if isinstance(part, nn.Module)]
    before = [p for module in modules for p in module.parameters()]
    if all(parameter.device == device for parameter in before):
        return
    kept = copied.optimizer.state_dict()
    for module in modules:
        module.to(device)
    # Between some kinds of devices torch replaces the parameters.
    after = [p for module in modules for p in module.parameters()]
    moved = dict(zip(before, after, strict=True))
    for group in copied.optimizer.param_groups:
        group["params"][:] = [moved.get(p, p) for p in group["params"]]
    copied.optimizer.load_state_dict(kept)


def _complete(optimizer: Optimizer, copied: Optimizer, memo: dict[int, Any]) -> None:
    """
    Add to a copied optimizer the attributes that its pickling leaves out.

    Without them LBFGS has no parameters and hooks are lost. A ``step`` that a
    learning-rate scheduler has wrapped stays away: it steps the original.
    """
    left_out = {
        name: value
        for name, value in vars(optimizer).items()
        if name not in {"defaults", "state", "param_groups", "step"}
    }
    vars(copied).update(copy.deepcopy(left_out, memo))
