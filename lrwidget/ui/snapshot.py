"""The state of a widget at one moment, for the display."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lrwidget.backends.base import Activity, Capabilities
    from lrwidget.config import TestConfig
    from lrwidget.curve.lr_curve import LRCurve
    from lrwidget.curve.race_history import RaceHistory
    from lrwidget.curve.runs import Run
    from lrwidget.curve.suggestion import Suggestion
    from lrwidget.curve.verification import Verification
    from lrwidget.curve.verification_history import VerificationHistory

    Kind: TypeAlias = Literal["test", "comparison", "race", "verification"]
    Trainings: TypeAlias = RaceHistory | VerificationHistory


@dataclass(frozen=True)
class JobSnapshot:
    """The latest job."""

    kind: Kind
    runs: int  # number of its runs; 0 until it has started
    done: int  # steps so far, of all runs
    total: int  # steps planned; 0 while unknown
    running: bool
    # The error that has ended the job, or kept it from starting: it may be of a class
    # of the user's, which compares in any way.
    error: BaseException | None = field(compare=False)
    traceback: str  # of that error
    activity: Activity | None  # while the job runs
    silence: float  # seconds since the last news
    seconds: float  # between the first step and the last one
    notices: tuple[str, ...]  # known differences from the user's training

    @property
    def unbegun(self) -> bool:
        """Whether it has started, without a step so far."""
        return self.runs > 0 and self.done == 0


@dataclass(frozen=True)
class Snapshot:
    """The state of a widget at one moment."""

    capabilities: Capabilities
    config: TestConfig  # of the next run
    problem: str  # why the fields of the settings cannot be used; empty if they can
    runs: Sequence[Run]  # the latest last
    opened: Run | None  # the one of which curve, suggestion and verification are
    growing: Sequence[Run]  # those that may get further steps
    suggestions: Sequence[Suggestion]  # of each run; an empty one while it grows
    curve: LRCurve  # of the opened run
    suggestion: Suggestion  # of that curve; an empty one while it grows
    checked: bool  # whether that suggestion is checked by training
    race: Trainings | None  # the latest race or verification, once it has rates
    verification: Verification | None  # of that curve
    verifiable: bool  # whether a verification would begin with the latest curve
    total_steps: int | None  # optimizer steps of the user's training, if known
    job: JobSnapshot | None
    swept: tuple[float, float]  # lowest and highest rate of the runs and the next one
    bounds: tuple[float, float]  # the same, with the chosen rate
    window: tuple[float, float]  # lowest and highest rate in the chart
    choice: float | None  # the chosen rate
    testing: bool  # whether a test or a comparison runs, so that curves may grow
    undoable: str  # name of the command that can be undone; empty if there is none

    @property
    def linear(self) -> bool:
        """Whether all sweeps are linear, so that the axis of the rates is linear."""
        plans = [run.history.plan for run in self.runs] or [self.config.plan]
        return all(plan is not None and plan.step_mode == "linear" for plan in plans)

    @property
    def latest(self) -> Run | None:
        """The latest run."""
        return self.runs[-1] if self.runs else None

    @property
    def running(self) -> bool:
        """Whether a job runs."""
        return self.job is not None and self.job.running
