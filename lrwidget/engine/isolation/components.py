"""The copy that a test trains, or the original that is put back afterwards."""

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
from lrwidget.engine.inspection import buffers_in, parameters_in
from lrwidget.engine.isolation.references import outside
from lrwidget.engine.isolation.snapshot import StateSnapshot, copied_on_write
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
    The parts of a training that a test may change.

    Attributes
    ----------
    model:
        The model.
    optimizer:
        Its optimizer.
    loss_fn, training_step, grad_scaler:
        The loss, the training step and the gradient scaler, if any.
    """

    model: nn.Module
    optimizer: Optimizer
    loss_fn: LossFunction | None = None
    training_step: TrainingStep | None = None
    grad_scaler: GradScaler | None = None


def isolate(
    original: Components, how: Isolation, device: torch.device | None
) -> tuple[Components, Callable[[], object]]:
    """
    Return the components to train, and the function that undoes all changes.

    Parameters
    ----------
    original:
        The components of the user. A copy is without `DistributedDataParallel`.
    how:
        ``"copy"`` trains a deep copy, which shares the memory of frozen parameters.
        ``"restore"`` trains the original and puts it back bit for bit.
        ``"auto"`` copies wherever a correct copy can be made.
    device:
        The device of the copy; None for that of the original.

    Raises
    ------
    ValueError
        If ``"copy"`` cannot be done, or ``device`` would move an original.
    """
    if how == "restore":
        return _original(original, device)
    try:
        _check_copyable(original)
        # The wrapper communicates; a test makes a new one for its private groups.
        inner = original._replace(model=replicated(original.model))
        copied = _copied(inner)
        _check_whole(inner, copied)
    except Exception as error:
        # Torch refuses non-leaf tensors, Python refuses locks and files, and any
        # class may raise any error.
        if how == "copy":
            msg = (
                f"isolation='copy' cannot copy the model: {error}; pass 'restore', "
                "which trains the original and puts it back, or 'auto'"
            )
            raise ValueError(msg) from error
        return _original(original, device)
    if device is not None:
        _move(copied, device)
    # Modules that only functions refer to are not copied.
    return copied, _keep_outside(original)


def _original(
    original: Components, device: torch.device | None
) -> tuple[Components, Callable[[], object]]:
    where = {tensor.device for tensor in original.model.parameters()}
    if device is not None and where != {device}:
        msg = (
            f"device={str(device)!r} would move the original model, since no copy of "
            "it is made; move the model there yourself and pass device=None"
        )
        raise ValueError(msg)
    restore_outside = _keep_outside(original)
    snapshot = StateSnapshot(besides=sharded_states(original.model))
    for part in original:  # of any class
        snapshot.keep_inside(part)
    restore_components = snapshot.keep(original)

    def restore() -> None:
        try:
            restore_outside()
        finally:
            restore_components()

    return original, restore


def _check_copyable(original: Components) -> None:
    """Raise where a copy would train differently from the original."""
    modules = list(replicated(original.model).modules())
    parameters = parameters_in(modules)
    kinds = {kind.__name__ for module in modules for kind in type(module).__mro__}
    kinds |= {type(tensor).__name__ for tensor in parameters}
    for kind in kinds & _UNCOPIED:
        msg = f"a copy of its {kind} would not be the same"
        raise ValueError(msg)
    own = set(map(id, (original.model, *modules, *parameters, *buffers_in(modules))))
    if any(id(value) in own for value in outside(original.loss_fn)):
        msg = "loss_fn uses the original by its name"
        raise ValueError(msg)
    if any(_points_back(module, own) for module in modules):
        msg = "it holds a function that uses the original by its name"
        raise ValueError(msg)
    for tensor in _parameters(original):
        for hooks in ("_backward_hooks", "_post_accumulate_grad_hooks"):
            if getattr(tensor, hooks, None):
                msg = "the hooks of its parameters do not go with a copy"
                raise ValueError(msg)


def _parameters(components: Components) -> list[torch.Tensor]:
    """Return the parameters of all modules and of the optimizer."""
    own = parameters_in(_modules(components))
    return [*own, *parameters_of(components.optimizer)]


def _modules(components: Components) -> list[nn.Module]:
    """Return the modules of all parts."""
    parts = [part for part in components if isinstance(part, nn.Module)]
    return [module for part in parts for module in part.modules()]


def _points_back(module: nn.Module, own: set[int]) -> bool:
    """Whether functions or weak references of a module lead to some objects."""
    held: list[object] = []
    for name, kept in vars(module).items():
        if not isinstance(kept, dict):
            held.append(kept)
        elif name not in ("_parameters", "_modules", "_buffers"):
            held += kept.values()
    # A deep copy follows methods and containers, but not functions or weak references.
    leading = [x for x in held if isinstance(x, _LEADING)]
    return any(id(part) in own for value in leading for part in outside(value))


def _keep_outside(original: Components) -> Callable[[], None]:
    """
    Snapshot the modules that only functions refer to, and return the way back.

    The snapshot has buffers, attributes, and the gradients that are None. It is without
    the parameters, which other code may train meanwhile.
    """
    own = set(original.model.modules())
    used = (*outside(original.loss_fn), *outside(original.training_step))
    modules = [x for x in used if isinstance(x, nn.Module) and x not in own]
    parameters = parameters_in(part for x in modules for part in x.modules())
    without_grad = [p for p in parameters if p.grad is None]
    restore = StateSnapshot(besides=parameters).keep(modules)

    def restore_and_clear() -> None:
        restore()
        for parameter in without_grad:
            parameter.grad = None

    return restore_and_clear


def _copied(original: Components) -> Components:
    """Return a deep copy of all parts at once, which keeps references between parts."""
    memo: dict[int, Any] = {
        id(parameter): _shared(parameter)
        for parameter in parameters_in(original.model.modules())
        if not parameter.requires_grad and type(parameter) is nn.Parameter
    }
    memo |= {id(empty): OrderedDict() for empty in _empty_dicts(original)}
    copied = copy.deepcopy(original, memo)
    pairs = zip(_parameters(original), _parameters(copied), strict=True)
    for parameter, twin in pairs:  # deepcopy drops attributes of a parameter
        if vars(parameter):
            vars(twin).update(copy.deepcopy(vars(parameter), memo))
    if "_trainer" in vars(original.model):  # Lightning leaves it out of a copy
        vars(copied.model)["_trainer"] = vars(original.model)["_trainer"]
    _complete(original.optimizer, copied.optimizer, memo)
    return copied


def _empty_dicts(components: Components) -> Iterator[OrderedDict[Any, Any]]:
    """
    Yield the empty ordered dicts of all modules and of the optimizer.

    Each module has ten for hooks alone, which would take most of the time of a copy.
    """
    for holder in (components.optimizer, *_modules(components)):
        for value in vars(holder).values():
            if type(value) is OrderedDict and not value:
                yield value


def _check_whole(original: Components, copied: Components) -> None:
    """Raise unless the copied optimizer trains the copied model, and nothing else."""
    # By the methods of the models, which may differ from the content of the modules.
    before, after = (
        {id(tensor) for tensor in (*model.parameters(), *model.buffers())}
        for model in (original.model, copied.model)
    )
    pairs = zip(
        parameters_of(original.optimizer), parameters_of(copied.optimizer), strict=True
    )
    if before & after or any(
        (id(p) in before) != (id(of_copy) in after) for p, of_copy in pairs
    ):
        msg = (
            f"a copy of {type(original.model).__name__} has other parameters or buffers"
        )
        raise ValueError(msg)


def _shared(frozen: nn.Parameter) -> nn.Parameter:
    """Return a frozen parameter that shares its memory until the first write."""
    return nn.Parameter(copied_on_write(frozen.detach()), requires_grad=False)


def _move(copied: Components, device: torch.device) -> None:
    """Move a copy, with its loss and the state of its optimizer, to a device."""
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

    Without these, LBFGS has no parameters, and hooks are lost. A ``step`` wrapped by a
    learning-rate scheduler is not copied: it steps the original.
    """
    left_out = {
        name: value
        for name, value in vars(optimizer).items()
        if name not in {"defaults", "state", "param_groups", "step"}
    }
    vars(copied).update(copy.deepcopy(left_out, memo))
