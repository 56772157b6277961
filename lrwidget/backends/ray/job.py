"""The jobs of workers on a Ray cluster, followed from this process."""

from __future__ import annotations

import threading
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError, RayTaskError

from lrwidget.backends.base import Activity
from lrwidget.backends.ray import connection
from lrwidget.backends.ray.connection import near_driver
from lrwidget.backends.ray.errors import ClusterError, Failure
from lrwidget.backends.ray.mailbox import Hello, Mailbox
from lrwidget.backends.ray.ray_train import fit
from lrwidget.backends.ray.worker import train_alone
from lrwidget.curve.history import Ended, Started, Stepped
from lrwidget.curve.records.writer import recorded

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from lrwidget.backends.base import Phase
    from lrwidget.backends.ray.scaling import Scaling
    from lrwidget.backends.ray.worker import Work
    from lrwidget.curve.history import Event, Plan
    from lrwidget.curve.lr_curve import Step, StopReason
    from lrwidget.curve.records.store import LocalStore

_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_TO_TAKE = 1.0
_SECONDS_TO_END = 1.0


class RayJob:
    """
    A job of workers, whose messages come through one mailbox.

    Parameters
    ----------
    works:
        The training of each run.
    plans:
        The rates of each run.
    scaling:
        The needs of each worker.
    workers:
        The number of workers that have to run at the same time.
    what:
        The name of what is started, such as ``"2 workers"``.
    """

    goes_on = False

    def __init__(
        self,
        works: Sequence[Work],
        plans: Sequence[Plan],
        scaling: Scaling,
        workers: int,
        what: str,
    ) -> None:
        self.plans = plans
        self._works = works
        self._scaling = scaling
        self._workers = workers
        self._what = what
        self._lacking = ""
        self._abandoned = threading.Event()
        self._asked = False
        self._mailbox: Any = None
        self._tasks: list[Any] = []
        self._hellos: list[Hello] = []
        self._collateral: dict[str, Failure] = {}
        self._begun: set[int] = set()
        self._ended: set[int] = set()
        self._steps = 0
        self._first = self._last = time.monotonic()

    def events(self) -> Generator[Event, None, None]:
        """
        Return the events of all runs; the job starts with the first of them.

        Raises
        ------
        ClusterError
            If a worker, a node or the cluster is lost.
        Exception
            The error of ``build`` or of the training on a worker.
        """
        self._first = self._last = time.monotonic()
        return self._events()

    def stop(self) -> None:
        """Ask the workers to stop; without a step so far, end them."""
        mailbox = self._mailbox
        if mailbox is None or not self._steps:
            self.abandon()
            return
        self._asked = True
        if ray.is_initialized():  # any call would start a cluster
            with suppress(Exception):  # the events raise it, too
                mailbox.stop.remote()

    def abandon(self) -> None:
        """Let the workers be ended."""
        self._abandoned.set()

    def activity(self) -> Activity:
        """Return how far the job is."""
        phase: Phase = "running"
        if not self._steps:
            phase = "starting"
        elif self._asked or self._abandoned.is_set():
            phase = "stopping"
        return Activity(
            phase,
            since=self._last,
            detail=self._what,
            problem=self._lacking,
            where="ray",
            seconds=self._last - self._first,
        )

    def _events(self) -> Generator[Event, None, None]:
        there = connection.connect(self._abandoned)
        if self._abandoned.is_set():
            return
        self._lacking = self._scaling.lacking(self._workers, there)
        try:
            with connection.translate_ray_errors():
                self._mailbox = near_driver(Mailbox).remote()
                for work in self._works:
                    self._tasks.append(
                        self._start(work._replace(mailbox=self._mailbox))
                    )
                for message in self._messages():
                    yield from self._events_of(message)
                    if len(self._ended) == len(self.plans):
                        return
                if not self._abandoned.is_set():
                    raise self._lost()
        finally:
            mailbox, self._mailbox = self._mailbox, None
            if ray.is_initialized():  # any call would start a cluster
                # Another cluster knows none of these, and raises errors of any kind.
                with suppress(Exception):
                    self._end()
                with suppress(Exception):
                    connection.kill(mailbox)

    def _messages(self) -> Iterator[Any]:
        """Return the messages until no more come, or the job is abandoned."""
        take = self._mailbox.take.remote
        news = take(_SECONDS_TO_TAKE)
        over = last = False
        while not self._abandoned.is_set():
            connection.check_connected()
            ready, _ = connection.wait([news], timeout=_SECONDS_BETWEEN_LOOKS)
            if ready:
                yield from connection.get(news)
                if last:
                    return
                # Once more after the end: a message may have come before that, but
                # after what was just taken.
                last = over
                news = take(0 if last else _SECONDS_TO_TAKE)
            over = over or self._over()

    def _over(self) -> bool:
        """Whether no more messages are worth waiting for."""
        ready, running = connection.wait(
            self._tasks, num_returns=len(self._tasks), timeout=0
        )
        return not running or any(_error_of(task) is not None for task in ready)

    def _events_of(self, message: Hello | Failure | Event) -> Iterator[Event]:
        if isinstance(message, Failure):
            if not message.collateral:
                raise message.error()
            self._collateral[message.where] = message
        elif isinstance(message, Hello):
            self._hellos.append(message)
            if message.run not in self._begun:
                self._begun.add(message.run)
                yield Started(message.run, self.plans[message.run])
        else:
            if isinstance(message, Stepped):
                self._last = time.monotonic()
                if not self._steps:
                    self._first = self._last
                self._steps += 1
            elif isinstance(message, Ended):
                self._ended.add(message.run)
            yield message

    def _start(self, work: Work) -> Any:  # noqa: ANN401 (a reference of Ray)
        """Start the task of a run."""
        raise NotImplementedError

    def _lost(self) -> ClusterError:
        """Return the error of tasks that have ended without a message about it."""
        raise NotImplementedError

    def _end(self) -> None:
        """End the tasks that are left, and free all resources."""
        raise NotImplementedError


class RayTest(RayJob):
    """
    A range test that several workers run together, as ranks of one process group.

    Parameters
    ----------
    work:
        The training.
    plan:
        Its rates.
    scaling:
        The number of the workers, and the needs of each.
    record:
        The file of the record that this process writes, if any.
    header:
        The settings in the header of the record.
    """

    def __init__(
        self,
        work: Work,
        plan: Plan,
        scaling: Scaling,
        record: LocalStore | None,
        header: Mapping[str, object],
    ) -> None:
        count = scaling.num_workers
        super().__init__([work], [plan], scaling, count, f"{count} workers")
        self._record = record
        self._header = header

    def events(self) -> Generator[Event, None, None]:
        """Return the events of the test, each step after it is in the record."""
        events = super().events()
        return events if self._record is None else self._recorded(events, self._record)

    def _recorded(
        self, events: Generator[Event, None, None], record: LocalStore
    ) -> Generator[Event, None, None]:
        yield Started(0, self.plans[0])
        with closing(recorded(_steps_of(events), record, self._header)) as steps:
            while True:
                try:
                    step = next(steps)
                except StopIteration as end:
                    yield Ended(0, end.value)
                    return
                yield Stepped(0, step)

    def _start(self, work: Work) -> Any:  # noqa: ANN401 (a reference of Ray)
        # A process for this task alone: an interrupt ends it with all that it started.
        task = near_driver(fit, max_retries=0, max_calls=1)
        return task.remote(work, self._scaling)

    def _lost(self) -> ClusterError:
        error = _error_of(self._tasks[0])
        if error is not None and not isinstance(error, RayTaskError):
            raise error
        cause = None if error is None else error.cause
        here = {hello.rank: hello.where for hello in self._hellos}
        failures = getattr(cause, "worker_failures", {})
        dead = [
            f"{here.get(rank, f'worker {rank}')} was lost: {found}"
            for rank, failure in failures.items()
            if (found := getattr(failure, "health_check_failure", None)) is not None
        ]
        if not dead and self._collateral:
            # Ray may not know yet that a worker is gone: the one without a message.
            silent = [x for x in here.values() if x not in self._collateral]
            first = next(iter(self._collateral.values()))
            names = ", ".join(silent) or "a worker"
            dead = [f"{names} was lost: {first.where} has {first.words}"]
        lost = ClusterError("\n".join(dead) or str(cause or "the workers have ended"))
        lost.__cause__ = cause
        return lost

    def _end(self) -> None:
        for task in self._tasks:
            connection.cancel(task)
        reserved = [x.resources for x in self._hellos if x.resources is not None]
        if reserved:  # one placement group, for all workers
            ray.util.remove_placement_group(reserved[0])


class RayTrainings(RayJob):
    """
    Trainings that run at the same time, each on a worker of its own.

    Trainings for which the cluster has no room wait for the others.

    Parameters
    ----------
    works:
        The training of each run.
    plans:
        The rates of each run.
    scaling:
        The needs of each worker.
    """

    def __init__(
        self, works: Sequence[Work], plans: Sequence[Plan], scaling: Scaling
    ) -> None:
        count = len(works)
        named = [
            work._replace(name=f"the worker of training {number} of {count}")
            for number, work in enumerate(works, 1)
        ]
        super().__init__(named, plans, scaling, 1, f"{count} trainings")

    def stop(self) -> None:
        """End the workers: those of other trainings may not have started."""
        self.abandon()

    def _start(self, work: Work) -> Any:  # noqa: ANN401 (a reference of Ray)
        task = connection.remote(
            max_retries=0, scheduling_strategy="SPREAD", **self._scaling.task_options()
        )(train_alone)
        return task.remote(work)

    def _lost(self) -> ClusterError:
        connection.check_connected()
        for work, task in zip(self._works, self._tasks, strict=True):
            error = _error_of(task)
            if error is not None:
                lost = ClusterError(f"{work.name} was lost: {error}")
                lost.__cause__ = error
                return lost
        return ClusterError("the workers have ended")

    def _end(self) -> None:
        for run, task in enumerate(self._tasks):
            if run not in self._ended:
                connection.cancel(task)
        count = len(self._tasks)
        _, left = connection.wait(
            self._tasks, num_returns=count, timeout=_SECONDS_TO_END
        )
        for task in left:  # it takes no interrupt
            connection.cancel(task, force=True)


def _error_of(task: Any) -> RayError | None:  # noqa: ANN401 (a reference of Ray)
    """Return the error of a task; None if there is none so far."""
    if not connection.wait([task], timeout=0)[0]:
        return None
    try:
        connection.get(task)
    except RayError as error:
        return error
    return None


def _steps_of(
    events: Generator[Event, None, None],
) -> Generator[Step, None, StopReason]:
    """Return the steps of a test, and the reason of its end."""
    with closing(events):
        for event in events:
            if isinstance(event, Stepped):
                yield event.step
            elif isinstance(event, Ended):
                return event.reason
    return "stopped"
