"""The settings of a range test: each is defined here, and checked once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, TypeVar, get_args

from lrwidget.curve.checks import (
    check_function,
    check_known,
    check_path,
    check_switch,
    invalid,
    usable_count,
    usable_integer,
    usable_number,
)
from lrwidget.curve.history import Plan
from lrwidget.curve.schedule import learning_rates

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    import torch
    from torch import nn
    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from lrwidget.curve.schedule import StepMode

    TrainingStep: TypeAlias = Callable[[nn.Module, Any], Any]
    LossFunction: TypeAlias = Callable[..., torch.Tensor]

_F = TypeVar("_F", bound="Callable[..., Any]")
Isolation: TypeAlias = Literal["auto", "copy", "restore"]
StopDiv: TypeAlias = bool | Literal["fastai"]
_MAX_SEED = 2**32 - 1  # NumPy's limit
# Iterable, but not over batches.
_NOT_LOADERS = (str, bytes, Mapping)
_TABLES = ("Tensor", "ndarray", "DataFrame", "Series")


class Settings(TypedDict, total=False):
    """The keyword arguments of `TestConfig`, for the signatures that take them."""

    start_lr: float
    end_lr: float
    num_it: int
    step_mode: StepMode
    stop_div: StopDiv
    training_step: TrainingStep | None
    val_loader: Iterable[Any] | None
    accumulate: int
    steps_per_lr: int
    autocast: torch.dtype | None
    grad_scaler: GradScaler | None
    clip_grad_norm: float | None
    closure: bool
    create_graph: bool
    seed: int | None
    isolation: Isolation
    device: torch.device | str | None
    record: str | os.PathLike[str] | None
    keep_modes: bool


class Changes(Settings, total=False):
    """Arguments of a test that one run may have different from the widget."""

    model: nn.Module
    optimizer: Optimizer | Sequence[Optimizer]
    dataloader: Iterable[Any]
    loss_fn: LossFunction | None
    build: Callable[[], tuple[Any, ...]]  # in place of these, on a cluster


@dataclass(frozen=True, kw_only=True)
class TestConfig:
    """
    The settings of a range test.

    Parameters
    ----------
    start_lr:
        The first rate, above 0.
    end_lr:
        The last rate, above ``start_lr`` and at most 1e38.
    num_it:
        The number of rates, from 2 to 1,000,000.
    step_mode:
        ``"exp"`` for equal ratios between neighbouring rates, or ``"linear"``.
    stop_div:
        Whether to stop when the fit of the curve is well above its start, or a loss is
        not finite. ``"fastai"`` stops by fastai's rule: when the smoothed loss passes
        four times its best. If False, all steps are done.
    training_step:
        ``training_step(model, batch)`` returns the loss, or an object with a
        ``loss``. It takes the place of ``loss_fn``, and uses the model that it is
        given.
    val_loader:
        If given, the loss at each rate is the mean loss of its batches after the
        step, in evaluation mode, weighted by their numbers of samples. Each rate then
        takes the time of a validation.
    accumulate:
        The number of batches of an optimizer step, from 1 to 1,000,000. Its gradient
        and its loss are their means.
    steps_per_lr:
        The number of optimizer steps at each rate, from 1 to 1,000,000. The loss at
        a rate is their mean.
    autocast:
        The precision of the forward pass, `torch.float16` or `torch.bfloat16`;
        None for that of the context in which the test begins.
    grad_scaler:
        A `torch.amp.GradScaler`, which is left as it is. A step that it skips does
        not count: the next batch is for the same rate.
    clip_grad_norm:
        The limit of the norm of all gradients, above 0; None for no limit.
    closure:
        Whether the optimizer gets a closure in each step, after the gradients have been
        computed. An optimizer that requires a closure by its signature, or whose
        first step fails without one, gets it anyway.
    create_graph:
        Whether the gradients can be differentiated by the optimizer. They always can if
        the code of the optimizer calls `torch.autograd.grad`.
    seed:
        A number from 0 to 2**32 - 1. Each test begins with the random states of
        Python, NumPy and torch (CPU, and CUDA in use), and the generators of loaders
        and samplers, seeded with it: tests with one seed see the same batches and
        the same dropout, if no other code draws random numbers meanwhile. The
        weights of the model are not changed. Not seeded: generators that the model or
        the data set holds, `random.SystemRandom`, worker processes that run already,
        and samplers with their own seed, such as distributed ones. None continues from
        the present states.
    isolation:
        ``"copy"`` trains a deep copy, ``"restore"`` trains the original and puts it
        back, and ``"auto"`` copies wherever a copy can be made.
    device:
        The device of the copy and of the batches; None for that of the model.
    record:
        A path of this machine, or a URL of an fsspec file system that can append
        to a file, such as ``sftp``. The test writes each step there as soon as it is
        done: if the process is killed, `LRCurve.load` reads the steps so far. The
        format is JSON lines: a header with the settings and versions, a line for each
        step, and the reason of the end. An existing record is renamed first, to
        ``run.1.jsonl`` and so on. `LRWidget.follow` shows the test while it runs, and
        can stop it. Of several ranks, only the first writes a record. A race writes
        none.
    keep_modes:
        Whether all modules keep their modes. If False, ``model.train()`` puts them
        into training mode, except normalization layers that are in evaluation mode and
        have only frozen parameters.

    Raises
    ------
    TypeError
        If a setting is of the wrong type.
    ValueError
        If a setting has a value that cannot work. Both name the setting, its value
        and what to pass.
    """

    __test__ = False  # pytest takes the name for that of a test

    start_lr: float = 1e-7
    end_lr: float = 10.0
    num_it: int = 100
    step_mode: StepMode = "exp"
    stop_div: StopDiv = True
    training_step: TrainingStep | None = None
    val_loader: Iterable[Any] | None = None
    accumulate: int = 1
    steps_per_lr: int = 1
    autocast: torch.dtype | None = None
    grad_scaler: GradScaler | None = None
    clip_grad_norm: float | None = None
    closure: bool = False
    create_graph: bool = False
    seed: int | None = None
    isolation: Isolation = "auto"
    device: torch.device | str | None = None
    record: str | os.PathLike[str] | None = None
    keep_modes: bool = False

    lrs: npt.NDArray[np.float64] = field(init=False, repr=False, compare=False)
    plan: Plan = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the settings, and give each its plain form."""
        lrs = learning_rates(self.start_lr, self.end_lr, self.num_it, self.step_mode)
        ends = float(lrs[0]), float(lrs[-1])
        plan = Plan(*ends, len(lrs), step_mode=self.step_mode)
        start_lr, end_lr, num_it = plan[:3]
        plain = {"start_lr": start_lr, "end_lr": end_lr, "num_it": num_it}
        found = {"lrs": lrs, "plan": plan, **plain}
        for name, check in _CHECKS.items():
            value = getattr(self, name)
            if value is not None or name not in _OPTIONAL:
                found[name] = check(name, value)
        for name, value in found.items():
            object.__setattr__(self, name, value)

    def with_one_step_a_rate(self) -> TestConfig:
        """Return the same settings with one optimizer step at each rate."""
        return self if self.steps_per_lr == 1 else replace(self, steps_per_lr=1)

    def settings(self) -> dict[str, Any]:
        """Return the settings by their names."""
        return {name: getattr(self, name) for name in SETTINGS}


# The settings that the widget has fields for.
FIELDS = ("start_lr", "end_lr", "num_it", "step_mode", "stop_div", "seed")
SETTINGS: tuple[str, ...] = tuple(x.name for x in fields(TestConfig) if x.init)
_OPTIONAL = {x.name for x in fields(TestConfig) if x.default is None}


def config_of(settings: Mapping[str, Any], others: tuple[str, ...]) -> TestConfig:
    """Return the checked settings; raise TypeError at the first one that is unknown."""
    for name in settings:
        if name not in SETTINGS:
            known = ", ".join((*others, *SETTINGS))
            msg = f"unexpected keyword argument {name!r}; pass one of {known}"
            raise TypeError(msg)
    return TestConfig(**settings)


def with_settings(function: _F) -> _F:
    """Show each setting in the signature of a function that takes ``**settings``."""
    signature = inspect.signature(function)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    settings = inspect.signature(TestConfig).parameters.values()
    whole = signature.replace(parameters=[*own, *settings])
    function.__signature__ = whole  # type: ignore[attr-defined]  # any function's
    return function


def is_kind(value: object, *names: str) -> bool:
    """
    Whether a value is an instance of a class with one of some names, or of a subclass.

    Classes of other libraries are known by name, since the import takes seconds.
    """
    return any(kind.__name__ in names for kind in type(value).__mro__)


def check_loader(name: str, loader: object) -> None:
    """Raise unless an object can be a loader of batches."""
    not_loader = isinstance(loader, _NOT_LOADERS) or is_kind(loader, *_TABLES)
    if not isinstance(loader, Iterable) or not_loader:
        problem = (
            "must be an iterable of batches; pass for example "
            "torch.utils.data.DataLoader(dataset, batch_size=64)"
        )
        raise invalid(loader, name, problem, TypeError)
    if length_of(loader) == 0:
        raise empty_loader(name, loader)


def length_of(loader: object) -> int | None:
    """Return the number of batches of a loader, or None if it is not known."""
    try:
        return len(loader)  # type: ignore[arg-type]  # raises TypeError
    except Exception:  # noqa: BLE001 (a loader of any class)
        return None


class EmptyLoaderError(ValueError):
    """A loader has no batch."""


def empty_loader(name: str, loader: object) -> Exception:
    """Return the error of a loader that has no batch."""
    problem = "is empty; pass one with at least one batch"
    if isinstance(loader, Iterator):
        problem = (
            "is an iterator with no batch left; pass a loader that can be iterated "
            "again"
        )
    elif getattr(loader, "drop_last", False):
        problem += "; with drop_last=True a data set smaller than batch_size has none"
    return invalid(loader, name, problem, EmptyLoaderError)


def _stop_div(name: str, rule: object) -> object:
    if isinstance(rule, bool) or (isinstance(rule, str) and rule == "fastai"):
        return rule
    kind = ValueError if isinstance(rule, str) else TypeError
    raise invalid(rule, name, "must be True, 'fastai' or False", kind)


def _val_loader(name: str, loader: object) -> object:
    check_loader(name, loader)
    if isinstance(loader, Iterator):
        problem = (
            "is an iterator, which is spent after the first rate; pass a loader that "
            "can be iterated again"
        )
        raise invalid(loader, name, problem, TypeError)
    return loader


def _autocast(name: str, dtype: object) -> object:
    import torch  # noqa: PLC0415 (slow to import, and not needed for None)

    known = torch.float16, torch.bfloat16
    if not isinstance(dtype, torch.dtype) or dtype not in known:
        raise invalid(dtype, name, f"must be one of {known}, or None")
    return dtype


def _grad_scaler(name: str, scaler: object) -> object:
    import torch  # noqa: PLC0415 (as above)

    if not isinstance(scaler, torch.amp.GradScaler):
        problem = (
            "must be a torch.amp.GradScaler; pass for example "
            "torch.amp.GradScaler('cuda')"
        )
        raise invalid(scaler, name, problem, TypeError)
    return scaler


def _norm(name: str, norm: object) -> float:
    limit = usable_number(name, norm, "1.0, or None for no limit")
    if not limit > 0:
        raise invalid(norm, name, "must be above 0; pass None for no limit")
    return limit


def _seed(name: str, seed: object) -> int:
    example = "0, or None to go on from the present random states"
    number = usable_integer(name, seed, example)
    if not 0 <= number <= _MAX_SEED:
        raise invalid(seed, name, "must be from 0 to 2**32 - 1; pass for example 0")
    return number


def _device(name: str, device: Any) -> object:  # noqa: ANN401 (anything of a user's)
    """Return a device as its tensors name it."""
    import torch  # noqa: PLC0415 (as above)

    try:
        tensor = torch.zeros((), device=device)
        tensor.item()  # raises where a tensor has no data, as on "meta"
    except (
        RuntimeError,
        TypeError,
        ValueError,
        OverflowError,
        AssertionError,
    ) as error:
        problem = f"cannot be used here: {error}; pass None for the device of the model"
        raise invalid(device, name, problem) from error
    return tensor.device


# The check of a setting returns its plain form. None is not checked if it is allowed.
_CHECKS: dict[str, Callable[[str, Any], object]] = {
    "stop_div": _stop_div,
    "training_step": check_function,
    "val_loader": _val_loader,
    "accumulate": usable_count,
    "steps_per_lr": usable_count,
    "autocast": _autocast,
    "grad_scaler": _grad_scaler,
    "clip_grad_norm": _norm,
    "closure": check_switch,
    "create_graph": check_switch,
    "seed": _seed,
    "isolation": partial(check_known, known=get_args(Isolation)),
    "device": _device,
    "record": check_path,
    "keep_modes": check_switch,
}
