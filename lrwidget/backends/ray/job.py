"""A range test that runs on the workers of a Ray cluster."""

from __future__ import annotations

from contextlib import suppress
from secrets import randbelow
from typing import TYPE_CHECKING, Any

import ray

from lrwidget.backends.base import DEFAULTS
from lrwidget.backends.ray import ray_calls
from lrwidget.backends.ray.building import pickled
from lrwidget.backends.ray.checking import checked
from lrwidget.backends.ray.connection import check_connected, losses_told, near_driver
from lrwidget.backends.ray.fitting import fit
from lrwidget.backends.ray.mailbox import Mailbox
from lrwidget.backends.ray.messages import Work
from lrwidget.backends.ray.progress import Progress
from lrwidget.backends.ray.watched import Watched
from lrwidget.backends.ray.workers import Workers
from lrwidget.curve.lr_curve import Step
from lrwidget.curve.records.writer import journaled

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from typing import NoReturn

    from lrwidget.backends.ray.scaling import Scaling
    from lrwidget.curve.lr_curve import StopReason

_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_TO_TAKE = 1.0
_MOST_SEED = 2**31


class ClusterTest(Watched):
    """
    A range test that all workers of a Ray cluster run together, watched from here.

    Parameters
    ----------
    build:
        Makes the training on each worker, as `LRWidget.on_ray` takes it.
    settings:
        Arguments of `RangeTest` beside that. What is recorded is so by this process.
    scaling:
        How many workers there are, and what each needs.

    Raises
    ------
    TypeError, ValueError
        As `RangeTest` raises them for the settings.
    """

    def __init__(
        self,
        build: Callable[[], Any],
        settings: Mapping[str, Any],
        scaling: Scaling,
    ) -> None:
        known = checked(settings)
        self.start_lr, self.end_lr = known.start_lr, known.end_lr
        self.num_it = known.num_it
        what = f"{scaling.num_workers} workers"
        super().__init__(Progress(what, self.num_it), scaling)
        self._place = known.record
        self._header = {**DEFAULTS, **settings, "build": build}
        self._header |= {"num_workers": scaling.num_workers, **scaling.resources}
        self._build = build
        self._sent = {name: settings[name] for name in settings if name != "record"}
        self._mailbox: Any = None

    def check_free(self) -> NoReturn:
        """Raise RuntimeError, since model and optimizer are on the workers."""
        msg = (
            "build makes the optimizer on the workers of the cluster, so there is none "
            "here to write a rate to; pass widget.value to your training"
        )
        raise RuntimeError(msg)

    def stop(self) -> None:
        """
        Ask the workers to stop after their present step, and return at once.

        Where there is no step yet, and the second time, they are ended.
        """
        mailbox = self._mailbox
        if self._progress.asked or mailbox is None or not self._progress.given:
            self.leave()
            return
        self._progress.asked = True
        if ray.is_initialized():  # any call would start a cluster
            with suppress(Exception):  # which who waits for the steps hears of
                mailbox.stop.remote()

    def __iter__(self) -> Generator[Step, None, StopReason]:
        """
        Return the steps; the test starts with the first, and is ended with the last.

        Raises
        ------
        ClusterError
            If a worker, a node or the cluster is lost.
        Exception
            What ``build`` or the training raises on a worker.
        """
        self._begin()
        build, settings = pickled("build", self._build), pickled("settings", self._sent)
        steps = self._steps(build, settings)
        if self._place is None:
            return steps
        return journaled(steps, self._place, self._header)

    def _steps(
        self, build: bytes, settings: bytes
    ) -> Generator[Step, None, StopReason]:
        self._connect(self._scaling.num_workers)
        if self._left.is_set():
            return "stopped"
        mailbox = near_driver(Mailbox).remote()
        work = Work(build, settings, randbelow(_MOST_SEED), mailbox)
        # A task with nothing after it: an interrupt ends it, and all that it has begun.
        task = near_driver(fit, max_retries=0, max_calls=1)
        fitting = task.remote(work, self._scaling)
        workers = Workers()
        self._mailbox = mailbox
        try:
            with losses_told():
                for item in self._items(mailbox, fitting):
                    if isinstance(item, Step):
                        self._progress.count()
                        yield item
                    elif isinstance(item, str):
                        reason: StopReason = item  # type: ignore[assignment]  # a worker's
                        return reason
                    else:
                        workers.hear(item)
                if self._left.is_set():
                    return "stopped"
                raise workers.lost(fitting)
        finally:
            self._mailbox = None
            workers.end(fitting, mailbox)

    def _items(self, mailbox: Any, fitting: Any) -> Iterator[Any]:  # noqa: ANN401 (Ray's)
        """Yield what the workers tell, until they have ended or are left."""
        news = mailbox.take.remote(_SECONDS_TO_TAKE)
        ended = False
        while not self._left.is_set():
            check_connected()
            ready, _ = ray_calls.wait([news], timeout=_SECONDS_BETWEEN_LOOKS)
            if ready:
                yield from ray_calls.get(news)
                if ended:
                    return
                news = mailbox.take.remote(_SECONDS_TO_TAKE)
            # What was told before the end is taken, too.
            ended = bool(ray_calls.wait([fitting], timeout=0)[0])
