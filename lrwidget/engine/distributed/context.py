"""The processes that run a test together: this one alone, or a process group."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed as dist

from lrwidget.engine.batches import samples_in
from lrwidget.engine.distributed.process_groups import (
    AsyncSum,
    PrivateGroups,
    communicating,
    recover,
    timeout_of,
)
from lrwidget.engine.distributed.rank_errors import RankErrors
from lrwidget.engine.framework import FrameworkStep
from lrwidget.engine.loop import training_steps
from lrwidget.engine.stepping import StepSkippedError
from lrwidget.engine.validation import BatchLosses, batch_losses, weighted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TypeAlias

    from torch import Tensor

    from lrwidget.curve.history import Validated
    from lrwidget.curve.lr_curve import Step, StopReason
    from lrwidget.engine.isolation.components import Components
    from lrwidget.engine.loop import Steps, Training
    from lrwidget.engine.losses import LossOf
    from lrwidget.engine.thread_settings import ThreadSettings

    StepFunction: TypeAlias = Callable[[Sequence[Any]], Tensor]

# Each rank starts the same tests in the same order. A test that fails to start on one
# rank counts there, too, since the other ranks start it.
_numbers = count()
_reporting = ContextVar("lrwidget_reporting", default=True)


def restart_count() -> None:
    """Count the tests from 0 again, as all ranks of a new process group do."""
    global _numbers  # noqa: PLW0603 (the count is that of the process)
    _numbers = count()


def rank() -> int:
    """Return the number of this process in the process group; 0 without a group."""
    return dist.get_rank() if _in_a_group() else 0


def several() -> bool:
    """Whether other processes run a test together with this one."""
    return _in_a_group() and dist.get_world_size() > 1


def _in_a_group() -> bool:
    return dist.is_available() and dist.is_initialized()


def new() -> DistributedContext:
    """Return the context of a new test, which counts as started on this rank."""
    if not _in_a_group():
        return DistributedContext()
    return _ProcessGroup(f"test {next(_numbers)}")


@contextmanager
def errors_reported() -> Iterator[None]:
    """
    Make an error that is raised inside fail the next test of the other ranks.

    That test counts as started on this rank. If the error is caught, the next test here
    is taken as the one after it, since the other ranks may have failed already.
    """
    try:
        yield
    except BaseException as error:
        if _reporting.get():
            new().fail(error)
        raise


@contextmanager
def errors_kept() -> Iterator[None]:
    """Report no errors to the other ranks, for a test that may never be started."""
    token = _reporting.set(False)
    try:
        yield
    finally:
        _reporting.reset(token)


class DistributedContext:
    """The processes that run one test; here, this process alone."""

    def fail(self, error: BaseException) -> None:
        """Report an error to the other ranks; GeneratorExit is a stop by the user."""

    def reporting(self, steps: Steps) -> Steps:
        """Return the steps, and report their error, or their end by the caller."""
        return steps

    def steps(
        self,
        training: Training,
        components: Components,
        original: Components,  # noqa: ARG002 (for a process group)
        settings: ThreadSettings,
    ) -> Steps:
        """Return the steps of a training; see `training_steps`."""
        return training_steps(training, components, settings, self)

    def batches(self, own: Iterator[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        """Return the batches of each step, until one rank has no more."""
        return own

    def loss_of(self, own: LossOf) -> LossOf:
        """Return the function that computes the loss of a batch, and stores it."""
        return own

    def step(self, own: StepFunction) -> StepFunction:
        """Return the function that does a step, and returns the loss of all ranks."""
        return own

    def validation(self, loss_of: LossOf, batches: Iterable[Any]) -> BatchLosses:
        """Return the losses of batches; the first ones of all ranks count as one."""
        return batch_losses(loss_of, weighted(batches))


class _ProcessGroup(DistributedContext):
    """
    The context of a test on all ranks, which one rank ends for all ranks.

    The ranks agree by one exchange of a few numbers a step. Each rank fetches its
    batches for the next step first, so that no rank starts a step alone, in which it
    would wait for the others. The exchange runs beside the backward pass: it begins
    when the losses are known, if they are in main memory.
    """

    def __init__(self, name: str) -> None:
        self._errors = RankErrors(name)
        self._certain = True  # no gradient scaler or framework may skip a step
        self._own: Iterator[Sequence[Any]] = iter(())
        self._next: Sequence[Any] | None = None
        self._failure: Exception | None = None
        self._ended = 0.0  # the number of ranks without another batch
        self._losses: list[tuple[Tensor, int]] = []  # of the step, with their samples
        self._missing = 0  # losses of the step
        self._sent: AsyncSum | None = None
        self._longest = 1  # of the validations so far, in batches

    def fail(self, error: BaseException) -> None:
        self._errors.fail(error)

    def reporting(self, steps: Steps) -> Steps:
        return _Reporting(steps, self.fail)

    def steps(
        self,
        training: Training,
        components: Components,
        original: Components,
        settings: ThreadSettings,
    ) -> Steps:
        config = training.config
        common = {
            "rates": list(training.raced_rates),  # or a rank would wait for more
            "start_lr": training.lrs[0],
            "end_lr": training.lrs[-1],
            "num_it": len(training.lrs),
            "step_mode": config.step_mode,
            "accumulate": config.accumulate,
            "steps_per_lr": config.steps_per_lr,
            "stop_div": config.stop_div,
            "val_loader": config.val_loader is not None,
        }
        agreement = self if several() else DistributedContext()
        may_skip = isinstance(components.training_step, FrameworkStep)
        self._certain = components.grad_scaler is None and not may_skip
        try:
            self._errors.wait_for_start(common, timeout_of(dist.group.WORLD))
            with (
                PrivateGroups() as groups,
                communicating(components.model, original.model, groups) as model,
            ):
                self._group = groups.all_ranks
                trained = components._replace(model=model)
                # Reported before the groups are disconnected, which the others notice.
                reason = yield from self.reporting(
                    training_steps(training, trained, settings, agreement)
                )
                if self._failure is not None:
                    raise self._failure  # noqa: TRY301 (as an error of a step)
                self._errors.wait_for_end()
                return reason
        except BaseException as error:
            self.fail(error)
            recover(components.model)
            if not isinstance(error, Exception):
                raise
            cause = self._errors.cause(error)
            if cause is None:
                return "stopped"
            if cause is error:
                raise
            raise cause from error

    def batches(self, own: Iterator[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        self._own = own
        *_, self._ended = self._send().wait()
        while self._next is not None and not self._ended:
            window, self._next = self._next, None
            self._losses, self._missing = [], len(window)
            yield window

    def loss_of(self, own: LossOf) -> LossOf:
        def compute(batch: Any) -> Tensor | None:  # noqa: ANN401 (any batch)
            loss = own(batch)
            # An optimizer with a closure computes it more than once.
            if self._missing:
                self._missing -= 1
                if loss is not None:
                    self._losses.append((loss.detach(), samples_in(batch)))
                at_once = self._certain and all(loss.is_cpu for loss, _ in self._losses)
                if at_once and not self._missing:
                    self._sent = self._send()
            return loss

        return compute

    def step(self, own: StepFunction) -> StepFunction:
        # The loss is without the ranks that skip the step, which counts as skipped only
        # if all ranks skip it.
        def take(window: Sequence[Any]) -> Tensor:
            skipped = False
            try:
                own(window)
            except StepSkippedError:
                skipped = True
            sent, self._sent = self._sent or self._send(skipped=skipped), None
            total, samples, lost, lost_samples, self._ended = sent.wait()
            if samples:
                return _scalar(total / samples)
            mean = _scalar(lost / lost_samples) if lost_samples else None
            raise StepSkippedError(mean)

        return take

    def validation(self, loss_of: LossOf, batches: Iterable[Any]) -> BatchLosses:
        # A model may communicate while it computes a loss, so all ranks compute the
        # same number of losses: a rank without a batch left repeats its last one, with
        # weight 0. The ranks agree after as many batches as in the longest validation
        # so far, and after each batch beyond.
        own = weighted(batches)
        upcoming = next(own, None)
        last: Any = None
        found = BatchLosses([], [])
        computed, due, left = 0, self._longest, 1.0
        while left:
            sums: list[float] = []
            for _ in range(due):
                last, weight = upcoming or (last, 0)
                losses, counts = batch_losses(loss_of, [(last, weight)])
                sums += [losses[0] * counts[0], *counts] if counts else [0, 0]
                # Not earlier: some loaders make it in the memory of the last batch.
                upcoming = next(own, None)
            *sums, left = AsyncSum((*sums, upcoming is not None), self._group).wait()
            for total, samples in zip(sums[::2], sums[1::2], strict=True):
                if samples:
                    found.losses.append(total / samples)
                    found.samples.append(int(samples))
            computed, due = computed + due, 1
        self._longest = computed
        return found

    def _send(self, *, skipped: bool = False) -> AsyncSum:
        """Fetch the batches of the next step, and send the result of this one."""
        try:
            self._next = next(self._own, None)
        except Exception as error:  # noqa: BLE001 (raised at the end of the steps)
            self._failure = error
            self.fail(error)  # before the others learn that there is no batch
        sums = (
            sum(loss.item() * samples for loss, samples in self._losses),
            sum(samples for _, samples in self._losses),
        )
        numbers = (0, 0, *sums) if skipped else (*sums, 0, 0)
        return AsyncSum((*numbers, self._next is None), self._group)


class _Reporting(Generator["Step | Validated", None, "StopReason"]):
    """The steps of a test; an error is reported, and so is an end before the first."""

    # A generator that has not begun would be closed without running any of its code.

    def __init__(self, steps: Steps, fail: Callable[[BaseException], None]) -> None:
        self._steps = steps
        self._fail = fail
        self._ended = False

    def send(self, value: None) -> Step | Validated:
        return self._next(self._steps.send, value)

    def throw(self, *error: Any) -> Step | Validated:  # noqa: ANN401 (as for every generator)
        return self._next(self._steps.throw, *error)

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        if not self._ended:
            super().close()

    def _next(
        self,
        resume: Callable[..., Step | Validated],
        *args: Any,  # noqa: ANN401 (as above)
    ) -> Step | Validated:
        try:
            return resume(*args)
        except BaseException as error:
            if not (self._ended or isinstance(error, StopIteration)):
                self._fail(error)
            self._ended = True
            raise


def _scalar(number: float) -> Tensor:
    return torch.tensor(number, dtype=torch.float64, device="cpu")
