"""The copy that a test trains, or the original that is put back afterwards."""

from __future__ import annotations

import copy
import weakref
from collections import OrderedDict
from functools import partial
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from lrwidget.engine.distributed.process_groups import replicated, sharded_states
from lrwidget.engine.isolation.contents import (
    Contents,
    held_by,
    inside,
    outside,
    parameters_in,
)
from lrwidget.engine.isolation.leaks import without_originals
from lrwidget.engine.isolation.state_snapshot import StateSnapshot, shared_parameter
from lrwidget.engine.optimizers import each_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch.amp import GradScaler

    from lrwidget.config import Isolation, LossFunction, TrainingStep
    from lrwidget.engine.losses import LossOf

# By name, since importing torch's distributed parts and compiler takes seconds.
_UNCOPIED = {
    "DTensor",
    "DistributedDataParallel",
    "FSDPModule",
    "FullyShardedDataParallel",
    "OptimizedModule",
    "UninitializedParameter",
}

_REFERRING = (FunctionType, partial, weakref.ref)


class Components(NamedTuple):
    """The parts of a training that a test may change."""

    model: nn.Module
    optimizer: Optimizer
    loss_fn: LossFunction | None = None
    training_step: TrainingStep | None = None
    grad_scaler: GradScaler | None = None


class Isolated(NamedTuple):
    """The components to train, and the function that undoes all changes."""

    components: Components
    restore: Callable[[], object]
    # Makes a loss function raise if it uses the original in place of its copy.
    without_originals: Callable[[LossOf], LossOf] | None = None


def isolate(
    original: Components, how: Isolation, device: torch.device | None
) -> Isolated:
    """
    Return a deep copy of components, or the original, which is put back bit for bit.

    A copy has no `DistributedDataParallel` around the model, shares the memory of
    frozen parameters, and is moved to the device, if any. ValueError if ``"copy"`` is
    not possible, or if the original would have to move to the device.
    """
    # The wrapper communicates; a test makes a new one for its private groups.
    contents = Contents(original, replicated(original.model))
    restore_outside = _keep_outside(contents)
    if how != "restore":
        try:
            _check_copyable(contents)
            copies = _copied(contents)
        except Exception as error:
            # Torch refuses non-leaf tensors, Python refuses locks and files, and any
            # class may raise any error.
            if how == "copy":
                msg = (
                    f"isolation='copy' cannot copy the model: {error}; pass 'restore', "
                    "which trains the original and puts it back, or 'auto'"
                )
                raise ValueError(msg) from error
        else:
            if device is not None:
                _move(copies.components, device)
            check = partial(without_originals, contents, copies)
            return Isolated(copies.components, restore_outside, check)
    where = {tensor.device for tensor in original.model.parameters()}
    if device is not None and where != {device}:
        msg = (
            f"device={str(device)!r} would move the original model, since no copy of "
            "it is made; move the model there yourself and pass device=None"
        )
        raise ValueError(msg)
    snapshot = StateSnapshot(besides=sharded_states(original.model))
    for part in original:  # of any class
        snapshot.keep_inside(part)
    restore_components = snapshot.keep(original)

    def restore() -> None:
        try:
            restore_outside()
        finally:
            restore_components()

    return Isolated(original, restore)


def _keep_outside(contents: Contents) -> Callable[[], None]:
    """
    Snapshot what only functions refer to; return the function that restores it.

    It is not copied. Of modules, also in the attributes of an object, the snapshot has
    the buffers, the attributes, which gradients are None, and the parameters that only
    the functions change: those that are frozen or in evaluation mode, or that an
    `AveragedModel` or an optimizer of the functions has. Other code may train the
    others meanwhile.
    """
    used = [value for each in contents.used for value in each]
    found = [value for value in held_by(used) if id(value) not in contents.own]
    modules = [value for value in found if isinstance(value, nn.Module)]
    optimizers = [value for value in found if isinstance(value, Optimizer)]
    kept = [*modules, *optimizers, *_averages(used, contents)]
    if not kept:
        return lambda: None
    parts = [part for module in modules for part in module.modules()]
    parameters = parameters_in(parts)
    without_grad = [p for p in parameters if p.grad is None]
    averages = [x for x in modules if isinstance(x, AveragedModel)]
    own = parameters_in(part for x in averages for part in x.modules())
    own += parameters_in(part for part in parts if not part.training)
    own += [p for x in optimizers for g in x.param_groups for p in g["params"]]
    trainable = {p for p in parameters if p.requires_grad} - set(own)
    besides = (*trainable, *contents.modules, *contents.parameters)
    restore = StateSnapshot(besides).keep(kept)

    def restore_and_clear() -> None:
        restore()
        for parameter in without_grad:
            parameter.grad = None

    return restore_and_clear


def _averages(used: list[object], contents: Contents) -> Iterator[object]:
    """
    Yield moving averages of the model: tensors that have the shapes of its parameters.

    The averages are tensors without gradients, or containers, such as those of
    diffusers, which are followed by the objects that have them and may count.
    """
    lazy = nn.parameter.is_lazy
    shapes = {tuple(p.shape) for p in contents.parameters if not lazy(p)}
    for value in used:
        plain = not isinstance(value, type | FunctionType | ModuleType | nn.Module)
        attributes = vars(value) if plain and hasattr(value, "__dict__") else {}
        for held in (value, *attributes.values()):
            if type(held) is torch.Tensor:
                if not held.requires_grad and tuple(held.shape) in shapes:
                    yield held
            elif isinstance(held, dict | list):
                tensors = [x for x in inside(held) if isinstance(x, torch.Tensor)]
                tensors = [tensor for tensor in tensors if not lazy(tensor)]
                if tensors and all(tuple(x.shape) in shapes for x in tensors):
                    yield from (held, value)


def _check_copyable(contents: Contents) -> None:
    """Raise where a copy would train differently from the original."""
    kinds = {kind.__name__ for x in contents.modules for kind in type(x).__mro__}
    kinds |= {type(tensor).__name__ for tensor in contents.parameters}
    for kind in kinds & _UNCOPIED:
        msg = f"a copy of its {kind} would not be the same"
        raise ValueError(msg)
    _check_functions(contents)
    # A deep copy follows methods and containers, but not functions or weak references.
    holders = (*contents.modules, *contents.optimizers)
    attributes = [x for m in holders for x in _attributes(m)]
    # A copy that fails half-way has changed the lists of weights in recurrent layers.
    if any(isinstance(x, torch.Tensor) and x.grad_fn is not None for x in attributes):
        msg = "it holds a tensor that was computed from its parameters"
        raise ValueError(msg)
    leading = [x for x in attributes if isinstance(x, _REFERRING)]
    if any(id(part) in contents.own for value in leading for part in outside(value)):
        msg = "it holds a function that uses the original by its name"
        raise ValueError(msg)
    if contents.knows_parameters_by_id():
        msg = "its optimizer knows parameters by their id"
        raise ValueError(msg)
    for tensor in contents.tensors:
        for hooks in ("_backward_hooks", "_post_accumulate_grad_hooks"):
            if getattr(tensor, hooks, None):
                msg = "a copy would lose the hooks of its parameters"
                raise ValueError(msg)


def _check_functions(contents: Contents) -> None:
    """Raise where functions, which are not copied, would train the original."""
    used_by_loss, used_by_step = contents.used
    if any(id(value) in contents.own for value in used_by_loss):
        msg = "loss_fn uses the original by its name"
        raise ValueError(msg)
    known = set(parameters_in(contents.all_modules))
    used = [*used_by_loss, *used_by_step]
    if used and not known.issuperset(contents.trained):
        msg = "its optimizer has parameters of neither the model nor loss_fn"
        raise ValueError(msg)
    others = [
        value
        for value in held_by(used)
        if isinstance(value, Optimizer) and id(value) not in contents.own
    ]
    groups = [group for optimizer in others for group in optimizer.param_groups]
    if not all(known.isdisjoint(group["params"]) for group in groups):
        msg = "a function uses another optimizer of its parameters"
        raise ValueError(msg)


def _attributes(holder: object) -> Iterator[object]:
    """Yield the attributes of a module or optimizer, and the values in their dicts."""
    for name, kept in vars(holder).items():
        if not isinstance(kept, dict):
            if name != "step":  # see `_copied`
                yield kept
        elif kept and name not in ("_parameters", "_modules", "_buffers"):
            yield from kept.values()


def _copied(contents: Contents) -> Contents:
    """Return a deep copy of all parts at once, which keeps references between parts."""
    original = contents.components._replace(model=contents.model)
    memo: dict[int, Any] = {}
    for parameter in contents.parameters:
        if not parameter.requires_grad and type(parameter) is nn.Parameter:
            memo[id(parameter)] = shared_parameter(parameter)
    # Each module has ten empty dicts for hooks alone, which would take most of the time
    # of a copy.
    for holder in (*contents.optimizers, *contents.all_modules):
        for value in vars(holder).values():
            if type(value) is OrderedDict and not value:
                memo[id(value)] = OrderedDict()
    # Optimizers are not copied by their own pickling: it omits attributes, and replaces
    # the ``step`` of a class that does not call torch's constructor.
    twins = [object.__new__(type(optimizer)) for optimizer in contents.optimizers]
    memo.update(zip(map(id, contents.optimizers), twins, strict=True))
    copied = copy.deepcopy(original, memo)
    for optimizer, twin in zip(contents.optimizers, twins, strict=True):
        # Its ``step`` is not copied: a learning-rate scheduler may have wrapped it, and
        # the wrapped one steps the original.
        attributes = {k: x for k, x in vars(optimizer).items() if k != "step"}
        vars(twin).update(copy.deepcopy(attributes, memo))
    copies = Contents(copied, copied.model)
    # If a copy unties weights, it has more tensors: strict=True then raises.
    pairs = zip(contents.tensors, copies.tensors, strict=True)
    for tensor, twin in pairs:  # deepcopy drops attributes of a parameter
        if vars(tensor):
            vars(twin).update(copy.deepcopy(vars(tensor), memo))
    if "_trainer" in vars(original.model):  # Lightning leaves it out of a copy
        vars(copied.model)["_trainer"] = vars(original.model)["_trainer"]
    _check_whole(contents, copies)
    return copies


def _check_whole(contents: Contents, copies: Contents) -> None:
    """Raise unless the copied optimizer trains the copied model, and nothing else."""
    # A model may override these methods, so they may differ from its modules' content.
    before, after = (
        {id(tensor) for tensor in (*model.parameters(), *model.buffers())}
        for model in (contents.model, copies.model)
    )
    pairs = zip(contents.trained, copies.trained, strict=True)
    if before & after or any(
        (id(p) in before) != (id(of_copy) in after) for p, of_copy in pairs
    ):
        msg = (
            f"a copy of {type(contents.model).__name__} has other parameters or buffers"
        )
        raise ValueError(msg)


def _move(copied: Components, device: torch.device) -> None:
    """Move a copy, with its loss and the state of its optimizer, to a device."""
    modules = [part for part in copied if isinstance(part, nn.Module)]
    before = [p for module in modules for p in module.parameters()]
    if all(parameter.device == device for parameter in before):
        return
    optimizers = each_of(copied.optimizer)
    kept = [optimizer.state_dict() for optimizer in optimizers]
    for module in modules:
        module.to(device)
    # Between some kinds of devices torch replaces the parameters.
    after = [p for module in modules for p in module.parameters()]
    moved = dict(zip(before, after, strict=True))
    for group in copied.optimizer.param_groups:
        group["params"][:] = [moved.get(p, p) for p in group["params"]]
    for optimizer, its_state in zip(optimizers, kept, strict=True):
        optimizer.load_state_dict(its_state)
