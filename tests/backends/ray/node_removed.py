"""Prints what becomes of tests on a cluster one of whose nodes is removed."""

from __future__ import annotations

import json
import os
from functools import partial
from typing import TYPE_CHECKING, Any

os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}

import ray
from ray.cluster_utils import Cluster

from lrwidget import LRWidget
from tests.backends.ray import builds
from tests.backends.ray.conftest import SECONDS, comes

if TYPE_CHECKING:
    from lrwidget.config import Changes

_STORE = 80 * 2**20


def _removed_while(widget: LRWidget, cluster: Any, node: Any) -> dict[str, Any]:
    """Remove a node once each part of what runs has a step, and return how it ends."""
    while not all(len(curve) for curve in widget.curves.values()):
        assert widget.running, widget.status
    cluster.remove_node(node)
    ended: dict[str, Any] = {}
    try:
        widget.wait(SECONDS)
    except RuntimeError as error:
        ended |= {"error": type(error).__name__, "words": str(error)}
    ended["status"] = widget.status
    ended["steps"] = len(widget.curve)
    return ended


def main() -> None:
    """Remove a node in the midst of a test, and one in that of a comparison."""
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "object_store_memory": _STORE},
    )
    ray.init(address=cluster.address, log_to_driver=False)
    widget = LRWidget.on_ray(
        partial(builds.build), num_workers=2, num_it=100_000, end_lr=1.0
    )
    found = []
    two: dict[str, Changes] = {"one": {}, "other": {}}
    for runs in (None, two):
        # A worker of one processor on each node.
        node = cluster.add_node(num_cpus=1, object_store_memory=_STORE)
        cluster.wait_for_nodes()
        if runs is None:
            widget.run()
        else:
            widget.compare(runs)
        ended = _removed_while(widget, cluster, node)
        ended["free"] = comes(lambda: ray.available_resources().get("CPU") == 1)
        found.append(ended)
    print(json.dumps(found))  # noqa: T201 (for the test)
    widget.close()
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()
