"""The learning-rate range test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lrwidget.curve.lr_curve import LRCurve, Recording, Step
from lrwidget.curve.records.writer import journaled
from lrwidget.engine import arguments
from lrwidget.engine.distributed import context as ranks
from lrwidget.engine.isolation.components import Components
from lrwidget.engine.isolation.isolated_run import IsolatedRun
from lrwidget.engine.loaders import LoaderMonitor
from lrwidget.engine.loop import Plan
from lrwidget.engine.losses import check_own_loss
from lrwidget.engine.optimizers import unwrapped
from lrwidget.engine.rates import check_rounded
from lrwidget.engine.settings import with_settings_of
from lrwidget.engine.stopping import StopRule
from lrwidget.engine.thread_settings import ThreadSettings

if TYPE_CHECKING:
    import os
    from collections.abc import Generator, Iterable

    import torch
    from torch import nn
    from torch.amp import GradScaler
    from torch.optim import Optimizer
    from typing_extensions import Unpack

    from lrwidget.curve.lr_curve import StopReason
    from lrwidget.curve.schedule import StepMode
    from lrwidget.engine.isolation.components import Isolation
    from lrwidget.engine.losses import LossFunction, TrainingStep
    from lrwidget.engine.settings import Settings


class RangeTest:
    """
    Smith's learning-rate range test, run by iterating over it.

    Each iteration is one test: it trains while the learning rate grows, and
    gives one `Step` for each optimizer step. Model, optimizer, loss function and
    random states are afterwards as if it had never run, however it ends.

    Where torch's default process group is initialised, all its ranks run the test
    together: begin it on each. A point's loss is the mean over the ranks, weighted by
    their samples, and what ends the test on one rank ends it on all. The model is
    wrapped in `DistributedDataParallel`, sharded by ``fully_shard``, or whatever else
    averages gradients as your training does; the test itself averages none.
    An argument that one rank refuses is a test that has failed: the test that the other
    ranks begin next raises a `RankError` there. Begin it again on all ranks then.
    Source: Smith (2015, arXiv:1506.01186), with the defaults of fastai.

    Parameters
    ----------
    model:
        Any module with trainable parameters. It is trained in training mode; a
        model that is in it already keeps each part's own mode.
    optimizer:
        Any optimizer of its parameters. Several parameter groups keep the
        ratios of their rates; the rate that counts is the last group's. Its
        learning-rate schedulers have no part in the test.
    dataloader:
        Any iterable of batches. It starts again when it ends; where it cannot,
        since it is an iterator, the test ends with it. Nobody waits until a batch is
        on a GPU: what is in pinned memory must not be written to meanwhile.
    loss_fn:
        Called as ``loss_fn(model(*inputs), target)`` for batches ``(*inputs,
        target)``, mappings with one target under a usual name (labels, label,
        targets, target, y), and objects with a ``y``. If None, the model gives the
        loss itself: called with the batch, it returns the loss, something with a
        ``loss``, or a dict of losses; a Lightning module's ``training_step`` does.
    start_lr:
        The first rate, above 0.
    end_lr:
        The last rate, above ``start_lr`` and at most 1e38.
    num_it:
        How many optimizer steps, at least 2.
    step_mode:
        ``"exp"`` for equal ratios between neighbouring rates, or ``"linear"``.
    stop_div:
        Whether to stop when the smoothed loss passes four times its best or a
        loss is not finite. If False, all steps are done.
    training_step:
        ``training_step(model, batch)`` returns the loss, or something with a
        ``loss``, for all that the above does not fit. Pass it instead of
        ``loss_fn``, and use the model that it is given.
    val_loader:
        If given, the loss at each rate is the mean loss of its batches after the
        step, in evaluation mode, weighted by their samples. That takes the time of
        a validation for each rate.
    accumulate:
        How many batches an optimizer step takes, 1 to 1,000,000. Its gradient and its
        loss are their means.
    steps_per_lr:
        How many optimizer steps are done at each rate, 1 to 1,000,000. The loss at a
        rate is their mean.
    autocast:
        The precision of the forward pass, `torch.float16` or `torch.bfloat16`;
        None for that of the context in which the test begins.
    grad_scaler:
        A `torch.amp.GradScaler`. It stays as it is. A step that it skips counts for
        nothing: the next batch is for the same rate.
    clip_grad_norm:
        The most that the norm of all gradients may be, above 0; None for no limit.
    seed:
        From 0 to 2**32 - 1. Each test begins with the random states of Python, NumPy
        and torch (CPU, and CUDA in use), and the generators of loaders and samplers,
        seeded with it: tests with one seed see the same batches and the same dropout,
        where nothing else draws meanwhile. The model's weights stay the given ones.
        Not seeded are generators that model or data set hold, `random.SystemRandom`,
        worker processes that run already, and samplers that shuffle by a number of
        their own, as distributed ones do. None goes on from the present states.
    isolation:
        ``"copy"`` trains a deep copy, ``"restore"`` trains the original and puts
        it back, and ``"auto"`` copies wherever that can be done.
    device:
        Where to train the copy, and where the batches go; the model's own device
        if None.
    record:
        A file to which each test adds what it finds, step by step: if the process is
        killed, the steps that were done are there, for `LRCurve.load`. It is JSON
        lines: a header with the settings and versions, a line for each step, and why
        the test has ended. `LRWidget.follow` shows it meanwhile, and can stop the test.
        It may be a URL that fsspec can append to. Of several ranks, the first one alone
        keeps it. A race has no part in it. None for no file.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If an argument has a value that cannot work. Both name the argument, its
        value and what to pass.
    """

    @ranks.announced()
    def __init__(  # noqa: PLR0913 (the arguments of the field's other finders)
        self,
        model: nn.Module,
        optimizer: Optimizer,
        dataloader: Iterable[Any],
        loss_fn: LossFunction | None = None,
        *,
        start_lr: float = 1e-7,
        end_lr: float = 10.0,
        num_it: int = 100,
        step_mode: StepMode = "exp",
        stop_div: bool = True,
        training_step: TrainingStep | None = None,
        val_loader: Iterable[Any] | None = None,
        accumulate: int = 1,
        steps_per_lr: int = 1,
        autocast: torch.dtype | None = None,
        grad_scaler: GradScaler | None = None,
        clip_grad_norm: float | None = None,
        seed: int | None = None,
        isolation: Isolation = "auto",
        device: torch.device | str | None = None,
        record: str | os.PathLike[str] | None = None,
    ) -> None:
        arguments.check_trained(model, optimizer)
        arguments.check_loader(dataloader)
        arguments.check_functions(loss_fn, training_step)
        if loss_fn is None and training_step is None:
            check_own_loss(model)
        arguments.check_validation(val_loader)
        checked = arguments.checked_settings(
            start_lr=start_lr,
            end_lr=end_lr,
            num_it=num_it,
            step_mode=step_mode,
            stop_div=stop_div,
            accumulate=accumulate,
            steps_per_lr=steps_per_lr,
            autocast=autocast,
            clip_grad_norm=clip_grad_norm,
            seed=seed,
            isolation=isolation,
            device=device,
            record=record,
        )
        check_rounded(optimizer, checked.rates)
        optimizer, its_scaler = unwrapped(optimizer)
        scaler = its_scaler if grad_scaler is None else grad_scaler
        arguments.check_scaler(scaler, optimizer)
        subject = Components(model, optimizer, loss_fn, training_step, scaler)
        plan = Plan(
            rates=checked.rates,
            dataloader=dataloader,
            val_loader=val_loader,
            stop_rule=StopRule if stop_div else None,
            accumulate=checked.accumulate,
            steps_per_lr=checked.steps_per_lr,
            autocast=autocast,
            clip_grad_norm=checked.clip_grad_norm,
            device=checked.device,
            awaited=LoaderMonitor(),
        )
        self._trial = IsolatedRun(subject, plan, isolation, checked.seed)
        self._recording = Recording(self.num_it)
        self._record = checked.record
        self._settings = {
            "model": model,
            "optimizer": optimizer,
            "dataloader": dataloader,
            "loss_fn": loss_fn,
            "start_lr": self.start_lr,
            "end_lr": self.end_lr,
            "num_it": self.num_it,
            "step_mode": step_mode,
            "stop_div": stop_div,
            "training_step": training_step,
            "val_loader": val_loader,
            "accumulate": checked.accumulate,
            "steps_per_lr": checked.steps_per_lr,
            "autocast": None if autocast is None else str(autocast),
            "grad_scaler": scaler,
            "clip_grad_norm": checked.clip_grad_norm,
            "seed": checked.seed,
            "isolation": isolation,
            "device": None if device is None else str(device),
        }

    @property
    def start_lr(self) -> float:
        """The first rate."""
        return self._trial.plan.rates[0]

    @property
    def end_lr(self) -> float:
        """The last rate."""
        return self._trial.plan.rates[-1]

    @property
    def num_it(self) -> int:
        """How many optimizer steps a test has that is not stopped."""
        return len(self._trial.plan.rates)

    @property
    def curve(self) -> LRCurve:
        """The steps of the latest iteration so far."""
        return self._recording.curve()

    @property
    def waiting_for(self) -> str | None:
        """The loader whose next batch the latest iteration waits for, if it does."""
        return self._trial.plan.awaited.now

    def __iter__(self) -> Generator[Step, None, StopReason]:
        """
        Start a test.

        What it trains is set apart at once, in the calling thread, whose settings
        of autocast and device it takes; the steps may be taken in another. The
        generator returns why it stopped.
        """
        recording = Recording(self.num_it)
        company = ranks.begun()
        steps = self._trial.start(ThreadSettings(), recording, company)
        self._recording = recording
        if self._record is None:
            return steps
        return company.told(journaled(steps, self._record, self._settings))

    def trial(self, lr: float, steps: int) -> IsolatedRun:
        """Return a training as the test's, with some steps at one rate."""
        return self._trial.at(lr, steps)

    def check_free(self) -> None:
        """
        Raise where a test trains the model itself at the moment, and not a copy.

        Raises
        ------
        RuntimeError
            If one does. What is written to model or optimizer meanwhile is lost.
        """
        self._trial.check_free()


@with_settings_of(RangeTest)
def range_test(
    model: nn.Module,
    optimizer: Optimizer,
    dataloader: Iterable[Any],
    loss_fn: LossFunction | None = None,
    **settings: Unpack[Settings],
) -> LRCurve:
    """
    Run a learning-rate range test to its end, without a notebook.

    Parameters
    ----------
    model, optimizer, dataloader, loss_fn, **settings:
        As `RangeTest` takes them.

    Returns
    -------
    :
        The curve of the test.

    Raises
    ------
    TypeError, ValueError
        As `RangeTest` raises them, and whatever the training raises.
    """
    test = RangeTest(model, optimizer, dataloader, loss_fn, **settings)
    for _ in test:
        pass
    return test.curve
