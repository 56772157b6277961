"""The parts of a training in a fastai Learner."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn
from torch.optim import Optimizer

from lrwidget.config import is_kind
from lrwidget.engine.losses import NoLossError
from lrwidget.engine.optimizers import rate_ratios
from lrwidget.integrations import Parts, aside, check_kind

# fastai's own callbacks for progress, records and schedules.
_LEFT_OUT = {"TrainEvalCallback", "Recorder", "ProgressCallback", "ParamScheduler"}
_BEFORE_TRAINING = ("before_fit", "before_epoch", "before_train")
_UP_TO_THE_LOSS = ("before_batch", "after_pred", "after_loss")
_FROM_LOSS_TO_STEP = ("before_backward", "after_backward", "before_step")


def parts_of(learner: Any) -> Parts:  # noqa: ANN401 (fastai is not imported)
    """
    Return the parts of a training in a fastai ``Learner``.

    The parts are its model, its optimizer or the one that it would make, its training
    loader, and its loss with the callbacks that change it.
    """
    check_kind("learner", learner, "Learner", "that of fastai")
    _check_callbacks(learner.cbs)
    twin: Any = aside(learner)
    if not twin.opt:
        twin.create_opt()
        if twin.wd is not None:
            twin.opt.set_hypers(wd=twin.wd)
    optimizer = getattr(twin.opt, "opt", None)  # torch's, if fastai wraps it
    if not isinstance(optimizer, Optimizer):
        optimizer = LearnerOptimizer(twin.opt)
    ratios = rate_ratios(optimizer)

    def write_rate(lr: float) -> str:
        learner.lr = lr if set(ratios) == {1.0} else [lr * ratio for ratio in ratios]
        return "learner.lr"

    settings = {"training_step": LearnerStep(learner)}
    return Parts(learner.model, optimizer, learner.dls.train, settings, write_rate)


def _check_callbacks(callbacks: Any) -> None:  # noqa: ANN401 (as above)
    """Raise where a callback acts between the loss and the optimizer step."""
    for callback in callbacks:
        events = [event for event in _FROM_LOSS_TO_STEP if hasattr(callback, event)]
        if events and not is_kind(callback, *_LEFT_OUT):
            msg = (
                f"the learner's callback {type(callback).__name__} acts at {events}, "
                "where a range test calls none; remove it, and pass what does the "
                "same: clip_grad_norm, accumulate, or autocast with grad_scaler"
            )
            raise ValueError(msg)


class LearnerStep(nn.Module):
    """
    The training step of a fastai ``Learner``, which stays unchanged.

    It is a module, since a test copies or restores modules: each test starts with new
    copies of the learner's callbacks and of its loss.
    """

    def __init__(self, learner: Any) -> None:  # noqa: ANN401 (as above)
        from fastai.callback.core import (  # noqa: PLC0415 (a learner implies it)
            CancelBatchException,
        )

        super().__init__()
        self.cancelled = CancelBatchException
        self.learner = learner
        self.twin: Any = None

    def __deepcopy__(self, memo: dict[int, Any]) -> LearnerStep:
        """Return a step before its first batch, without a copy of the data."""
        return LearnerStep(self.learner)

    def forward(self, model: nn.Module, batch: Any) -> Any:  # noqa: ANN401 (any batch)
        """Return the loss of a batch."""
        if self.twin is None:
            self.twin = self._started_twin(model)
        twin = self.twin
        twin.training = model.training
        twin._split(batch)  # noqa: SLF001 (fastai has no public method)
        try:
            twin("before_batch")
            twin.pred = model(*twin.xb)
            twin("after_pred")
            twin.loss_grad = twin.loss_func(twin.pred, *twin.yb)
            twin.loss = twin.loss_grad.clone()
            twin("after_loss")
        except self.cancelled as error:
            raise NoLossError from error
        finally:
            twin.iter += 1
            twin.train_iter += 1
        return twin.loss_grad

    def _started_twin(self, model: nn.Module) -> Any:  # noqa: ANN401 (as above)
        """Return a copy of the learner at the start of a training of a model."""
        learner, twin = self.learner, aside(self.learner)
        shared = (learner.model, learner.opt, learner.dls, model)
        memo: dict[int, Any] = {id(value): value for value in shared}
        memo[id(learner)] = twin
        twin.loss_func = copy.deepcopy(learner.loss_func, memo)
        callbacks = [
            copy.deepcopy(callback, memo)
            for callback in learner.cbs
            if any(hasattr(callback, event) for event in _UP_TO_THE_LOSS)
            and not is_kind(callback, *_LEFT_OUT)
        ]
        twin.cbs = type(learner.cbs)(callbacks)
        for callback in callbacks:
            callback.learn = twin  # a copied callback may lack it
            vars(twin)[callback.name] = callback
        twin.model, twin.dl = model, twin.dls.train
        twin.epoch, twin.n_epoch, twin.n_iter = 0, 1, len(twin.dl)
        twin.train_iter, twin.pct_train, twin.iter = 0, 0.0, 0
        twin.lr_finder = True  # tells callbacks that this is no real training
        for event in _BEFORE_TRAINING:
            twin(event)
        return twin


class LearnerOptimizer(Optimizer):
    """fastai's own optimizer, in the form of torch's."""

    def __init__(self, optimizer: Any) -> None:  # noqa: ANN401 (as above)
        # without torch's constructor, which would make a new state
        self._optimizer = optimizer
        self._hypers = list(optimizer.hypers)
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
        for group, hypers in zip(self.param_groups, self._hypers, strict=True):
            hypers["lr"] = group["lr"]
        self._optimizer.step()

    def __getstate__(self) -> dict[str, Any]:
        """Return all attributes; torch's method returns its own alone."""
        return dict(vars(self))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Set all attributes."""
        vars(self).update(state)
