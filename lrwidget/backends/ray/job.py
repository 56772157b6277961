"""The jobs of workers on a Ray cluster, followed from this process."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from torch import distributed as dist

from lrwidget.backends.base import Activity
from lrwidget.backends.ray import connection
from lrwidget.backends.ray.errors import ClusterError, Failure
from lrwidget.backends.ray.worker import Hello, Rank, train
from lrwidget.curve.history import Ended, Started, Stepped

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from typing import TypeAlias

    from lrwidget.backends.base import Phase
    from lrwidget.backends.ray.backend import Scaling
    from lrwidget.backends.ray.worker import Work
    from lrwidget.curve.history import Event, Plan
    from lrwidget.curve.lr_curve import Step, StopReason

    Steps: TypeAlias = Generator[Step, None, StopReason]

_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_TO_START = 600.0  # nodes may have to be started
_SECONDS_AFTER_A_LOST_WORKER = 2.0
_SECONDS_TO_END = 1.0


class RayJob:
    """
    Trainings on workers: one training on each worker, or one test on all workers.

    The workers of one test are the ranks of a process group, and start together.
    Trainings for which the cluster has no room wait for the others.
    """

    goes_on = False
    notices = ()

    def __init__(
        self,
        works: Sequence[Work],
        scaling: Scaling,
        *,
        together: bool = False,
        record: Callable[[Steps, Plan], Steps] | None = None,
    ) -> None:
        self.plans = [work.plan for work in works[: 1 if together else None]]
        self._works = works
        self._scaling = scaling
        self._together = together
        self._record = record
        self._lacking = ""
        self._abandoned = threading.Event()
        self._tasks: dict[Any, Work] = {}
        self._placement: Any = None
        self._store: Any = None
        self._places: dict[Work, str] = {}
        self._lost_workers: dict[Work, RayError] = {}
        self._collateral: list[Failure] = []
        self._ended: set[int] = set()
        self._steps = 0
        self._first = self._last = time.monotonic()

    def events(self) -> Generator[Event, None, None]:
        """
        Return the events of all runs; the job starts with the first of them.

        The events end with a `ClusterError` if a worker, a node or the cluster is
        lost, or with the error of ``build`` or of the training on a worker.
        """
        events = self._events()
        return events if self._record is None else _recorded(events, self._record)

    def stop(self) -> None:
        """End the processes of the workers; what they have sent so far is kept."""
        self._abandoned.set()

    abandon = stop

    def activity(self) -> Activity:
        """Return how far the job is."""
        phase: Phase = "running"
        if not self._steps:
            phase = "starting"
        elif self._abandoned.is_set():
            phase = "stopping"
        what = "workers" if self._together else "trainings"
        return Activity(
            phase,
            since=self._last,
            detail=f"{len(self._works)} {what}",
            problem=self._lacking,
            where="ray",
            seconds=self._last - self._first,
        )

    def _events(self) -> Generator[Event, None, None]:
        there = connection.connect(self._abandoned)
        if self._abandoned.is_set():
            return
        count = len(self._works) if self._together else 1
        self._lacking = self._scaling.lacking(count, there)
        try:
            with connection.translate_ray_errors():
                self._start()
                for work, message in self._messages():
                    if isinstance(message, Hello):
                        self._places[work] = message.where
                    elif not isinstance(message, Failure):
                        self._note(message)
                        yield message
                    elif message.collateral:
                        self._collateral.append(message)
                    else:
                        raise message.error()
                    if len(self._ended) == len(self.plans):
                        return
                if not self._abandoned.is_set():
                    raise self._lost()
        finally:
            if ray.is_initialized():  # any call would start a cluster
                # Another cluster knows none of these, and raises errors of any kind.
                with suppress(Exception):
                    self._end()
            self._store = None  # closes its port

    def _start(self) -> None:
        """Start the tasks of all workers."""
        options = self._scaling.task_options()
        task = connection.remote(
            max_retries=0, scheduling_strategy="SPREAD", **options
        )(train)
        if not self._together:
            self._tasks = {task.remote(work): work for work in self._works}
            return
        needs = {name: x for name, x in self._scaling.resources.items() if x}
        size = len(self._works)
        self._placement = placement_group([needs] * size)
        host = ray.util.get_node_ip_address()
        # The store of the process group outlives every rank.
        self._store = dist.TCPStore(host, 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]  # torch documents it there
        for number, work in enumerate(self._works):
            place = PlacementGroupSchedulingStrategy(self._placement, number)
            rank = Rank(number, size, host, self._store.port)
            started = task.options(scheduling_strategy=place).remote(
                work._replace(rank=rank)
            )
            self._tasks[started] = work

    def _messages(self) -> Iterator[tuple[Work, Any]]:
        """Return the messages of each worker until no more come."""
        running = dict(self._tasks)
        until = time.monotonic() + _SECONDS_TO_START
        while running and not self._abandoned.is_set():
            connection.check_connected()
            connection.wait([*running], timeout=_SECONDS_BETWEEN_LOOKS)
            ready, _ = connection.wait([*running], num_returns=len(running), timeout=0)
            for task in ready:
                messages = _next_of(task)
                if isinstance(messages, RayError):
                    self._lost_workers[self._tasks[task]] = messages
                    # The other ranks may have more to say.
                    until = time.monotonic() + _SECONDS_AFTER_A_LOST_WORKER
                elif messages is not None:
                    for message in messages:
                        yield self._tasks[task], message
                    continue
                del running[task]
            if time.monotonic() > until:
                if self._lost_workers:
                    return
                self._check_started()

    def _check_started(self) -> None:
        """Raise ClusterError if a worker that the job cannot do without is missing."""
        late = [
            f"{work.name} has not started within {_SECONDS_TO_START:g} s"
            for work in self._works
            if work not in self._places
        ]
        if not self._places:
            late = [f"no worker has started within {_SECONDS_TO_START:g} s"]
        # Trainings that are alone may wait for room.
        if late and (self._together or not self._places):
            raise ClusterError("\n".join(late))

    def _note(self, event: Event) -> None:
        if isinstance(event, Stepped):
            self._last = time.monotonic()
            if not self._steps:
                self._first = self._last
            self._steps += 1
        elif isinstance(event, Ended):
            self._ended.add(event.run)

    def _lost(self) -> ClusterError:
        """Return the error of workers that have ended without one of their own."""
        connection.check_connected()
        lost = [
            f"{self._places.get(work, work.name)} was lost: {error}"
            for work, error in self._lost_workers.items()
        ] or [
            f"a worker was lost: {failure.where} has {failure.words}"
            for failure in self._collateral
        ]
        if not lost:
            lost = ["the workers have ended without a result"]
        error = ClusterError("\n".join(lost))
        error.__cause__ = next(iter(self._lost_workers.values()), None)
        return error

    def _end(self) -> None:
        """End the processes of all tasks that are left, and free all resources."""
        with ExitStack() as ends:  # makes each of its calls, even if another one raises
            if self._placement is not None:
                ends.callback(remove_placement_group, self._placement)
            tasks = [task.completed() for task in self._tasks]
            if not self._abandoned.is_set():
                # A process that ends its task by itself is used again.
                with suppress(Exception):
                    _, tasks = connection.wait(
                        tasks, num_returns=len(tasks), timeout=_SECONDS_TO_END
                    )
            for task in tasks:
                ends.callback(connection.cancel, task, force=True)


def _next_of(task: Any) -> list[Any] | RayError | None:  # noqa: ANN401 (of Ray)
    """Return the next messages of a task, its error if lost, or None at its end."""
    try:
        messages: list[Any] = connection.get(next(task))
    except StopIteration:
        return None
    except RayError as error:
        return error
    return messages


def _recorded(
    events: Generator[Event, None, None], record: Callable[[Steps, Plan], Steps]
) -> Generator[Event, None, None]:
    """Yield the events of a test, each step after it is in the record."""
    with closing(events):
        started = next(events, None)
        if not isinstance(started, Started):  # the job was stopped before
            return
        yield started
        steps = record(_steps_of(events), started.plan)
        with closing(steps):
            while True:
                try:
                    step = next(steps)
                except StopIteration as end:
                    yield Ended(0, end.value)
                    return
                yield Stepped(0, step)


def _steps_of(events: Generator[Event, None, None]) -> Steps:
    """Return the steps of a test, and the reason of its end."""
    with closing(events):
        for event in events:
            if isinstance(event, Stepped):
                yield event.step
            elif isinstance(event, Ended):
                return event.reason
    return "stopped"
