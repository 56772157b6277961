"""The protocol of a back end, which makes the jobs that a widget runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from lrwidget.config import TestConfig
    from lrwidget.curve.history import Event, Plan

Phase: TypeAlias = Literal["starting", "waiting", "running", "stopping"]


class Activity(NamedTuple):
    """
    What a job does at the moment.

    Attributes
    ----------
    phase:
        ``"starting"`` before there is a run, ``"waiting"`` for the next batch of a
        loader, ``"running"``, or ``"stopping"`` once it was asked to stop.
    since:
        The time of `time.monotonic` at which the last news came; None for the time
        of the last event.
    detail:
        What is started, the loader waited for, or the process that runs the test.
    problem:
        What stands in the way: resources that are missing, an error of reading.
    where:
        Where it runs: in this process, in another one that records it, or on Ray.
    seconds:
        The time between the first step and the last one; None for that between
        their events.
    """

    phase: Phase
    since: float | None = None
    detail: str = ""
    problem: str = ""
    where: Literal["here", "record", "ray"] = "here"
    seconds: float | None = None


class Capabilities(NamedTuple):
    """
    What can be done with the tests of a back end.

    Attributes
    ----------
    run:
        Whether tests can be started, with settings.
    race:
        Whether races can be started.
    apply:
        Whether a rate can be written to an optimizer.
    loss_name:
        The name of the losses, at their axis.
    """

    run: bool = True
    race: bool = True
    apply: bool = True
    loss_name: str = "loss"


class Job(Protocol):
    """
    A test, a comparison or a race, wherever it runs.

    Attributes
    ----------
    goes_on:
        Whether it goes on elsewhere after `abandon`.
    plans:
        The rates of each run; None for a run whose rates become known at its start.
    """

    goes_on: bool

    @property
    def plans(self) -> Sequence[Plan | None]: ...  # noqa: D102 (see above)

    def events(self) -> Iterator[Event]:
        """
        Start the job, and return its events.

        What keeps it from starting is raised at once, in the calling thread; the
        events may be taken in another one.
        """

    def stop(self) -> None:
        """Ask the job to stop after its present step, and return at once."""

    def abandon(self) -> None:
        """Give no more events, and return at once."""

    def activity(self) -> Activity:
        """Return what the job does at the moment."""


class Backend(Protocol):
    """
    The maker of the jobs of one widget.

    Attributes
    ----------
    capabilities:
        What can be done here.
    config:
        The settings of a test without changes.
    arguments:
        All arguments of a test without changes, by their names.
    """

    @property
    def capabilities(self) -> Capabilities: ...  # noqa: D102 (see above)
    @property
    def config(self) -> TestConfig: ...  # noqa: D102 (see above)
    @property
    def arguments(self) -> Mapping[str, Any]: ...  # noqa: D102 (see above)

    def check_can_run(self) -> None:
        """Raise RuntimeError if no tests can be started here."""

    def as_made(self) -> AbstractContextManager[object]:
        """Return the context of torch's settings in the thread that made the widget."""

    def test(self, changes: Mapping[str, Any]) -> Job:
        """Return a test with some arguments changed."""

    def compare(self, changes: Sequence[Mapping[str, Any]]) -> Job:
        """Return several tests, each with some arguments changed."""

    def race(
        self, changes: Mapping[str, Any], rates: Sequence[float], steps: int
    ) -> Job:
        """Return trainings at constant rates, with some arguments changed."""

    def rate_ratios(self) -> list[float]:
        """Return the rate of each parameter group over that of the last one."""

    def apply_rate(self, rate: float) -> str:
        """Write a rate to where the training takes it from, and return where."""
