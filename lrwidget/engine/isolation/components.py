"""The copy that a test trains, or the original that is put back afterwards."""

from __future__ import annotations

import copy
import weakref
from collections import OrderedDict
from functools import partial
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from lrwidget.engine.distributed.process_groups import replicated, sharded_states
from lrwidget.engine.isolation.contents import (
    Contents,
    held_by,
    outside,
    parameters_in,
)
from lrwidget.engine.isolation.leaks import without_originals
from lrwidget.engine.isolation.state_snapshot import StateSnapshot, copied_on_write
from lrwidget.engine.optimizers import each_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch.amp import GradScaler
    from torch.optim import Optimizer

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
    Snapshot what only functions know; return the function that restores it.

    These are modules, also in the attributes of an object, which are not copied, and
    tensors of the shape of a parameter: moving averages of the weights. Of a module,
    the snapshot has the buffers, the attributes, and which gradients are None. Of the
    parameters, it has the frozen ones and those of an `AveragedModel`, which only a
    step writes to; other code may train the others meanwhile.
    """
    held = [x for used in contents.used for x in held_by(used)]
    known = [x for x in held if id(x) not in contents.own]
    modules = [value for value in known if isinstance(value, nn.Module)]
    made = [p for p in contents.parameters if not nn.parameter.is_lazy(p)]
    shapes = {parameter.shape for parameter in made}
    tensors = [x for x in known if type(x) is torch.Tensor and x.shape in shapes]
    averaged = [tensor for tensor in tensors if not tensor.requires_grad]
    if not modules and not averaged:
        return lambda: None
    parameters = parameters_in(part for x in modules for part in x.modules())
    without_grad = [p for p in parameters if p.grad is None]
    averages = [x for x in modules if isinstance(x, AveragedModel)]
    of_averages = set(parameters_in(part for x in averages for part in x.modules()))
    trainable = [p for p in parameters if p.requires_grad and p not in of_averages]
    restore = StateSnapshot(besides=trainable).keep((modules, averaged))

    def restore_and_clear() -> None:
        restore()
        for parameter in without_grad:
            parameter.grad = None

    return restore_and_clear


def _check_copyable(contents: Contents) -> None:
    """Raise where a copy would train differently from the original."""
    kinds = {kind.__name__ for x in contents.modules for kind in type(x).__mro__}
    kinds |= {type(tensor).__name__ for tensor in contents.parameters}
    for kind in kinds & _UNCOPIED:
        msg = f"a copy of its {kind} would not be the same"
        raise ValueError(msg)
    used_by_loss, _ = contents.used
    if any(id(value) in contents.own for value in used_by_loss):
        msg = "loss_fn uses the original by its name"
        raise ValueError(msg)
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
            # It shares its memory until the first write.
            shared = copied_on_write(parameter.detach())
            memo[id(parameter)] = nn.Parameter(shared, requires_grad=False)
    # Each module has ten empty dicts for hooks alone, which would take most of the time
    # of a copy.
    for holder in (*contents.optimizers, *contents.all_modules):
        for value in vars(holder).values():
            if type(value) is OrderedDict and not value:
                memo[id(value)] = OrderedDict()
    copied = copy.deepcopy(original, memo)
    # A copy of an optimizer is made by pickling, which omits attributes: LBFGS then has
    # no parameters, and hooks are lost. Its ``step`` is not copied: a learning-rate
    # scheduler may have wrapped it, and the wrapped one steps the original.
    for optimizer in contents.optimizers:
        left_out = {
            name: value
            for name, value in vars(optimizer).items()
            if name not in {"defaults", "state", "param_groups", "step"}
        }
        vars(memo[id(optimizer)]).update(copy.deepcopy(left_out, memo))
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
