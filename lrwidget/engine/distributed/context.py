"""The processes that run a test together: this one alone, or a process group."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol

from torch import distributed as dist

from lrwidget.engine.distributed.agreement import GroupAgreement
from lrwidget.engine.distributed.process_groups import (
    PrivateGroups,
    communicating,
    default_timeout,
    recover,
)
from lrwidget.engine.distributed.rank_errors import RankErrors
from lrwidget.engine.loop import training_steps
from lrwidget.engine.validation import mean_loss

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence
    from typing import TypeAlias

    from torch import Tensor

    from lrwidget.curve.lr_curve import Step, StopReason
    from lrwidget.engine.distributed.agreement import Agreement, StepFunction
    from lrwidget.engine.isolation.components import Components
    from lrwidget.engine.loop import Training
    from lrwidget.engine.losses import LossOf
    from lrwidget.engine.thread_settings import ThreadSettings

    Steps: TypeAlias = Generator[Step, None, StopReason]

# Each rank starts the same tests in the same order. A test that fails to start on one
# rank counts there, too, since the other ranks start it.
_numbers = count()
_reporting = ContextVar("lrwidget_reporting", default=True)


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
    return ProcessGroup(f"test {next(_numbers)}") if _in_a_group() else SingleProcess()


@contextmanager
def errors_reported() -> Iterator[None]:
    """
    Make an error that is raised inside fail the next test of the other ranks.

    That test counts as started on this rank. If the error is caught, the next test of
    this rank may be meant as the same one or as the one after it: nothing tells which.
    It is taken as the one after it, since the other ranks may have failed already.
    """
    try:
        yield
    except GeneratorExit:
        if _reporting.get():
            new().stop()
        raise
    except (Exception, KeyboardInterrupt, SystemExit) as error:
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


class DistributedContext(Protocol):
    """The processes that run one test."""

    def fail(self, error: BaseException) -> None:
        """Report to the other ranks that the test cannot start or go on here."""

    def stop(self) -> None:
        """Report to the other ranks that the user of this rank has stopped the test."""

    def reporting(self, steps: Steps) -> Steps:
        """Return the steps; an error, even before the first step, is reported."""

    def steps(
        self,
        training: Training,
        components: Components,
        original: Components,
        settings: ThreadSettings,
    ) -> Steps:
        """Return the steps of a training; see `training_steps`."""


class SingleProcess:
    """The context of a test without other ranks, which also needs no agreement."""

    def fail(self, error: BaseException) -> None:
        """Do nothing: there is no other rank."""

    def stop(self) -> None:
        """Do nothing: there is no other rank."""

    def reporting(self, steps: Steps) -> Steps:
        """Return the steps."""
        return steps

    def steps(
        self,
        training: Training,
        components: Components,
        original: Components,  # noqa: ARG002 (that of the protocol)
        settings: ThreadSettings,
    ) -> Steps:
        """Return the steps of a training; see `training_steps`."""
        return training_steps(training, components, settings, self)

    def batches(self, own: Iterator[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        """Return the batches unchanged."""
        return own

    def loss_of(self, own: LossOf) -> LossOf:
        """Return the function unchanged."""
        return own

    def step(self, own: StepFunction) -> StepFunction:
        """Return the function unchanged."""
        return own

    def mean_loss(self, loss_of: LossOf, batches: Iterable[Any]) -> Tensor:
        """Return the mean loss of the batches, weighted by their samples."""
        return mean_loss(loss_of, batches)


class ProcessGroup:
    """
    The context of a test on all ranks of torch's default process group.

    An end on one rank ends the test on all ranks.

    Parameters
    ----------
    name:
        The name of the test, which is the same on all ranks.
    """

    def __init__(self, name: str) -> None:
        self._errors = RankErrors(name)

    def fail(self, error: BaseException) -> None:
        """Report to the other ranks that the test cannot start or go on here."""
        self._errors.fail(error)

    def stop(self) -> None:
        """Report to the other ranks that the user of this rank has stopped the test."""
        self._errors.stop()

    def reporting(self, steps: Steps) -> Steps:
        """Yield the steps, and report an error, even before the first step."""
        try:
            return (yield from steps)
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            self._errors.fail(error)
            raise

    def steps(
        self,
        training: Training,
        components: Components,
        original: Components,
        settings: ThreadSettings,
    ) -> Steps:
        """
        Return the steps of a training on all ranks; see `training_steps`.

        Raises
        ------
        RankError
            If the training has failed on another rank.
        """
        errors = self._errors
        with ExitStack() as stack:
            groups: PrivateGroups | None = None
            try:
                errors.wait_for_start(_common_settings(training), default_timeout())
                groups = PrivateGroups()
                stack.callback(groups.destroy)
                model = stack.enter_context(
                    communicating(components.model, original.model, groups)
                )
                agreement = _agreement(components, groups, errors)
                trained = components._replace(model=model)
                reason = yield from training_steps(
                    training, trained, settings, agreement
                )
            except BaseException as error:
                if isinstance(error, GeneratorExit):
                    errors.stop()
                else:
                    errors.fail(error)
                if groups is not None:
                    groups.disconnect()
                stack.close()
                recover(components.model)
                if not isinstance(error, Exception):
                    raise
                cause = errors.cause(error)
                if cause.message is None:
                    return "stopped"
                if cause.rank == rank():
                    raise
                raise errors.rank_error(cause) from error
            late = errors.wait_for_end()
            if late is not None and late.message is not None:
                raise errors.rank_error(late)
            return reason


def _agreement(
    components: Components, groups: PrivateGroups, errors: RankErrors
) -> Agreement:
    if dist.get_world_size() == 1:
        return SingleProcess()
    certain = components.grad_scaler is None
    return GroupAgreement(groups.all_ranks, errors, certain=certain)


def _common_settings(training: Training) -> dict[str, object]:
    """Return the settings that must be the same on all ranks."""
    config = training.config
    return {
        "start_lr": training.lrs[0],
        "end_lr": training.lrs[-1],
        "num_it": len(training.lrs),
        "accumulate": config.accumulate,
        "steps_per_lr": config.steps_per_lr,
        "stop_div": config.stop_div,
        "val_loader": config.val_loader is not None,
    }
