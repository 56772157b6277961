"""The checks of what a range test is given."""

from __future__ import annotations

import inspect
import math
import numbers
import operator
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from lrwidget.curve.records.format import check_continued
from lrwidget.curve.records.store import place_of
from lrwidget.curve.schedule import learning_rates
from lrwidget.curve.short_repr import shown
from lrwidget.engine.distributed import context as ranks
from lrwidget.engine.isolation.components import ISOLATIONS
from lrwidget.engine.loaders import empty_loader
from lrwidget.engine.optimizers import needs_closure

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from lrwidget.curve.records.store import Place
    from lrwidget.curve.schedule import StepMode
    from lrwidget.engine.isolation.components import Isolation

_MOST_COUNT = 1_000_000  # before a slip of the finger makes a step that never ends
_MOST_SEED = 2**32 - 1  # NumPy's limit
_HALF_PRECISIONS = (torch.float16, torch.bfloat16)
_NO_LOADERS = (str, bytes, Mapping, torch.Tensor)  # iterable, but not over batches


class CheckedSettings(NamedTuple):
    """
    The settings of a range test that can be checked without its training.

    Attributes
    ----------
    rates:
        The learning rate of each point.
    record:
        The place of the record, if this process keeps one.
    stop_div, accumulate, steps_per_lr, autocast, clip_grad_norm, seed, isolation, \
    device:
        As `RangeTest` takes them.
    """

    rates: array[float]
    stop_div: bool
    accumulate: int
    steps_per_lr: int
    autocast: torch.dtype | None
    clip_grad_norm: float | None
    seed: int | None
    isolation: Isolation
    device: torch.device | None
    record: Place | None

    @property
    def start_lr(self) -> float:
        """The first rate."""
        return self.rates[0]

    @property
    def end_lr(self) -> float:
        """The last rate."""
        return self.rates[-1]

    @property
    def num_it(self) -> int:
        """The number of rates."""
        return len(self.rates)


def checked_settings(  # noqa: PLR0913 (the settings of a test)
    *,
    start_lr: float,
    end_lr: float,
    num_it: int,
    step_mode: StepMode,
    stop_div: bool,
    accumulate: int,
    steps_per_lr: int,
    autocast: torch.dtype | None,
    clip_grad_norm: float | None,
    seed: int | None,
    isolation: Isolation,
    device: torch.device | str | None,
    record: str | os.PathLike[str] | None,
) -> CheckedSettings:
    """
    Return the settings of a range test.

    No random number is drawn.

    Parameters
    ----------
    start_lr, end_lr, num_it, step_mode, stop_div, accumulate, steps_per_lr, \
    autocast, clip_grad_norm, seed, isolation, device, record:
        As `RangeTest` takes them.

    Raises
    ------
    TypeError, ValueError
        As `RangeTest` raises them for these.
    """
    check_switch("stop_div", stop_div)
    check_autocast(autocast)
    if not isinstance(isolation, str) or isolation not in ISOLATIONS:
        msg = f"isolation={shown(isolation)} is not known; pass one of {ISOLATIONS}"
        raise ValueError(msg)
    return CheckedSettings(
        # not a list, which would take four times the memory
        rates=array("d", learning_rates(start_lr, end_lr, num_it, step_mode)),
        stop_div=stop_div,
        accumulate=usable_count("accumulate", accumulate),
        steps_per_lr=usable_count("steps_per_lr", steps_per_lr),
        autocast=autocast,
        clip_grad_norm=usable_norm(clip_grad_norm),
        seed=usable_seed(seed),
        isolation=isolation,
        device=usable_device(device),
        record=usable_record(record if ranks.rank() == 0 else None),
    )


def check_trained(model: object, optimizer: object) -> None:
    """Raise unless an optimizer can train a model."""
    if not isinstance(model, nn.Module):
        msg = (
            f"model={shown(model)} must be a torch.nn.Module; "
            "pass for example torch.nn.Linear(8, 2)"
        )
        raise TypeError(msg)
    trainable = {id(p) for p in model.parameters() if p.requires_grad}
    if not trainable:
        msg = (
            f"model={shown(model)} has no trainable parameter; "
            "pass one with requires_grad=True in some of its parameters"
        )
        raise ValueError(msg)
    groups = getattr(optimizer, "param_groups", None)
    if not isinstance(groups, list) or not callable(getattr(optimizer, "step", None)):
        msg = (
            f"optimizer={shown(optimizer)} must be a torch optimizer; "
            "pass for example torch.optim.SGD(model.parameters(), lr=0.1)"
        )
        raise TypeError(msg)
    if not any(id(p) in trainable for group in groups for p in group["params"]):
        msg = (
            f"optimizer={shown(optimizer)} holds none of the model's trainable "
            "parameters; make it with model.parameters(), after the model was "
            "moved, replaced or unfrozen"
        )
        raise ValueError(msg)


def check_loader(dataloader: object, name: str = "dataloader") -> None:
    """Raise unless a loader can give batches."""
    if not isinstance(dataloader, Iterable) or isinstance(dataloader, _NO_LOADERS):
        msg = (
            f"{name}={shown(dataloader)} must be an iterable of batches; pass for "
            "example torch.utils.data.DataLoader(dataset, batch_size=64)"
        )
        raise TypeError(msg)
    try:
        empty = len(dataloader) == 0  # type: ignore[arg-type]  # raises TypeError
    except (TypeError, NotImplementedError):  # no length: found out at the first step
        empty = False
    if empty:
        raise empty_loader(dataloader, name)


def check_validation(val_loader: object) -> None:
    """Raise unless a validation loader, if any, can give its batches at each rate."""
    if val_loader is None:
        return
    check_loader(val_loader, "val_loader")
    if isinstance(val_loader, Iterator):
        msg = (
            f"val_loader={shown(val_loader)} is an iterator, which is spent after the "
            "first rate; pass a loader that can be iterated again"
        )
        raise TypeError(msg)


def usable_count(name: str, value: object) -> int:
    """Return a whole number of at least 1, or raise what is wrong with it."""
    count = _whole(value)
    if count is None:
        msg = f"{name}={shown(value)} must be an integer; pass for example 1"
        raise TypeError(msg)
    if not 1 <= count <= _MOST_COUNT:
        most = "at least 1" if count < 1 else f"at most {_MOST_COUNT}"
        msg = f"{name}={shown(value)} must be {most}; pass for example 1"
        raise ValueError(msg)
    return count


def usable_seed(seed: object) -> int | None:
    """Return a seed that Python, NumPy and torch all take, or None for None."""
    if seed is None:
        return None
    number = _whole(seed)
    if number is None:
        msg = (
            f"seed={shown(seed)} must be an integer; pass for example 0, or None to "
            "go on from the present random states"
        )
        raise TypeError(msg)
    if not 0 <= number <= _MOST_SEED:
        msg = f"seed={shown(seed)} must be from 0 to 2**32 - 1; pass for example 0"
        raise ValueError(msg)
    return number


def _whole(value: object) -> int | None:
    """Return an integer of Python's or NumPy's as one of Python's; None for others."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        return None
    return operator.index(value)


def check_autocast(autocast: object) -> None:
    """Raise unless a precision is one to cast to, or None."""
    known = isinstance(autocast, torch.dtype) and autocast in _HALF_PRECISIONS
    if autocast is not None and not known:
        msg = f"autocast={shown(autocast)} must be one of {_HALF_PRECISIONS}, or None"
        raise ValueError(msg)


def usable_norm(clip_grad_norm: object) -> float | None:
    """Return a limit of the gradients as a float, or None for None."""
    if clip_grad_norm is None:
        return None
    if isinstance(clip_grad_norm, bool) or not isinstance(clip_grad_norm, numbers.Real):
        msg = f"clip_grad_norm={shown(clip_grad_norm)} must be a number, or None"
        raise TypeError(msg)
    try:
        norm = float(clip_grad_norm)
    except OverflowError:
        norm = math.nan
    if not norm > 0:
        msg = (
            f"clip_grad_norm={shown(clip_grad_norm)} must be above 0, and in the range "
            "of a float; pass None for none"
        )
        raise ValueError(msg)
    return norm


def check_scaler(grad_scaler: object, optimizer: Optimizer) -> None:
    """Raise unless a gradient scaler, if any, can scale for an optimizer."""
    if grad_scaler is None:
        return
    if not isinstance(grad_scaler, torch.amp.GradScaler):
        msg = (
            f"grad_scaler={shown(grad_scaler)} must be a torch.amp.GradScaler; pass "
            "for example torch.amp.GradScaler('cuda')"
        )
        raise TypeError(msg)
    if needs_closure(optimizer):
        msg = (
            f"grad_scaler={shown(grad_scaler)} cannot scale for "
            f"{type(optimizer).__name__}, which evaluates the loss itself; pass None"
        )
        raise ValueError(msg)


def check_functions(loss_fn: object, training_step: object) -> None:
    """Raise unless exactly one thing, or the model itself, gives the loss."""
    for name, function in (("loss_fn", loss_fn), ("training_step", training_step)):
        if function is not None and not callable(function):
            msg = f"{name}={shown(function)} must be callable; pass a function, or None"
            raise TypeError(msg)
    if inspect.isclass(loss_fn):
        name = loss_fn.__name__
        msg = f"loss_fn={shown(loss_fn)} is a class; pass an object of it: {name}()"
        raise TypeError(msg)
    if loss_fn is not None and training_step is not None:
        msg = (
            f"loss_fn={shown(loss_fn)} and training_step={shown(training_step)} both "
            "give the loss; pass one of them"
        )
        raise ValueError(msg)


def check_switch(name: str, value: object) -> None:
    """Raise unless a value is True or False."""
    if not isinstance(value, bool):
        msg = f"{name}={shown(value)} is neither; pass True or False"
        raise TypeError(msg)


def usable_device(device: torch.device | str | None) -> torch.device | None:
    """Return a device as its tensors name it, or raise why it cannot be used."""
    if device is None:
        return None
    try:
        tensor = torch.zeros((), device=device)
        tensor.item()  # raises where there are no numbers, as on "meta"
    except (
        RuntimeError,
        TypeError,
        ValueError,
        OverflowError,
        AssertionError,
    ) as error:
        msg = (
            f"device={shown(device)} cannot be used here: {error}; "
            "pass None for the model's"
        )
        raise ValueError(msg) from error
    return tensor.device


def usable_record(record: object) -> Place | None:
    """Return where a record is to be; raise if it cannot be there, as seen now."""
    if record is None:
        return None
    if not isinstance(record, str | os.PathLike) or isinstance(
        os.fspath(record), bytes
    ):
        msg = f"record={shown(record)} must be the path of a file; pass one, or None"
        raise TypeError(msg)
    place = place_of(record)
    try:
        place.check()
    except ValueError as error:
        msg = f"record={shown(record)} {error}"
        raise ValueError(msg) from error
    check_continued(place)
    return place
