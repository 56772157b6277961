"""Snapshots of a widget, as the display takes them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lrwidget.backends.base import Activity, Capabilities
from lrwidget.config import TestConfig
from lrwidget.curve.suggestion import NO_SUGGESTION
from lrwidget.ui.snapshot import JobSnapshot, Snapshot
from tests.curves import curve_of

if TYPE_CHECKING:
    from lrwidget.curve.history import JobHistory
    from lrwidget.curve.runs import Run

IDLE = Snapshot(
    capabilities=Capabilities(),
    config=TestConfig(),
    problem="",
    runs=[],
    opened=None,
    growing=[],
    suggestions=[],
    curve=curve_of(),
    suggestion=NO_SUGGESTION,
    checked=False,
    race=None,
    verification=None,
    verifiable=False,
    total_steps=None,
    job=None,
    swept=(1e-7, 10.0),
    bounds=(1e-7, 10.0),
    window=(1e-7, 10.0),
    choice=None,
    testing=False,
    undoable="",
)
_JOB = JobSnapshot(
    kind="test",
    runs=0,
    done=0,
    total=0,
    running=False,
    error=None,
    traceback="",
    activity=None,
    silence=0.0,
    seconds=0.0,
    notices=(),
)


def job_with(history: JobHistory, **changes: Any) -> JobSnapshot:
    """Return a job with a history; one that runs is at work, if not said otherwise."""
    if changes.get("running"):
        changes = {"activity": Activity("running"), **changes}
    runs, done, total = len(history.runs), len(history), history.num_it
    return replace(_JOB, runs=runs, done=done, total=total, **changes)


def snapshot_with(*runs: Run, **changes: Any) -> Snapshot:
    """Return a snapshot with some runs, the latest last; that one is opened."""
    if runs:
        latest = runs[-1]
        testing = changes.get("testing", False)
        suggestions = [NO_SUGGESTION for _ in runs]
        suggestions[-1] = changes.get("suggestion", NO_SUGGESTION)
        opened = {
            "opened": latest,
            "growing": [latest] if testing else [],
            "suggestions": suggestions,
            "curve": latest.history.curve(),
        }
        changes = {**opened, **changes}
    return replace(IDLE, runs=list(runs), **changes)
