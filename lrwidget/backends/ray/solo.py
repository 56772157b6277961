"""What a worker does that trains alone, one of several."""

from __future__ import annotations

import math
import time
from contextlib import closing
from typing import TYPE_CHECKING

from ray import cloudpickle

from lrwidget.backends.ray.building import built
from lrwidget.backends.ray.errors import failure_of
from lrwidget.backends.ray.messages import worker_in_words
from lrwidget.curve.lr_curve import Recording
from lrwidget.engine.distributed import context as ranks
from lrwidget.engine.range_test import RangeTest
from lrwidget.engine.thread_settings import ThreadSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from typing import TypeAlias

    from lrwidget.backends.ray.errors import Failure
    from lrwidget.curve.lr_curve import Step, StopReason

    # Several steps, or how a training has ended.
    News: TypeAlias = list[Step] | StopReason | Failure

_SECONDS_BETWEEN_NEWS = 0.05


def _test(build: bytes, settings: bytes, seed: int) -> RangeTest:
    model, optimizer, dataloader, loss_fn, more = built(cloudpickle.loads(build), seed)
    every = {**cloudpickle.loads(settings), **more}
    return RangeTest(model, optimizer, dataloader, loss_fn, **every)


def tested(build: bytes, settings: bytes, seed: int) -> Iterator[News]:
    """Run a test on a worker."""
    yield from _told(lambda: iter(_test(build, settings, seed)))


def raced(
    build: bytes, settings: bytes, seed: int, lr: float, steps: int
) -> Iterator[News]:
    """Train at one rate on a worker."""

    def begin() -> Generator[Step, None, StopReason]:
        trial = _test(build, settings, seed).trial(lr, steps)
        return trial.start(ThreadSettings(), Recording(steps), ranks.begun())

    yield from _told(begin)


def _told(begin: Callable[[], Generator[Step, None, StopReason]]) -> Iterator[News]:
    """Begin a training and yield what comes of it, several steps at once."""
    try:
        yield from _in_groups(begin())
    except (Exception, SystemExit) as error:  # noqa: BLE001 (raised by who watches)
        yield failure_of(worker_in_words("a worker"), error)


def _in_groups(steps: Generator[Step, None, StopReason]) -> Iterator[News]:
    some: list[Step] = []
    sent = -math.inf  # the first step at once
    with closing(steps):
        while True:
            try:
                some.append(next(steps))
            except StopIteration as end:
                yield some
                yield end.value
                return
            now = time.monotonic()
            if now - sent >= _SECONDS_BETWEEN_NEWS:
                yield some
                some, sent = [], now
