"""Prints what becomes of tests on a cluster one of whose nodes is removed."""

from __future__ import annotations

import json
import os
from functools import partial
from typing import Any

os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}

import ray
from ray.cluster_utils import Cluster

from lrwidget import LRWidget
from tests.backends.ray import builds
from tests.backends.ray.conftest import SECONDS, comes

# A worker of the test has "lab" to itself, and one of the comparison the processor that
# is left: there is one of each on both nodes.
_NODE: dict[str, Any] = {
    "num_cpus": 2,
    "resources": {"lab": 1},
    "object_store_memory": 80 * 2**20,
}


def _runs(widget: LRWidget) -> bool:
    assert widget.running, widget.status
    return bool(widget.curves) and all(len(curve) for curve in widget.curves.values())


def _end_of(widget: LRWidget) -> dict[str, Any]:
    """Return how what a widget runs ends."""
    ended: dict[str, Any] = {}
    try:
        widget.wait(SECONDS)
    except RuntimeError as error:
        ended |= {"error": type(error).__name__, "words": str(error)}
    ended["status"] = widget.status
    ended["steps"] = len(widget.curve)
    return ended


def main() -> None:
    """Remove a node in the midst of a test and of a comparison."""
    cluster = Cluster(initialize_head=True, head_node_args=_NODE)
    ray.init(address=cluster.address, log_to_driver=False)
    node = cluster.add_node(**_NODE)
    cluster.wait_for_nodes()
    make = partial(LRWidget.on_ray, builds.build, num_it=1_000_000, end_lr=1.0)
    test = make(num_workers=2, resources_per_worker={"lab": 1})
    comparison = make()
    test.run()
    assert comes(lambda: _runs(test))
    comparison.compare({"one": {}, "other": {}})
    assert comes(lambda: _runs(comparison) and len(comparison.curves) == 2)
    cluster.remove_node(node)
    found = [_end_of(test), _end_of(comparison)]
    free = comes(lambda: ray.available_resources().get("CPU") == 2)
    print(json.dumps([{**ended, "free": free} for ended in found]))  # noqa: T201 (for the test)
    for widget in (test, comparison):
        widget.close()
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()
