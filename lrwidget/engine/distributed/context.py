"""The ranks of a process group, which run a test together."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from itertools import count
from typing import TYPE_CHECKING, Protocol

from torch import distributed as dist

from lrwidget.engine.distributed.agreement import Alone, Together
from lrwidget.engine.distributed.process_groups import (
    OwnGroups,
    communicating,
    default_timeout,
    recover,
)
from lrwidget.engine.distributed.rank_errors import Notices
from lrwidget.engine.loop import training_steps

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from typing import TypeAlias

    from lrwidget.curve.lr_curve import Recording, Step, StopReason
    from lrwidget.engine.distributed.agreement import Agreement
    from lrwidget.engine.isolation.components import Components
    from lrwidget.engine.loop import Plan
    from lrwidget.engine.thread_settings import ThreadSettings

    Steps: TypeAlias = Generator[Step, None, StopReason]

# Each rank begins the same tests in the same order. One that cannot begin on a rank
# counts there, too, since the others begin it.
_numbers = count()
_told = ContextVar("lrwidget_told", default=True)


def rank() -> int:
    """Return the number of this process among those that run a test together."""
    return dist.get_rank() if _in_a_group() else 0


def several() -> bool:
    """Whether other processes run a test together with this one."""
    return _in_a_group() and dist.get_world_size() > 1


def _in_a_group() -> bool:
    return dist.is_available() and dist.is_initialized()


def begun() -> Company:
    """Return who runs a test that begins now: this process alone, or a whole group."""
    return AllRanks() if _in_a_group() else OneRank()


@contextmanager
def announced() -> Iterator[None]:
    """
    Fail the next test of the other ranks with an error that is raised before it.

    That test counts as begun on this rank. The error may be caught, and the next test
    of this rank may be meant to be the same one, or the one after it: both look alike
    here. Taken for the same, it might be run with another test of the other ranks, so
    it is taken for the one after it.
    """
    try:
        yield
    except GeneratorExit:
        if _told.get():
            begun().stop()
        raise
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        if _told.get():
            begun().fail(error)
        raise


@contextmanager
def unannounced() -> Iterator[None]:
    """Keep errors from the other ranks, where a test is made that may never begin."""
    token = _told.set(False)
    try:
        yield
    finally:
        _told.reset(token)


class Company(Protocol):
    """Who runs a test."""

    def fail(self, error: BaseException) -> None:
        """Let nobody wait for this rank, where the test cannot begin or go on."""

    def stop(self) -> None:
        """Let nobody wait for this rank, whose user has stopped the test."""

    def told(self, steps: Steps) -> Steps:
        """Return steps whose failure is told to the others, even before the first."""

    def steps(
        self,
        plan: Plan,
        subject: Components,
        original: Components,
        ambient: ThreadSettings,
        recording: Recording,
    ) -> Steps:
        """Return the steps of a training; see `training_steps`."""


class OneRank:
    """A test of this process alone."""

    def fail(self, error: BaseException) -> None:
        """Let nobody wait; there is nobody."""

    def stop(self) -> None:
        """Let nobody wait; there is nobody."""

    def told(self, steps: Steps) -> Steps:
        """Return the steps."""
        return steps

    def steps(
        self,
        plan: Plan,
        subject: Components,
        original: Components,
        ambient: ThreadSettings,
        recording: Recording,
    ) -> Steps:
        """Return the steps of a training; see `training_steps`."""
        return training_steps(plan, subject, original, ambient, recording, Alone())


class AllRanks:
    """
    A test of all ranks of torch's default process group.

    Whatever ends the test on one of them ends it on all.
    """

    def __init__(self) -> None:
        self._notices = Notices(f"test {next(_numbers)}")

    def fail(self, error: BaseException) -> None:
        """Let nobody wait for this rank, where the test cannot begin or go on."""
        self._notices.fail(error)

    def stop(self) -> None:
        """Let nobody wait for this rank, whose user has stopped the test."""
        self._notices.stop()

    def told(self, steps: Steps) -> Steps:
        """Yield the steps, and tell the others what keeps the first one back."""
        try:
            return (yield from steps)
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            self._notices.fail(error)
            raise

    def steps(
        self,
        plan: Plan,
        subject: Components,
        original: Components,
        ambient: ThreadSettings,
        recording: Recording,
    ) -> Steps:
        """
        Return the steps of a training that every rank does; see `training_steps`.

        Raises
        ------
        RankError
            If it has failed on another rank.
        """
        notices = self._notices
        with ExitStack() as stack:
            groups: OwnGroups | None = None
            try:
                notices.meet(_in_common(plan), default_timeout())
                groups = OwnGroups()
                stack.callback(groups.destroy)
                model = stack.enter_context(
                    communicating(subject.model, original.model, groups)
                )
                agreement = _agreement(subject, groups, notices)
                trained = subject._replace(model=model)
                untouched = trained if subject is original else original
                reason = yield from training_steps(
                    plan, trained, untouched, ambient, recording, agreement
                )
            except BaseException as error:
                if isinstance(error, GeneratorExit):
                    notices.stop()
                else:
                    notices.fail(error)
                if groups is not None:
                    groups.cut()
                stack.close()
                recover(subject.model)
                if not isinstance(error, Exception):
                    raise
                notice = notices.found(error)
                if notice.message is None:
                    return "stopped"
                if notice.rank == rank():
                    raise
                raise notices.error(notice) from error
            last = notices.part()
            if last is not None and last.message is not None:
                raise notices.error(last)
            return reason


def _agreement(subject: Components, groups: OwnGroups, notices: Notices) -> Agreement:
    if dist.get_world_size() == 1:
        return Alone()
    certain = subject.grad_scaler is None
    return Together(groups.all_ranks, notices, certain=certain)


def _in_common(plan: Plan) -> dict[str, object]:
    """Return those settings that must be the same on all ranks."""
    rule = plan.stop_rule
    return {
        "start_lr": plan.rates[0],
        "end_lr": plan.rates[-1],
        "num_it": len(plan.rates),
        "accumulate": plan.accumulate,
        "steps_per_lr": plan.steps_per_lr,
        "stop_div": rule is not None,
        "val_loader": plan.val_loader is not None,
    }
