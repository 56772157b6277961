"""The connection to a Ray cluster."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from concurrent import futures
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from lrwidget.backends.ray.errors import ClusterError
from lrwidget.runner import abandon_running

if TYPE_CHECKING:
    from collections.abc import Iterator

# Ray registers its own end when it is imported; what is registered later comes first.
# A thread inside a call of Ray at that moment crashes the process.
atexit.register(abandon_running)

_SECONDS_BETWEEN_LOOKS = 0.1
_SECONDS_BETWEEN_SIGHTS = 1.0
_SHUT_DOWN = "Ray was shut down in the midst of it"


def _without_start(call: Any) -> Any:  # noqa: ANN401 (any function)
    """
    Return a function of Ray that raises where Ray is not connected.

    The function itself would start a cluster, even if another thread has shut Ray
    down a moment ago.
    """
    return getattr(call, "__wrapped__", call)


# The types of Ray do not know options that are made elsewhere.
remote: Any = ray.remote
cancel: Any = _without_start(ray.cancel)
get: Any = _without_start(ray.get)
kill: Any = _without_start(ray.kill)
wait: Any = _without_start(ray.wait)


class _Starting:
    """The start of Ray: one, even if several threads ask for it at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started: futures.Future[None] | None = None

    def begun(self) -> futures.Future[None]:
        """Begin to start Ray if need be, and return a future that ends with it."""
        with self._lock:
            started = self._started
            if started is None or (started.done() and not ray.is_initialized()):
                started = self._started = futures.Future()
                threading.Thread(
                    target=_start, args=(started,), name="lrwidget-ray", daemon=True
                ).start()
            return started


_starting = _Starting()


def connect(abandoned: threading.Event) -> dict[str, float]:
    """
    Connect to a cluster as ``ray.init()`` does, unless this process is connected.

    Parameters
    ----------
    abandoned:
        An event that ends the wait for the connection.

    Returns
    -------
    :
        The resources of the cluster; none if the wait was ended.
    """
    if not ray.is_initialized():
        started = _starting.begun()
        while not abandoned.is_set() and not started.done():
            futures.wait([started], _SECONDS_BETWEEN_LOOKS)
        if abandoned.is_set():
            return {}
        started.result()
    resources: dict[str, float] = ray.cluster_resources()
    return resources


def _start(started: futures.Future[None]) -> None:
    """
    Start Ray, and return when it is shut down.

    On Linux the processes of Ray end with the thread that has started them, and a
    minute later Ray ends this process.
    """
    try:
        ray.init(
            log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False
        )
    except BaseException as error:  # noqa: BLE001 (raised by connect)
        started.set_exception(error)
        return
    started.set_result(None)
    while ray.is_initialized():
        time.sleep(_SECONDS_BETWEEN_SIGHTS)


def check_connected() -> None:
    """Raise ClusterError if Ray was shut down: another call would start it again."""
    if not ray.is_initialized():
        raise ClusterError(_SHUT_DOWN)


@contextmanager
def translate_ray_errors() -> Iterator[None]:
    """Raise ClusterError in place of each error that a lost cluster causes."""
    node = ray.get_runtime_context().get_node_id()
    try:
        yield
    except (Exception, SystemExit) as error:
        # Another cluster may have been started since. The number of its first job is
        # the same, but not the node.
        if not ray.is_initialized() or ray.get_runtime_context().get_node_id() != node:
            raise ClusterError(_SHUT_DOWN) from error
        if isinstance(error, RayError):
            msg = f"the cluster was lost: {error}"
            raise ClusterError(msg) from error
        raise


def near_driver(kind: Any, **options: Any) -> Any:  # noqa: ANN401 (types of Ray)
    """
    Return a task or an actor on the node of this process that needs no processor.

    Parameters
    ----------
    kind:
        A function or class.
    **options:
        Options of ``ray.remote``.
    """
    node = ray.get_runtime_context().get_node_id()
    affinity = NodeAffinitySchedulingStrategy(node, soft=False)
    return remote(num_cpus=0, scheduling_strategy=affinity, **options)(kind)
