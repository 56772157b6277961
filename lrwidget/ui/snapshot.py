"""The state of a widget at one moment, for the display."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lrwidget.backends.base import Activity, Capabilities
    from lrwidget.config import TestConfig
    from lrwidget.curve.history import JobHistory
    from lrwidget.curve.lr_curve import LRCurve
    from lrwidget.curve.race import RaceHistory
    from lrwidget.curve.runs import Run
    from lrwidget.curve.suggestion import Suggestion

    Kind: TypeAlias = Literal["test", "comparison", "race"]


@dataclass(frozen=True)
class JobSnapshot:
    """
    The latest job.

    Attributes
    ----------
    kind:
        ``"test"``, ``"comparison"`` or ``"race"``.
    history:
        The history of its runs, which may grow.
    running:
        Whether the job runs.
    error:
        The error that has ended the job, or has kept it from starting.
    traceback:
        The traceback of that error; empty without one.
    activity:
        The present activity; None unless the job runs.
    silence:
        The seconds since the last news of the job.
    seconds:
        The seconds between its first step and its last one.
    """

    kind: Kind
    history: JobHistory
    running: bool
    error: BaseException | None
    traceback: str
    activity: Activity | None
    silence: float
    seconds: float


@dataclass(frozen=True)
class Snapshot:
    """
    The state of a widget at one moment.

    Attributes
    ----------
    capabilities:
        The capabilities of the back end.
    config:
        The settings of the next run.
    problem:
        The reason why the fields of the settings cannot be used; empty if they can.
    runs:
        All runs, the latest last.
    curve:
        The curve of the latest run.
    suggestion:
        The suggestion of that curve; an empty one while its test runs.
    race:
        The history of the latest race.
    job:
        The latest job.
    bounds:
        The lowest and the highest rate of the chart.
    choice:
        The chosen rate.
    testing:
        Whether a test or a comparison runs, so that the curve may grow.
    """

    capabilities: Capabilities
    config: TestConfig
    problem: str
    runs: Sequence[Run]
    curve: LRCurve
    suggestion: Suggestion
    race: RaceHistory | None
    job: JobSnapshot | None
    bounds: tuple[float, float]
    choice: float | None
    testing: bool

    @property
    def latest(self) -> Run | None:
        """The latest run."""
        return self.runs[-1] if self.runs else None

    @property
    def running(self) -> bool:
        """Whether a job runs."""
        return self.job is not None and self.job.running
