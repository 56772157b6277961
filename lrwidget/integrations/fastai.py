"""The parts of a training in a fastai Learner."""

from __future__ import annotations

import copy
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Optimizer

from lrwidget.config import is_kind
from lrwidget.engine.framework import FrameworkStep, Trained
from lrwidget.engine.isolation.contents import outside
from lrwidget.engine.losses import NoLossError
from lrwidget.engine.optimizers import rate_ratios
from lrwidget.engine.stepping import StepSkippedError, mean
from lrwidget.integrations import Parts, aside, check_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from torch import Tensor, nn

    from lrwidget.engine.losses import LossOf

_LEFT_OUT = {
    "Recorder ProgressCallback": "",  # no notice: they are fastai's defaults
    "CSVLogger ShowGraphCallback CollectDataCallback GatherPredsCallback "
    "FetchPredsCallback TensorBoardBaseCallback WandbCallback CometCallback "
    "AzureMLCallback": "it shows or stores results",
    "TrackerCallback": "it needs a validation",
    "TerminateOnNaNCallback": "the test has its own rule to stop",
    "ParamScheduler": "the test sets the learning rate, and schedules nothing else",
}
_REFUSED = {
    "DistributedTrainer": "wraps the model itself; wrap the learner's model instead",
    "NonNativeMixedPrecision": "trains a copy of the parameters; use learner.to_fp16()",
}
_NOT_CALLED = ("fit", "_do_fit", "_do_epoch", "_do_epoch_train", "all_batches")
_NOT_REACHED = ("before_validate", "after_validate", "after_epoch", "after_fit")


def parts_of(learner: Any) -> Parts:  # noqa: ANN401 (fastai is not imported)
    """
    Return the parts of a training in a fastai ``Learner``.

    The parts are its model, its optimizer or the one that it would make, its training
    loader with its device, and its own program with its callbacks.
    """
    check_kind("learner", learner, "Learner", "a fastai Learner")
    _check_callbacks(learner)
    twin: Any = aside(learner)
    if not twin.opt:
        if is_kind(twin.opt_func, "OptimWrapper"):  # fastai would clear its state
            twin.opt_func = aside(twin.opt_func)
            twin.opt_func.opt = aside(twin.opt_func.opt)
        twin.create_opt()
    optimizer = getattr(twin.opt, "opt", None)  # torch's, if fastai wraps it
    if not isinstance(optimizer, Optimizer):
        optimizer = LearnerOptimizer(twin.opt)
    ratios = rate_ratios(optimizer)

    def write_rate(lr: float) -> str:
        learner.lr = lr if set(ratios) == {1.0} else [lr * ratio for ratio in ratios]
        return "learner.lr"

    def save_rates() -> Callable[[], None]:
        return partial(setattr, learner, "lr", learner.lr)

    settings: dict[str, Any] = {"training_step": LearnerStep(learner, twin.opt)}
    device = getattr(learner.dls, "device", None)  # fit moves the model there
    if device is not None:
        device = torch.empty(0, device=device).device  # with its index
        if any(p.device != device for p in learner.model.parameters()):
            settings["device"] = str(device)
    rates = write_rate, save_rates
    return Parts(learner.model, optimizer, learner.dls.train, settings, *rates)


def _reason(callback: Any, reasons: dict[str, str]) -> str | None:  # noqa: ANN401 (as above)
    """Return the reason for the class of a callback, if any."""
    found = (why for names, why in reasons.items() if is_kind(callback, *names.split()))
    return next(found, None)


def _is_fastais(definition: Any) -> bool:  # noqa: ANN401 (a class or function)
    return str(definition.__module__).startswith(("fastai.", "fastcore."))


def _called_callbacks(learner: Any) -> list[Any]:  # noqa: ANN401 (as above)
    """Return the callbacks that are called in a test."""
    return [cb for cb in learner.cbs if _reason(cb, _LEFT_OUT) is None]


def _check_callbacks(learner: Any) -> None:  # noqa: ANN401 (as above)
    """Raise where a copy of a callback would not train the copy of a learner."""
    from fastai.callback.core import Callback  # noqa: PLC0415 (a learner implies it)

    for callback in _called_callbacks(learner):
        reason = _reason(callback, _REFUSED)
        for event in Callback._methods:  # noqa: SLF001 (fastai's list of all events)
            used = outside(getattr(callback, event, None))
            if any(value is learner or value is learner.model for value in used):
                reason = f"uses the learner by its name at {event}; use self.learn"
        if reason is not None:
            msg = f"the learner's callback {type(callback).__name__} {reason}"
            raise ValueError(msg)


class LearnerStep(FrameworkStep):
    """
    The training step of a fastai ``Learner``, which stays unchanged.

    A copy of the learner, its twin, trains by fastai's own program. It has copies of
    the learner's callbacks, loss and attributes; they refer to the model that is
    trained. It shares the data.
    """

    def __init__(self, learner: Any, opt: Any, twin: Any = None) -> None:  # noqa: ANN401 (as above)
        super().__init__()
        self.learner, self.opt, self.twin = learner, opt, twin
        self.losses: list[Tensor] = []  # since the gradients were last cleared
        self.iter = 0  # the batches of the epoch so far

    def __deepcopy__(self, memo: dict[int, Any]) -> LearnerStep:
        """Return a step whose twin trains the copies in the memo."""
        return LearnerStep(self.learner, self.opt, _twin(self.learner, self.opt, memo))

    @property
    def notices(self) -> Sequence[str]:
        """The callbacks, events and methods of the learner that have no part here."""
        kind = type(self.learner)
        own = [x for x in _NOT_CALLED if not _is_fastais(getattr(kind, x))]
        found = [f"{kind.__name__}.{method} is not called." for method in own]
        for callback in self.learner.cbs:
            name = f"The learner's callback {type(callback).__name__}"
            reason = _reason(callback, _LEFT_OUT)
            events = [event for event in _NOT_REACHED if hasattr(callback, event)]
            if reason:
                found.append(f"{name} is left out: {reason}.")
            elif events and not _is_fastais(type(callback)):
                found.append(f"{name} is not called at {', '.join(events)}.")
        return found

    def start(self, trained: Trained) -> None:
        """Begin fastai's training of the model, as `fit` does."""
        if self.twin is None:  # the original is trained
            model, kept = trained.model, [trained.optimizer, self.opt]
            kept += [*model.modules(), *model.parameters(), *model.buffers()]
            self.twin = _twin(self.learner, self.opt, {id(x): x for x in kept})
        self.trained, twin = trained, self.twin
        twin.model, twin.dls = trained.model, aside(self.learner.dls)
        vars(twin.dls)["_device"] = trained.device  # its property moves the loaders
        twin.create_mbar, twin.logger = False, lambda *_, **__: None
        twin.lr_finder = True  # tells callbacks that this is no real training
        twin.epoch, twin.n_epoch, twin.loss = 0, 1, None
        if twin.wd is not None:
            twin.opt.set_hypers(wd=twin.wd)
        self.own_step, self.own_grad_opt = twin._step, twin._do_grad_opt  # noqa: SLF001 (fastai's program has no public parts)
        twin._step, twin._do_grad_opt = self._take, self._compute_and_take  # noqa: SLF001 (as above)
        twin("before_fit")

    def start_epoch(self) -> None:
        """End the previous epoch, if any, and begin the next one as fastai does."""
        twin = self.twin
        if self.iter:
            twin("after_train")
            twin.epoch += 1
        self.iter, self.epoch_ended = 0, False
        twin.dl = twin.dls.train
        twin.n_iter = len(twin.dl)
        twin("before_epoch")
        twin("before_train")

    def train_on(self, batch: Any) -> Tensor | None:  # noqa: ANN401 (any batch)
        """Train on a batch as fastai does; its callbacks may skip the step."""
        with self.trained.precision():
            loss = self._loss_of(batch)
        self.iter += 1
        self.left -= 1
        if loss is not None:
            self.losses.append(loss.detach())
        return loss

    def step(self, train_on: LossOf, batches: Sequence[Any]) -> Tensor:
        """Do an optimizer step, unless callbacks skip it; see the base class."""
        groups = self.trained.optimizer.param_groups
        self.rates = [group["lr"] for group in groups]
        self.twin.opt.set_hyper("lr", self.rates)
        self.size = self.left = len(batches)
        self.stepped = self.cleared = False
        for batch in batches:
            train_on(batch)
        loss = mean(self.losses) if self.losses else None
        if self.cleared:
            self.losses = []
        if loss is None or not self.stepped:
            raise StepSkippedError(loss)
        return loss

    def forward(self, model: nn.Module, batch: Any) -> Tensor:  # noqa: ARG002, ANN401 (the twin's; any batch)
        """Return the loss of a batch, for validation."""
        self.twin.training = False
        loss = self._loss_of(batch)
        self.twin.training = True
        if loss is None:
            raise NoLossError
        return loss

    def _loss_of(self, batch: Any) -> Tensor | None:  # noqa: ANN401 (any batch)
        """Return the loss of a batch by fastai's `one_batch`, or None without one."""
        from fastai.callback import core  # noqa: PLC0415 (as above)

        twin, before = self.twin, self.twin.loss
        self.computed = not twin.training
        try:
            twin.one_batch(self.iter, batch)
            if twin.loss is not before and not self.computed:
                self._check_program()
        except (core.CancelTrainException, core.CancelEpochException):
            twin("after_cancel_train")
            self.epoch_ended = True
        except core.CancelFitException as error:
            msg = "a callback of the learner ended the training; remove the callback"
            raise RuntimeError(msg) from error
        return None if twin.loss is before else twin.loss

    def _check_program(self) -> None:
        """Raise if a method of a subclass takes the steps in another way."""
        kind = type(self.learner)
        for method in ("_do_one_batch", "one_batch"):
            if not _is_fastais(getattr(kind, method)):
                msg = (
                    f"{kind.__name__}.{method} computes a loss without fastai's "
                    "_do_grad_opt, by which a test takes its steps; call it there"
                )
                raise ValueError(msg)

    def _compute_and_take(self) -> None:
        """Compute the gradients, and take a step, with the settings of the test."""
        self.computed = True
        twin, scaler = self.twin, self.trained.grad_scaler
        with torch.autocast(self.trained.device.type, enabled=False):
            if self.size > 1:
                twin.loss_grad = twin.loss_grad / self.size
            if scaler is not None:
                twin.loss_grad = scaler.scale(twin.loss_grad)
            self.own_grad_opt()
        self.cleared = True

    def _take(self) -> None:
        """Take a step, unless more batches belong to it."""
        from fastai.callback.core import CancelBatchException  # noqa: PLC0415 (as above)

        if self.left > 1:
            raise CancelBatchException
        used = [hypers["lr"] for hypers in self.twin.opt.hypers]
        if used != self.rates:
            msg = (
                f"a callback of the learner set the learning rate to {used}, but the "
                f"test sets it to {self.rates}; remove the callback"
            )
            raise ValueError(msg)
        self.trained.stepper.clip()
        if self.trained.grad_scaler is None:
            self.own_step()
            self.stepped = True
        else:
            with suppress(StepSkippedError):
                self.trained.stepper.take(self.twin.loss)
                self.stepped = True


def _twin(learner: Any, opt: Any, memo: dict[int, Any]) -> Any:  # noqa: ANN401 (as above)
    """Return a copy of a learner that refers to the copies of a `deepcopy` memo."""
    loaders = getattr(learner.dls, "loaders", [learner.dls.train])
    callbacks = _called_callbacks(learner)
    shared = [learner.dls, *loaders, *(cb for cb in learner.cbs if cb not in callbacks)]
    shared += [getattr(loader, "dataset", None) for loader in loaders]
    # Python refuses to copy the results of an earlier training.
    shared += _computed([vars(learner), *map(vars, learner.cbs)])
    memo.update({id(value): value for value in shared})
    memo.setdefault(id(learner.model), learner.model)  # a wrapper of it
    memo[id(learner)] = twin = aside(learner)
    try:
        for callback in callbacks:
            name = type(callback).__name__
            copy.deepcopy(callback, memo)
    except Exception as error:  # of any class
        msg = f"the learner's callback {name} cannot be copied: {error}; remove it"
        raise ValueError(msg) from error
    vars(twin).update(copy.deepcopy(learner.__getstate__(), memo))  # without its lock
    twin.opt = copy.deepcopy(opt, memo)
    twin.cbs = type(learner.cbs)(copy.deepcopy(cb, memo) for cb in callbacks)
    return twin


def _computed(values: Iterable[Any]) -> Iterator[Tensor]:
    """Yield the tensors with a graph, also those in dicts, lists and tuples."""
    for value in values:
        if isinstance(value, torch.Tensor) and value.grad_fn is not None:
            yield value
        elif isinstance(value, dict | list | tuple):
            yield from _computed(value.values() if isinstance(value, dict) else value)


class LearnerOptimizer(Optimizer):
    """fastai's own optimizer, in the form of torch's."""

    def __init__(self, optimizer: Any) -> None:  # noqa: ANN401 (as above)
        # without torch's constructor, which would make a new state
        self._optimizer = optimizer
        self._hypers = list(optimizer.hypers)
        self._slow = list(map(list, getattr(optimizer, "slow_weights", None) or ()))
        self.state = optimizer.state
        self.defaults = {}
        self.param_groups = [
            {"params": list(parameters), "lr": hypers["lr"]}
            for parameters, hypers in zip(
                optimizer.param_lists, self._hypers, strict=True
            )
        ]

    def zero_grad(self, set_to_none: bool = True) -> None:  # noqa: ARG002, FBT001, FBT002 (torch's signature)
        """Set the gradients to zero."""
        self._optimizer.zero_grad()

    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002 (fastai's take none)
        """Take a step at the rates of the parameter groups."""
        self._optimizer.set_hyper("lr", [group["lr"] for group in self.param_groups])
        self._optimizer.step()

    def __getstate__(self) -> dict[str, Any]:
        """Return all attributes; torch's method returns its own alone."""
        return dict(vars(self))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Set all attributes."""
        vars(self).update(state)
