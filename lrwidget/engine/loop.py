"""The training loop of a range test: one learning rate after the other."""

from __future__ import annotations

import math
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice, repeat, takewhile
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import torch

from lrwidget.curve.history import Validated
from lrwidget.engine.async_scalar import read_losses
from lrwidget.engine.batches import to_device
from lrwidget.engine.framework import FrameworkStep, Trained
from lrwidget.engine.isolation.random_state import RandomState
from lrwidget.engine.loaders import Batches
from lrwidget.engine.losses import loss_function
from lrwidget.engine.modes import train
from lrwidget.engine.optimizers import rate_ratios, set_mode, set_rate
from lrwidget.engine.stepping import Stepper, StepSkippedError, mean
from lrwidget.engine.stopping import apply_stop_rule
from lrwidget.engine.validation import evaluating

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from torch import Tensor
    from torch.optim import Optimizer

    from lrwidget.config import TestConfig
    from lrwidget.curve.lr_curve import Step, StopReason
    from lrwidget.engine.distributed.context import DistributedContext
    from lrwidget.engine.isolation.components import Components
    from lrwidget.engine.losses import LossOf
    from lrwidget.engine.stopping import Rule
    from lrwidget.engine.thread_settings import ThreadSettings
    from lrwidget.engine.validation import BatchLosses

    Points: TypeAlias = Generator[tuple[float, Tensor], None, StopReason]
    Steps: TypeAlias = Generator[Step | Validated, None, StopReason]

# The number of losses in a row that are not finite after which no other scale or batch
# helps.
_PATIENCE = 10
# The number of skipped steps in a row after which no other scale helps.
_MAX_SKIPPED = 100


# The times at which the validation loss is measured, if there is a ``val_loader``.
Validations: TypeAlias = Literal["each rate", "end", "start and end"]


class Training(NamedTuple):
    """One training: its data, its rates, and its settings."""

    config: TestConfig
    dataloader: Iterable[Any]
    val_loader: Iterable[Any] | None
    lrs: Sequence[float]
    stop_rule: Callable[[], Rule] | None  # None to do all steps
    loaders: dict[str, Batches]  # filled at the start
    notices: list[str]  # differences from the user's training, filled at the start
    raced_rates: Sequence[float] = ()  # of all trainings of the race, if it is of one
    validations: Validations = "each rate"
    # Makes the loss of the first step raise if it uses the original of a copy.
    without_originals: Callable[[LossOf], LossOf] | None = None


def training_steps(
    training: Training,
    components: Components,
    settings: ThreadSettings,
    agreement: DistributedContext,
) -> Steps:
    """
    Train, and yield a step for each rate; return the reason of the end.

    The validation losses of the start and the end, where they are measured, come
    before the first and after the last step.

    The settings are those of the thread that began the test, and the agreement is the
    part of this process in the training of all ranks.
    """
    model, optimizer = components.model, components.optimizer
    config, checked = training.config, training.without_originals
    val_loader = training.val_loader

    def validation() -> BatchLosses:
        with (
            settings.applied(),
            evaluating(model, optimizer),
            closing(held_out.once()) as batches,
        ):
            return agreement.validation(loss_of, batches)

    def validated(iteration: int) -> Validated:
        losses = validation()
        losses.mean()  # raises where no batch has a loss
        return Validated(0, iteration, tuple(losses.losses), tuple(losses.samples))

    with settings.applied():
        loss_of, train_on, step, framework = _program(components, config)
    first_train_on = train_on if checked is None else checked(train_on)
    if framework is None:
        training.notices[:] = train(model, keep_modes=config.keep_modes)
    else:
        training.notices[:] = framework.notices
    set_mode(optimizer, "train")
    ratios = rate_ratios(optimizer)
    with (
        closing(Batches(training.dataloader)) as loader,
        closing(
            Batches(() if val_loader is None else val_loader, "val_loader")
        ) as held_out,
    ):
        training.loaders.update(dataloader=loader, val_loader=held_out)
        if framework is None:
            windows = _windows(loader.endless(), config.accumulate)
        else:
            windows = _windows_of_epochs(loader.epochs(), config.accumulate, framework)
        if val_loader is not None and training.validations == "start and end":
            # After the first batches are loaded, and the epoch of a framework begins.
            with settings.applied():
                first = next(windows, None)
            windows = chain([] if first is None else [first], windows)
            random_state = RandomState(val_loader)
            at_start = validated(0)
            random_state.restore()  # all lanes draw the same numbers
            yield at_start
        rates = _repeated(training.lrs, config.steps_per_lr)
        sweep = _Sweep(
            optimizer=optimizer,
            ratios=ratios,
            first_step=agreement.step(partial(step, agreement.loss_of(first_train_on))),
            step=agreement.step(partial(step, agreement.loss_of(train_on))),
            batches=agreement.batches(windows),
            settings=settings,
            patience=_MAX_SKIPPED if training.stop_rule is None else _PATIENCE,
        )
        points = sweep.over(rates)
        train_losses: list[float] = []
        at_rates = val_loader is not None and training.validations == "each rate"
        if config.steps_per_lr > 1 or at_rates:
            validate = (lambda: validation().mean()) if at_rates else None
            points = _grouped(points, config.steps_per_lr, validate, train_losses)
        steps = apply_stop_rule(read_losses(points), training.stop_rule)
        if at_rates:
            steps = _with_train_losses(steps, train_losses)
        reason = yield from steps
        if val_loader is not None and not at_rates and reason == "completed":
            yield validated(len(training.lrs))
        return reason


class _Program(NamedTuple):
    """The functions that compute the losses of a training, and take its steps."""

    loss_of: LossOf  # the loss of a batch, for validation
    train_on: LossOf  # the loss of a batch of a step
    step: Callable[[LossOf, Sequence[Any]], Tensor]
    framework: FrameworkStep | None  # the batches of a step are of one epoch then


def _program(components: Components, config: TestConfig) -> _Program:
    """Return the program of a framework, or the usual loop of torch."""
    model, optimizer, loss_fn, training_step, grad_scaler = components
    device = torch.device(config.device or next(model.parameters()).device)
    stepper = Stepper(
        optimizer,
        grad_scaler,
        config.clip_grad_norm,
        closure=config.closure,
        create_graph=config.create_graph,
    )
    precision: Callable[[], AbstractContextManager[object]] = nullcontext
    if config.autocast is not None:
        precision = partial(torch.autocast, device.type, config.autocast)
    compute = loss_function(model, loss_fn, training_step)

    def loss_of(batch: Any) -> Tensor | None:  # noqa: ANN401 (any batch)
        with precision():
            return compute(to_device(batch, device))

    if not isinstance(training_step, FrameworkStep):
        return _Program(loss_of, loss_of, stepper.step, None)
    training_step.start(
        Trained(model, optimizer, grad_scaler, stepper, device, precision, config)
    )
    return _Program(loss_of, training_step.train_on, training_step.step, training_step)


@dataclass
class _Sweep:
    """A training while the learning rate grows."""

    optimizer: Optimizer
    ratios: list[float]
    # Each does one optimizer step with some batches, and returns their loss.
    first_step: Callable[[Sequence[Any]], Tensor]
    step: Callable[[Sequence[Any]], Tensor]
    batches: Iterator[Sequence[Any]]  # of each step; they may end
    settings: ThreadSettings
    # The number of steps in a row with a loss that is not finite that the gradient
    # scaler may skip.
    patience: int

    def over(self, rates: Iterable[float]) -> Points:
        """
        Yield each rate as the optimizer had it, with its loss; return the end's reason.

        The loss stays on its device, unread, so that there is no wait for it here.
        """
        step = self.first_step
        for lr in rates:
            skipped: list[Tensor | None] = []
            while True:
                with self.settings.applied():
                    window = next(self.batches, None)
                    if window is None:
                        return "exhausted"
                    used = set_rate(self.optimizer, lr, self.ratios)
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


def _windows_of_epochs(
    epochs: Iterable[Iterator[Any]], size: int, framework: FrameworkStep
) -> Iterator[Sequence[Any]]:
    """Yield the groups of each epoch, which the framework starts and may end early."""
    for batches in epochs:
        framework.start_epoch()
        for window in _windows(batches, size):
            yield window
            if framework.epoch_ended:
                break


def _repeated(rates: Iterable[float], count: int) -> Iterator[float]:
    """Return each rate ``count`` times."""
    return chain.from_iterable(repeat(lr, count) for lr in rates)


def _grouped(
    points: Points,
    size: int,
    validation_loss: Callable[[], float] | None,
    train_losses: list[float],
) -> Points:
    """
    Yield one point for each group of points; the last group may be smaller.

    Its loss is the mean loss, or, where that is finite, a validation loss; the mean
    loss is added to a list then.
    """
    reasons: list[StopReason] = []

    def with_reason() -> Generator[tuple[float, Tensor], None, None]:
        reasons.append((yield from points))

    with closing(with_reason()) as ungrouped:
        # A graph would be kept until the mean is computed.
        while group := [(lr, x.detach()) for lr, x in islice(ungrouped, size)]:
            loss = mean([loss for _, loss in group])
            if validation_loss is not None:
                # The wait for this number costs little beside the validation. All
                # losses are in main memory: one on a device would arrive later.
                trained = loss.item()
                known = validation_loss() if math.isfinite(trained) else trained
                train_losses.append(trained)
                loss = torch.tensor(known, dtype=torch.float64, device="cpu")
            yield group[-1][0], loss
    return reasons[0]


def _with_train_losses(
    steps: Generator[Step, None, StopReason], train_losses: Sequence[float]
) -> Generator[Step, None, StopReason]:
    """Yield each step with its training loss, and return the reason of the end."""
    with closing(steps):
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # untyped
            yield step._replace(train_loss=train_losses[step.iteration])
