"""The connection to a Ray cluster."""

from __future__ import annotations

import logging
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

# Its types know no options that are made elsewhere.
remote: Any = ray.remote


def connect() -> dict[str, float]:
    """
    Connect to the cluster of ``RAY_ADDRESS``, or start one here, if none is yet.

    Returns
    -------
    :
        The resources of the cluster.
    """
    if not ray.is_initialized():
        ray.init(
            log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False
        )
    resources: dict[str, float] = ray.cluster_resources()
    return resources


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
