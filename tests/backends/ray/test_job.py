"""The jobs of workers that a test plays, without a cluster."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
import ray

from lrwidget.backends.ray import connection
from lrwidget.backends.ray import job as job_module
from lrwidget.backends.ray.backend import usable_scaling
from lrwidget.backends.ray.errors import ClusterError
from lrwidget.backends.ray.job import RayJob
from lrwidget.backends.ray.worker import Hello, Work
from lrwidget.curve.history import Plan

if TYPE_CHECKING:
    from collections.abc import Callable


class _Task:
    """A task that sends some messages and then ends, or is silent for ever."""

    def __init__(self, *messages: Any, silent: bool = False) -> None:
        self.messages = iter(messages)
        self.silent = silent

    def __next__(self) -> list[Any]:
        return [next(self.messages)]

    def completed(self) -> _Task:
        return self


class _Cluster:
    """What is asked of a cluster, each call of which may fail."""

    def __init__(self, *fails: str) -> None:
        self.fails = fails
        self.cancelled: list[_Task] = []
        self.removed: list[object] = []

    def wait(self, tasks: list[_Task], **_settings: Any) -> tuple[list[_Task], Any]:
        if "wait" in self.fails:
            raise OSError
        ready = [task for task in tasks if not task.silent]
        return ready, [task for task in tasks if task.silent]

    def cancel(self, task: _Task, *, force: bool) -> None:
        assert force
        self.cancelled.append(task)
        if "cancel" in self.fails:
            raise OSError

    def remove(self, group: object) -> None:
        self.removed.append(group)


class _Job(RayJob):
    """A job whose tasks are the test's own."""

    own: tuple[_Task, ...] = ()

    def _start(self) -> None:
        self._tasks = dict(zip(self.own, self._works, strict=True))
        self._placement = "group"
        self._store = "store"


@pytest.fixture
def job_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., _Job]:
    """Return a function that makes one test of several tasks."""

    def make(cluster: _Cluster, *tasks: _Task) -> _Job:
        monkeypatch.setattr(connection, "connect", lambda _abandoned: {"CPU": 8.0})
        monkeypatch.setattr(connection, "translate_ray_errors", nullcontext)
        monkeypatch.setattr(connection, "check_connected", lambda: None)
        monkeypatch.setattr(connection, "get", lambda messages: messages)
        monkeypatch.setattr(connection, "wait", cluster.wait)
        monkeypatch.setattr(connection, "cancel", cluster.cancel)
        monkeypatch.setattr(job_module, "remove_placement_group", cluster.remove)
        monkeypatch.setattr(ray, "is_initialized", lambda: True)
        count = len(tasks)
        scaling = usable_scaling(count, use_gpu=False, resources_per_worker=None)
        work = Work(0, "", Plan(0.1, 1.0, 5), b"", b"", 0, use_gpu=False)
        works = [work._replace(name=f"worker {rank}") for rank in range(count)]
        job = _Job(works, scaling, together=True)
        job.own = tasks
        return job

    return make


@pytest.mark.parametrize("fails", [(), ("cancel",), ("wait",), ("wait", "cancel")])
def test_whatever_fails_at_its_end_all_resources_are_freed(
    job_of: Callable[..., _Job],
    fails: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(job_module, "_SECONDS_TO_START", 0.0)
    cluster = _Cluster(*fails)
    tasks = [_Task(silent=True), _Task(silent=True)]
    job = job_of(cluster, *tasks)
    with pytest.raises(OSError if "wait" in fails else ClusterError):
        list(job.events())
    assert set(cluster.cancelled) == set(tasks)
    assert cluster.removed == ["group"]


def test_the_store_ends_with_the_job(
    job_of: Callable[..., _Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "_SECONDS_TO_START", 0.0)
    job = job_of(_Cluster(), _Task(silent=True))
    with pytest.raises(ClusterError):
        list(job.events())
    assert job._store is None


def test_a_worker_that_never_starts_is_named(
    job_of: Callable[..., _Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "_SECONDS_TO_START", 0.0)
    # The first worker stays: its end would be the end of the wait, too.
    first = _Task(*[Hello("worker 0 (here)")] * 1000)
    job = job_of(_Cluster(), first, _Task(silent=True))
    with pytest.raises(ClusterError, match=r"^worker 1 has not started within 0 s$"):
        list(job.events())


def test_workers_that_end_without_a_result_have_started(
    job_of: Callable[..., _Job],
) -> None:
    job = job_of(_Cluster(), *[_Task(Hello(f"worker {rank}")) for rank in range(2)])
    with pytest.raises(ClusterError, match="the workers have ended without a result"):
        list(job.events())
    job = job_of(_Cluster(), _Task(), _Task())
    with pytest.raises(ClusterError, match="the workers have ended without a result"):
        list(job.events())
