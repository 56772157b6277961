"""Range tests of what a fastai Learner trains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.optim import Optimizer

from lrwidget.frameworks.parts import Parts, aside, check_kind

if TYPE_CHECKING:
    from torch import nn

# What fastai itself does beside training: progress, records, schedules.
_LEFT_OUT = {"TrainEvalCallback", "Recorder", "ProgressCallback", "ParamScheduler"}
_BEFORE_TRAINING = ("before_fit", "before_epoch", "before_train")
_BETWEEN_LOSS_AND_STEP = ("before_backward", "after_backward", "before_step")


def parts_of(learner: Any) -> Parts:  # noqa: ANN401 (fastai is not imported)
    """
    Return what a range test needs of a fastai ``Learner``.

    That is its model, its optimizer or the one that it would make, its training
    loader and its loss, with the callbacks that have a part in that.

    Raises
    ------
    TypeError
        If it is none.
    ValueError
        If a callback has a part in the optimizer step, where a range test has none.
    """
    check_kind("learner", learner, "Learner", "that of fastai")
    twin: Any = aside(learner)
    twin.cbs = type(learner.cbs)([_attached(cb, twin) for cb in _acting(learner.cbs)])
    if not twin.opt:
        twin.create_opt()
        if twin.wd is not None:
            twin.opt.set_hypers(wd=twin.wd)
    optimizer = getattr(twin.opt, "opt", None)  # torch's, if fastai wraps it
    if not isinstance(optimizer, Optimizer):
        optimizer = LearnerOptimizer(twin.opt)

    def training_step(model: nn.Module, batch: Any) -> Any:  # noqa: ANN401 (any batch)
        if twin.model is not model or not hasattr(twin, "pct_train"):
            twin.model, twin.dl = model, twin.dls.train
            twin.epoch, twin.n_epoch, twin.n_iter = 0, 1, len(twin.dl)
            twin.train_iter, twin.pct_train, twin.iter = 0, 0.0, 0
            for event in _BEFORE_TRAINING:
                twin(event)
        twin.training = model.training
        twin._split(batch)  # noqa: SLF001 (the learner's own way)
        twin("before_batch")
        twin.pred = model(*twin.xb)
        twin("after_pred")
        twin.loss_grad = twin.loss_func(twin.pred, *twin.yb)
        twin.loss = twin.loss_grad.clone()
        twin("after_loss")
        return twin.loss_grad

    def write_rate(lr: float) -> None:
        learner.lr = lr

    settings = {"training_step": training_step}
    return Parts(learner.model, optimizer, learner.dls.train, settings, write_rate)


def _acting(callbacks: Any) -> list[Any]:  # noqa: ANN401 (as above)
    """Return the callbacks that have a part in the loss."""
    acting = [
        callback
        for callback in callbacks
        if not any(kind.__name__ in _LEFT_OUT for kind in type(callback).__mro__)
    ]
    for callback in acting:
        events = [x for x in _BETWEEN_LOSS_AND_STEP if hasattr(type(callback), x)]
        if events:
            msg = (
                f"the learner's callback {type(callback).__name__} acts at {events}, "
                "where a range test calls none; remove it, and pass what does the "
                "same: clip_grad_norm, accumulate, or autocast with grad_scaler"
            )
            raise ValueError(msg)
    return acting


def _attached(callback: Any, learner: Any) -> Any:  # noqa: ANN401 (as above)
    """Return a callback that belongs to another learner."""
    twin = aside(callback)
    twin.learn = learner
    vars(learner)[callback.name] = twin
    return twin


class LearnerOptimizer(Optimizer):
    """
    fastai's own optimizer, in the form of torch's.

    Parameters
    ----------
    optimizer:
        An optimizer of fastai, which it steps.
    """

    def __init__(self, optimizer: Any) -> None:  # noqa: ANN401 (as above)
        # not torch's constructor, which would make a state of its own
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
        """Return all attributes; torch's leaves out what it does not know."""
        return dict(vars(self))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take all attributes, and nothing else."""
        vars(self).update(state)
