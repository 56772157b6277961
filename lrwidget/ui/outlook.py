"""The next run and the next check by training in words, with their times."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lrwidget.curve.ticks import counted, exact
from lrwidget.curve.verification_history import LANES, lane_steps

if TYPE_CHECKING:
    from lrwidget.ui.snapshot import JobSnapshot, Snapshot


def next_run(snapshot: Snapshot) -> str:
    """Return the settings of the next run, and its time if that is known."""
    config = snapshot.config
    start, end, num_it = config.plan[:3]
    how = "linear" if config.step_mode == "linear" else "exponential"
    rates = f"{exact(start)} to {exact(end)}"
    words = f"Next run: {counted(num_it, 'step')}, {rates}, {how}"
    seconds = _seconds(snapshot, num_it * config.steps_per_lr)
    return words if seconds is None else f"{words}, about {duration(seconds)}"


def check_button(snapshot: Snapshot) -> str:
    """Return the words of the button that checks by training, with the time."""
    seconds = _seconds(snapshot, _steps_of_check(snapshot))
    time = "" if seconds is None else f" · {duration(seconds)}"
    return f"Check by training{time}"


def cost(snapshot: Snapshot) -> str:
    """Return the trainings of a check by training, their cost and their time."""
    config = snapshot.config
    steps, swept = lane_steps(snapshot.total_steps), config.num_it * config.steps_per_lr
    first = "" if snapshot.verifiable else "a range test and "
    total = _steps_of_check(snapshot)
    words = f"Check by training: {first}{LANES} trainings of {counted(steps, 'step')}"
    words += f", about {float(f'{total / swept:.2g}'):g} times a range test"
    seconds = _seconds(snapshot, total)
    if seconds is not None:
        words += f", up to about {duration(seconds)}"
    return f"{words}."


def check_tooltip(snapshot: Snapshot) -> str:
    """Return the cost of a check by training, with a hint if it can be improved."""
    hint = ""
    if snapshot.total_steps is None:
        hint = " If you know the steps of your training, enter them at Change."
    return f"{cost(snapshot)}{hint}"


def _steps_of_check(snapshot: Snapshot) -> int:
    """Return the optimizer steps of a check by training, with its range test if any."""
    config = snapshot.config
    swept = 0 if snapshot.verifiable else config.num_it * config.steps_per_lr
    return LANES * lane_steps(snapshot.total_steps) + swept


def _seconds(snapshot: Snapshot, steps: int) -> float | None:
    """Return the time of some optimizer steps at the speed of the latest job."""
    job = snapshot.job
    pace = None if job is None else speed(job)
    if job is None or pace is None:
        return None
    # A step of a test may be several optimizer steps.
    tested = job.kind in {"test", "comparison"}
    each = snapshot.config.steps_per_lr if tested else 1
    return max(steps / (pace * each), 1.0)


def speed(job: JobSnapshot) -> float | None:
    """Return the steps per second of a job; None if they were not measured."""
    if job.done < 2 or job.seconds <= 0:  # noqa: PLR2004 (a time is between two steps)
        return None
    return (job.done - 1) / job.seconds


def duration(seconds: float) -> str:
    """Return a duration in the largest unit that fits into it at least twice."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
