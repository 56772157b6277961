"""The training loop of a range test: one learning rate after the other."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice, repeat, takewhile
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import torch

from lrwidget.engine.async_scalar import read_losses
from lrwidget.engine.batches import to_device
from lrwidget.engine.isolation.leaks import without_originals
from lrwidget.engine.loaders import Batches
from lrwidget.engine.losses import loss_function
from lrwidget.engine.optimizers import rate_ratios, set_mode, set_rate
from lrwidget.engine.stepping import StepSkippedError, mean, stepper
from lrwidget.engine.stopping import apply_stop_rule
from lrwidget.engine.validation import evaluating

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from torch import Tensor
    from torch.optim import Optimizer

    from lrwidget.config import TestConfig
    from lrwidget.curve.lr_curve import Step, StopReason
    from lrwidget.engine.distributed.context import DistributedContext
    from lrwidget.engine.isolation.components import Components
    from lrwidget.engine.loaders import LoaderMonitor
    from lrwidget.engine.losses import LossOf
    from lrwidget.engine.stopping import StopRule
    from lrwidget.engine.thread_settings import ThreadSettings

    Points: TypeAlias = Generator[tuple[float, Tensor], None, StopReason]

# The number of losses in a row that are not finite after which no other scale or batch
# helps.
_PATIENCE = 10
# The number of skipped steps in a row after which no other scale helps.
_MAX_SKIPPED = 100


class Training(NamedTuple):
    """
    One training: its data, its rates, and its settings.

    Attributes
    ----------
    config:
        The settings of the range test.
    dataloader:
        The loader of the batches.
    lrs:
        The learning rate of each point.
    stop_rule:
        The class of the rule that ends the training; None to do all steps.
    monitor:
        The monitor of the loaders.
    """

    config: TestConfig
    dataloader: Iterable[Any]
    lrs: Sequence[float]
    stop_rule: type[StopRule] | None
    monitor: LoaderMonitor


def training_steps(
    training: Training,
    components: Components,
    original: Components,
    settings: ThreadSettings,
    agreement: DistributedContext,
) -> Generator[Step, None, StopReason]:
    """
    Train, and yield a step for each rate; return the reason of the end.

    Parameters
    ----------
    training:
        The data and the rates.
    components:
        The model that is trained, with its optimizer and loss.
    original:
        The components of the user: the same objects, or the originals of the copies.
    settings:
        The settings of the thread that began the test.
    agreement:
        The agreement of this process with the other ranks.
    """
    model, optimizer, loss_fn, training_step, grad_scaler = components
    config = training.config
    device = torch.device(config.device or next(model.parameters()).device)
    loss_of = loss_function(model, loss_fn, training_step)

    def compute(batch: Any) -> Tensor | None:  # noqa: ANN401 (any batch)
        batch = to_device(batch, device)
        if config.autocast is None:
            return loss_of(batch)
        with torch.autocast(device.type, config.autocast):
            return loss_of(batch)

    def step_with(loss_of: LossOf) -> Callable[[Sequence[Any]], Tensor]:
        step = stepper(optimizer, loss_of, grad_scaler, config.clip_grad_norm).step
        if config.steps_per_lr == 1:
            return step
        # Without the graph, which each loss would keep until the mean is computed.
        return lambda batches: step(batches).detach()

    own_loss = agreement.loss_of(compute)
    step = first_step = step_with(own_loss)
    if components is not original:
        first_step = step_with(without_originals(own_loss, original, components))
    rule = None if training.stop_rule is None else training.stop_rule()

    def validation_loss() -> Tensor:
        with (
            settings.applied(),
            evaluating(model, optimizer),
            closing(held_out.once()) as batches,
        ):
            return agreement.mean_loss(compute, batches)

    validated = config.val_loader is not None
    held_out_data = () if config.val_loader is None else config.val_loader
    if not model.training:
        model.train()
    set_mode(optimizer, "train")
    with (
        closing(Batches(training.dataloader)) as loader,
        closing(Batches(held_out_data, "val_loader")) as held_out,
        closing(loader.endless()) as batches,
    ):
        training.monitor.watch(dataloader=loader, val_loader=held_out)
        sweep = _Sweep(
            optimizer=optimizer,
            first_step=agreement.step(first_step),
            step=agreement.step(step),
            batches=agreement.batches(_windows(batches, config.accumulate)),
            settings=settings,
            patience=_MAX_SKIPPED if rule is None else _PATIENCE,
        )
        points = sweep.over(_repeated(training.lrs, config.steps_per_lr))
        if config.steps_per_lr > 1 or validated:
            validate = validation_loss if validated else None
            points = _grouped(points, config.steps_per_lr, validate)
        return (yield from apply_stop_rule(read_losses(points), rule))


@dataclass
class _Sweep:
    """
    A training while the learning rate grows.

    Attributes
    ----------
    optimizer:
        The optimizer, whose rate is set before each step.
    first_step, step:
        Functions that do one optimizer step with some batches, and return their loss.
    batches:
        The batches of each step, which may end.
    settings:
        The settings of the thread that began the test.
    patience:
        The number of steps in a row with a loss that is not finite that the gradient
        scaler may skip.
    """

    optimizer: Optimizer
    first_step: Callable[[Sequence[Any]], Tensor]
    step: Callable[[Sequence[Any]], Tensor]
    batches: Iterator[Sequence[Any]]
    settings: ThreadSettings
    patience: int

    def over(self, rates: Iterable[float]) -> Points:
        """
        Yield each rate as the optimizer had it, with its loss; return the end's reason.

        The loss stays on its device, unread, so that there is no wait for it here.

        Raises
        ------
        RuntimeError
            If a hundred steps in a row have no loss.
        """
        ratios = rate_ratios(self.optimizer)
        step = self.first_step
        for lr in rates:
            skipped: list[Tensor | None] = []
            while True:
                with self.settings.applied():
                    window = next(self.batches, None)
                    if window is None:
                        return "exhausted"
                    used = set_rate(self.optimizer, lr, ratios)
                    try:
                        loss = step(window)
                        step = self.step
                        break
                    except StepSkippedError as error:
                        skipped.append(error.loss)
                        if self._hopeless(skipped):
                            return "non_finite"
            yield used, loss
        return "completed"

    def _hopeless(self, skipped: list[Tensor | None]) -> bool:
        """Whether so many steps in a row were skipped that no further step helps."""
        if skipped[-1] is None:
            if len(skipped) < _MAX_SKIPPED:
                return False
            msg = (
                f"{len(skipped)} steps in a row were skipped, the last one since its "
                "batches have no loss; return one for each batch"
            )
            raise RuntimeError(msg)
        losses = [loss for loss in skipped if loss is not None]
        broken = takewhile(lambda loss: not loss.isfinite(), reversed(losses))
        return len(skipped) >= _MAX_SKIPPED or len(list(broken)) >= self.patience


def _windows(batches: Iterator[Any], size: int) -> Iterator[Sequence[Any]]:
    """Return the batches in groups of a size; the last group may be smaller."""
    if size == 1:
        return zip(batches, strict=False)  # the fastest way
    return iter(lambda: list(islice(batches, size)), [])


def _repeated(rates: Iterable[float], count: int) -> Iterator[float]:
    """Return each rate ``count`` times."""
    if count == 1:
        return iter(rates)
    return chain.from_iterable(repeat(lr, count) for lr in rates)


def _grouped(
    points: Points, size: int, validation_loss: Callable[[], Tensor] | None
) -> Points:
    """
    Yield one point for each group of points, with the mean loss or a validation loss.

    Parameters
    ----------
    points:
        The rates and the losses; the last group may be smaller.
    size:
        The number of points at each rate.
    validation_loss:
        Function that computes the loss in place of the mean, where the mean is finite.
    """
    reasons: list[StopReason] = []

    def with_reason() -> Generator[tuple[float, Tensor], None, None]:
        reasons.append((yield from points))

    with closing(with_reason()) as ungrouped:
        while group := list(islice(ungrouped, size)):
            loss = mean([loss for _, loss in group])
            # The wait for this number costs little beside the validation.
            if validation_loss is not None and loss.isfinite():
                loss = validation_loss()
            yield group[-1][0], loss
    return reasons[0]
