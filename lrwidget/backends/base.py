"""The protocol of a back end, which makes the jobs that a widget runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from lrwidget.backends.verification import VerificationJob
    from lrwidget.config import TestConfig
    from lrwidget.curve.history import Event, Plan
    from lrwidget.curve.lr_curve import LRCurve

# "starting" is before the first run; "waiting" is for the next batch of a loader;
# "stopping" is after a request to stop.
Phase: TypeAlias = Literal["starting", "waiting", "running", "stopping"]


class Activity(NamedTuple):
    """The present state of a job."""

    phase: Phase
    # The time of the latest news, by `time.monotonic`; None for that of the last event.
    since: float | None = None
    # The workers that start, the loader with the next batch, or the test's process.
    detail: str = ""
    # The problem that delays the job: missing resources, or an error of reading.
    problem: str = ""
    where: Literal["here", "record", "ray"] = "here"
    # The time from the first to the latest step; None if the runner measures it.
    seconds: float | None = None


class Capabilities(NamedTuple):
    """The actions that are possible with the tests of a back end."""

    run: bool = True  # start tests, with settings
    apply: bool = True  # write a rate to an optimizer
    optimizer: str = ""  # the name of that optimizer, if a rate goes straight to it
    loss_name: str = "loss"  # at the axis


class Job(Protocol):
    """A test, a comparison or a race, wherever it runs."""

    goes_on: bool  # whether its runs continue elsewhere after `abandon`

    @property
    def plans(self) -> Sequence[Plan | None]:
        """The rates of each run; None for rates that become known at its start."""

    @property
    def notices(self) -> Sequence[str]:
        """The known differences from the user's training, in sentences."""

    def events(self) -> Iterator[Event]:
        """
        Return the events of the job, which any one thread may take.

        A job of this process starts at once, in the calling thread, and raises an error
        of its start there. Any other job starts when the first event is taken.
        """

    def stop(self) -> None:
        """
        Ask the job to stop after its present step, and return at once.

        On a Ray cluster, the workers are ended in the middle of a step, and the steps
        that they have sent are kept.
        """

    def abandon(self) -> None:
        """Let the events end without further waiting, and return at once."""

    def activity(self) -> Activity:
        """Return what the job does at the moment."""


class Backend(Protocol):
    """The maker of the jobs of one widget."""

    @property
    def capabilities(self) -> Capabilities:
        """The actions that are possible here."""

    @property
    def config(self) -> TestConfig:
        """The settings of a test without changes."""

    @property
    def arguments(self) -> Mapping[str, Any]:
        """All arguments of a test without changes, by their names."""

    @property
    def total_steps(self) -> int | None:
        """The optimizer steps of the user's training, where a framework knows them."""

    def as_made(self) -> AbstractContextManager[object]:
        """Return the context of torch's settings in the thread that made the widget."""

    def test(self, changes: Mapping[str, Any]) -> Job:
        """Return a test with some arguments changed; RuntimeError if none can run."""

    def compare(self, changes: Sequence[Mapping[str, Any]]) -> Job:
        """Return several tests, each with some arguments changed."""

    def race(
        self, changes: Mapping[str, Any], rates: Sequence[float], steps: int
    ) -> Job:
        """Return trainings at constant rates, with some arguments changed."""

    def sweep(self, changes: Mapping[str, Any]) -> Job:
        """Return a test with some arguments changed, without validation losses."""

    def lanes(
        self, changes: Mapping[str, Any], rates: Sequence[float], steps: int
    ) -> Job:
        """
        Return trainings at constant rates, with some arguments changed.

        A validation loss, if any, is measured before the first step of the first one,
        and after the last step of each.
        """

    def verify(
        self, changes: Mapping[str, Any], curve: LRCurve | None, total_steps: int | None
    ) -> VerificationJob:
        """
        Return a sweep and its lanes, with some arguments changed.

        With the curve of an earlier test, there are the lanes alone. The steps of the
        user's training are `total_steps` if they are None.
        """

    def rate_ratios(self) -> list[float]:
        """Return the rate of each parameter group over that of the last one."""

    def saved_rates(self) -> Callable[[], object]:
        """Return a function that writes back what `apply_rate` changes."""

    def apply_rate(self, rate: float) -> str:
        """
        Write a rate to where the training takes it from.

        Return what has changed, such as "Adam now has lr=2.0e-2".
        """
