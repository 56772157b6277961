from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import ray

from lrwidget import LRWidget
from tests.backends.ray import builds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CPUS = 2
SECONDS = 240  # a worker of Ray's is a process that imports much
HALVES = {"CPU": 0.5}


@pytest.fixture(scope="package")
def local_ray() -> Iterator[None]:
    """Have a Ray of two processors."""
    os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    ray.init(
        num_cpus=CPUS,
        include_dashboard=False,
        object_store_memory=80 * 2**20,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    yield
    ray.shutdown()


@pytest.fixture
def on_ray(local_ray: None) -> Iterator[Callable[..., LRWidget]]:  # noqa: ARG001 (it is there)
    """Return what makes a widget, after whose test the cluster is free again."""
    made: list[LRWidget] = []

    def make(build: Callable[[], Any] = builds.build, **settings: Any) -> LRWidget:
        every = {"resources_per_worker": HALVES, "num_it": 40, "end_lr": 1.0}
        made.append(LRWidget.on_ray(build, **{**every, **settings}))
        return made[-1]

    yield make
    for widget in made:
        widget.close()
    assert comes(lambda: ray.available_resources().get("CPU") == CPUS)


def comes(happens: Callable[[], bool]) -> bool:
    """Wait until something is so, and return whether it has come to that."""
    until, pause = time.monotonic() + SECONDS, threading.Event()
    while not happens():
        if time.monotonic() > until:
            return False
        pause.wait(0.05)
    return True
