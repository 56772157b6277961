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
wait: Any = _without_start(ray.wait)

_lock = threading.Lock()
_starts: list[futures.Future[None]] = []  # the latest one


def connect(abandoned: threading.Event) -> dict[str, float]:
    """
    Connect to a cluster as ``ray.init()`` does, unless this process is connected.

    Return the resources of the cluster; none if the wait was abandoned.
    """
    if not ray.is_initialized():
        started = _started()
        while not abandoned.is_set() and not started.done():
            futures.wait([started], _SECONDS_BETWEEN_LOOKS)
        if abandoned.is_set():
            return {}
        started.result()
    resources: dict[str, float] = ray.cluster_resources()
    return resources


def _started() -> futures.Future[None]:
    """Return a future of the start of Ray: one, even if several threads ask for it."""
    with _lock:
        if not _starts or (_starts[0].done() and not ray.is_initialized()):
            _starts[:] = [futures.Future()]
            threading.Thread(
                target=_start, args=_starts, name="lrwidget-ray", daemon=True
            ).start()
        return _starts[0]


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
