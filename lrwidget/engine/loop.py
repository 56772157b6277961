"""The training of a range test, put together of its parts."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from lrwidget.engine.async_scalar import arrived
from lrwidget.engine.batches import to_device
from lrwidget.engine.isolation.leaks import without_originals
from lrwidget.engine.loaders import Batches, LoaderMonitor
from lrwidget.engine.losses import loss_function
from lrwidget.engine.optimizers import set_mode
from lrwidget.engine.stepping import stepper
from lrwidget.engine.stopping import apply_stop_rule
from lrwidget.engine.sweep import MOST_SKIPPED, Sweep, grouped, several_steps, windows
from lrwidget.engine.validation import evaluating

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from torch import Tensor

    from lrwidget.curve.lr_curve import Recording, Step, StopReason
    from lrwidget.engine.distributed.agreement import Agreement
    from lrwidget.engine.isolation.components import Components
    from lrwidget.engine.losses import LossOf
    from lrwidget.engine.stopping import StopRule
    from lrwidget.engine.thread_settings import ThreadSettings


# A loss that is not finite so often does not become so by another scale or batch.
_PATIENCE = 10


class Plan(NamedTuple):
    """
    How a range test trains, beside what it trains.

    Attributes
    ----------
    rates:
        The learning rate of each point.
    awaited:
        Is told of the loaders.
    stop_rule:
        Makes what tells when to stop; None to go on whatever the loss.
    dataloader, val_loader, accumulate, steps_per_lr, autocast, \
    clip_grad_norm, device:
        As `RangeTest` takes them.
    """

    rates: Sequence[float]
    dataloader: Iterable[Any]
    val_loader: Iterable[Any] | None
    stop_rule: type[StopRule] | None
    accumulate: int
    steps_per_lr: int
    autocast: torch.dtype | None
    clip_grad_norm: float | None
    device: torch.device | None
    awaited: LoaderMonitor


def training_steps(  # noqa: PLR0913, PLR0917 (what makes a training)
    plan: Plan,
    subject: Components,
    original: Components,
    ambient: ThreadSettings,
    recording: Recording,
    agreement: Agreement,
) -> Generator[Step, None, StopReason]:
    """
    Train, and yield a step for each rate; return why they end.

    Parameters
    ----------
    plan:
        How.
    subject:
        What.
    original:
        What the user passed, which is the subject itself unless that is a copy.
    ambient:
        The settings of the thread that began the test.
    recording:
        Has each step before it is yielded.
    agreement:
        Makes it a part of the training of all ranks.
    """
    model, optimizer, loss_fn, training_step, grad_scaler = subject
    device = plan.device or next(model.parameters()).device
    loss_of = loss_function(model, loss_fn, training_step)

    def compute(batch: Any) -> Tensor | None:  # noqa: ANN401 (any batch)
        batch = to_device(batch, device)
        if plan.autocast is None:
            return loss_of(batch)
        with torch.autocast(device.type, plan.autocast):
            return loss_of(batch)

    def step_with(loss_of: LossOf) -> Callable[[Sequence[Any]], Tensor]:
        step = stepper(optimizer, loss_of, grad_scaler, plan.clip_grad_norm).step
        if plan.steps_per_lr == 1:
            return step
        # Else each loss would keep its graph until there is their mean.
        return lambda batches: step(batches).detach()

    own_loss = agreement.loss_of(compute)
    step = first_step = step_with(own_loss)
    if subject is not original:
        first_step = step_with(without_originals(own_loss, original, subject))
    rule = None if plan.stop_rule is None else plan.stop_rule()

    def validation_loss() -> Tensor:
        with (
            ambient.entered(),
            evaluating(model, optimizer),
            closing(held_out.once()) as batches,
        ):
            return agreement.mean_loss(compute, batches)

    validated = plan.val_loader is not None
    held_out_data = () if plan.val_loader is None else plan.val_loader
    if not model.training:
        model.train()
    set_mode(optimizer, "train")
    with (
        closing(Batches(plan.dataloader)) as loader,
        closing(Batches(held_out_data, "val_loader")) as held_out,
        closing(loader.endless()) as batches,
    ):
        plan.awaited.watch(dataloader=loader, val_loader=held_out)
        sweep = Sweep(
            optimizer=optimizer,
            first_step=agreement.step(first_step),
            step=agreement.step(step),
            batches=agreement.batches(windows(batches, plan.accumulate)),
            entered=ambient.entered,
            patience=MOST_SKIPPED if rule is None else _PATIENCE,
        )
        points = sweep.over(several_steps(plan.rates, plan.steps_per_lr))
        if plan.steps_per_lr > 1 or validated:
            validate = validation_loss if validated else None
            points = grouped(points, plan.steps_per_lr, validate)
        return (yield from apply_stop_rule(arrived(points), rule, recording))
