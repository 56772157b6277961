"""The connection to a Ray cluster."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

# Its types know no options that are made elsewhere.
remote: Any = ray.remote
_SECONDS_BETWEEN_LOOKS = 1.0


def connect() -> dict[str, float]:
    """
    Connect to the cluster of ``RAY_ADDRESS``, or start one here, if none is yet.

    Returns
    -------
    :
        The resources of the cluster.
    """
    if not ray.is_initialized():
        started: Future[None] = Future()
        thread = threading.Thread(
            target=_start, args=(started,), name="lrwidget-ray", daemon=True
        )
        thread.start()
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
        time.sleep(_SECONDS_BETWEEN_LOOKS)


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
