"""Trainings that are spread over a Ray cluster, a task each."""

from __future__ import annotations

from contextlib import suppress
from secrets import randbelow
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError

from lrwidget.backends.ray import ray_calls, solo
from lrwidget.backends.ray.building import pickled
from lrwidget.backends.ray.checking import checked
from lrwidget.backends.ray.connection import check_connected, losses_told, remote
from lrwidget.backends.ray.errors import ClusterError, Failure
from lrwidget.backends.ray.progress import Progress
from lrwidget.backends.ray.watched import Watched
from lrwidget.curve.history import Part
from lrwidget.curve.race import checked_rates
from lrwidget.engine import arguments

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Generator,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )

    from lrwidget.backends.ray.scaling import Scaling
    from lrwidget.backends.ray.solo import News
    from lrwidget.curve.lr_curve import StopReason

_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_TO_END = 1.0
_MOST_SEED = 2**31


class _Together(Watched):
    """
    Trainings that run at once, each in a task of its own.

    Parameters
    ----------
    function:
        What each task does: a generator.
    calls:
        The arguments of each.
    scaling:
        What each worker needs.
    total:
        How many steps there are to be.
    """

    def __init__(
        self,
        function: Callable[..., Iterable[News]],
        calls: Sequence[tuple[Any, ...]],
        scaling: Scaling,
        total: int,
    ) -> None:
        super().__init__(Progress(f"{len(calls)} trainings", total), scaling)
        self._function = function
        self._calls = calls

    def __iter__(self) -> Generator[Part, None, StopReason]:
        """
        Return the parts of all, which start with the first of them.

        Raises
        ------
        ClusterError
            If a worker, a node or the cluster is lost.
        Exception
            What ``build`` or a training raises on a worker.
        """
        self._begin()
        return self._parts()

    def _parts(self) -> Generator[Part, None, StopReason]:
        self._connect(1)  # those that have no room wait for the others
        if self._left.is_set():
            return "stopped"
        task = remote(
            num_returns="streaming",
            max_retries=0,
            scheduling_strategy="SPREAD",
            **self._scaling.task_options(),
        )(self._function)
        streams: list[Any] = [task.remote(*call) for call in self._calls]
        numbers = {stream: number for number, stream in enumerate(streams)}
        try:
            with losses_told():
                while streams and not self._left.is_set():
                    check_connected()
                    ready, _ = ray_calls.wait(streams, timeout=_SECONDS_BETWEEN_LOOKS)
                    for stream in ready:
                        news = self._news(stream, numbers[stream])
                        if news is None:
                            streams.remove(stream)
                        else:
                            yield from self._parts_of(numbers[stream], news)
        finally:
            _end(streams)
        return "stopped" if self._left.is_set() else "completed"

    def _news(self, stream: Any, number: int) -> News | None:  # noqa: ANN401 (Ray's)
        """Return what is new of a training; None after its end."""
        try:
            news: News = ray_calls.get(next(stream))
        except StopIteration:
            return None
        except RayError as error:
            check_connected()
            which = f"{number + 1} of {len(self._calls)}"
            msg = f"the worker of training {which} was lost: {error}"
            raise ClusterError(msg) from error
        return news

    def _parts_of(self, number: int, news: News) -> Iterator[Part]:
        if isinstance(news, Failure):
            raise news.error()
        if isinstance(news, str):
            yield Part(number, news)
            return
        for step in news:
            self._progress.count()
            yield Part(number, step)


def _end(streams: Sequence[Any]) -> None:
    """End trainings, those too that do not hear of it."""
    if not streams or not ray.is_initialized():  # any call would start a cluster
        return
    with suppress(Exception):  # of another Ray, too, that knows none of them
        for stream in streams:
            ray_calls.cancel(stream)
        ends: list[Any] = [stream.completed() for stream in streams]
        _, left = ray_calls.wait(ends, num_returns=len(ends), timeout=_SECONDS_TO_END)
        for end, stream in zip(ends, streams, strict=True):
            if end in left:
                ray_calls.cancel(stream, force=True)


class ClusterRace(_Together):
    """
    A race whose trainings run at once, each on a worker of its own.

    Parameters
    ----------
    build, settings, scaling:
        As `ClusterTest` takes them.
    rates, steps:
        As `Race` takes them.

    Attributes
    ----------
    rates, steps:
        They, checked.
    """

    def __init__(
        self,
        build: Callable[[], Any],
        settings: Mapping[str, Any],
        scaling: Scaling,
        rates: Iterable[float],
        steps: int,
    ) -> None:
        checked(settings)
        self.rates = checked_rates(rates)
        self.steps = arguments.usable_count("steps", steps)
        # The same weights and batches for all.
        sent = *_pickled(build, settings, scaling), randbelow(_MOST_SEED)
        calls = [(*sent, rate, self.steps) for rate in self.rates]
        super().__init__(solo.raced, calls, scaling, len(calls) * self.steps)


class ClusterComparison(_Together):
    """
    Range tests that run at once, each on a worker of its own.

    Parameters
    ----------
    builds, settings:
        Those of each, as `ClusterTest` takes them.
    scaling:
        What each worker needs.

    Attributes
    ----------
    tests:
        The settings of each, checked.
    """

    def __init__(
        self,
        builds: Sequence[Callable[[], Any]],
        settings: Sequence[Mapping[str, Any]],
        scaling: Scaling,
    ) -> None:
        both = list(zip(builds, settings, strict=True))
        self.tests = [checked(each) for each in settings]
        seed = randbelow(_MOST_SEED)  # the same weights for all, where they can be
        calls = [(*_pickled(build, each, scaling), seed) for build, each in both]
        super().__init__(solo.tested, calls, scaling, sum(x.num_it for x in self.tests))


def _pickled(
    build: Callable[[], Any], settings: Mapping[str, Any], scaling: Scaling
) -> tuple[bytes, bytes]:
    """Return what makes a training, and its settings, as they can be sent."""
    sent = {name: settings[name] for name in settings if name != "record"}
    if scaling.use_gpu:
        sent["device"] = "cuda"
    return pickled("build", build), pickled("settings", sent)
