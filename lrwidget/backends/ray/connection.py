"""The connection to a Ray cluster."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from lrwidget.backends.ray.errors import ClusterError
from lrwidget.worker import stop_all

if TYPE_CHECKING:
    from collections.abc import Iterator

# Before Ray's own end, which is registered where it is imported: a thread that this
# finds inside one of its calls crashes the process.
atexit.register(stop_all)

# Its types know no options that are made elsewhere.
remote: Any = ray.remote
_SECONDS_BETWEEN_LOOKS = 0.1
_SECONDS_BETWEEN_SIGHTS = 1.0
_SHUT_DOWN = "Ray was shut down in the midst of it"


class _Starting:
    """Starts Ray once, however many ask for that at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started: Future[None] | None = None

    def begun(self) -> Future[None]:
        """Return what tells when Ray is there, and begin to start it if need be."""
        with self._lock:
            started = self._started
            if started is None or (started.done() and not ray.is_initialized()):
                started = self._started = Future()
                threading.Thread(
                    target=_start, args=(started,), name="lrwidget-ray", daemon=True
                ).start()
            return started


_starting = _Starting()


def connect(left: threading.Event) -> dict[str, float]:
    """
    Connect to a cluster as ``ray.init()`` does, if this process is in none yet.

    Parameters
    ----------
    left:
        What is set where nobody waits for it any more.

    Returns
    -------
    :
        The resources of the cluster; none where it was left.
    """
    if not ray.is_initialized():
        started = _starting.begun()
        while not left.is_set() and not started.done():
            wait([started], _SECONDS_BETWEEN_LOOKS)
        if left.is_set():
            return {}
        started.result()
    resources: dict[str, float] = ray.cluster_resources()
    return resources


def _start(started: Future[None]) -> None:
    """
    Start Ray, and return when it is shut down.

    On Linux its processes end with the thread that has started them, and Ray ends this
    process a minute after that.
    """
    try:
        ray.init(
            log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False
        )
    except BaseException as error:  # noqa: BLE001 (raised where it is waited for)
        started.set_exception(error)
        return
    started.set_result(None)
    while ray.is_initialized():
        time.sleep(_SECONDS_BETWEEN_SIGHTS)


def check_connected() -> None:
    """Raise ClusterError if Ray was shut down; another call would start it anew."""
    if not ray.is_initialized():
        raise ClusterError(_SHUT_DOWN)


@contextmanager
def losses_told() -> Iterator[None]:
    """Raise ClusterError for whatever Ray raises where the cluster is gone."""
    node = ray.get_runtime_context().get_node_id()
    try:
        yield
    except (Exception, SystemExit) as error:
        # Somebody may have started another one since, whose first job has the same
        # number.
        if not ray.is_initialized() or ray.get_runtime_context().get_node_id() != node:
            raise ClusterError(_SHUT_DOWN) from error
        if isinstance(error, RayError):
            msg = f"the cluster was lost: {error}"
            raise ClusterError(msg) from error
        raise


def near_driver(kind: Any, **options: Any) -> Any:  # noqa: ANN401 (what Ray takes and gives)
    """
    Return a task or an actor on the node of this process that needs no processor.

    Parameters
    ----------
    kind:
        A function or class.
    **options:
        As ``ray.remote`` takes them.
    """
    node = ray.get_runtime_context().get_node_id()
    affinity = NodeAffinitySchedulingStrategy(node, soft=False)
    return remote(num_cpus=0, scheduling_strategy=affinity, **options)(kind)
