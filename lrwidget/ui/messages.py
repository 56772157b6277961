"""The texts of the display: the status of a job, and the words beside a rate."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

from lrwidget.curve.axis import plain, short
from lrwidget.curve.race import RaceHistory

if TYPE_CHECKING:
    from lrwidget.backends.base import Activity
    from lrwidget.curve.history import JobHistory
    from lrwidget.curve.lr_curve import LRCurve
    from lrwidget.curve.suggestion import Suggestion
    from lrwidget.curve.training_curve import TrainingCurve
    from lrwidget.ui.snapshot import JobSnapshot, Snapshot

_SAME = 0.005
_FAST = 10
_MAX_ERROR = 250
_LONG_SILENCE = 10.0


def beside_the_handle(
    rate: float | None, loss: float | None, suggestion: float | None
) -> list[str]:
    """Return the texts beside the chosen rate, one for each line."""
    if rate is None:
        return []
    words = [short(rate)]
    if loss is not None:
        words.append(f"loss {plain(loss, 3)}")
    if suggestion is not None:
        ratio = rate / suggestion
        same = abs(ratio - 1) < _SAME
        times = plain(float(f"{ratio:.2g}"))
        words.append("as suggested" if same else f"{times}x the suggestion")
    return words


def outcome(curve: TrainingCurve) -> str:
    """Return how one training of a race has ended; an empty text while it runs."""
    if curve.stop_reason == "completed":
        return f"loss {plain(curve.final_loss, 3)}"
    return {
        "diverged": "diverged",
        "non_finite": "not finite",
        "exhausted": "no batches left",
        "stopped": "stopped",
        None: "",
    }[curve.stop_reason]


def status(snapshot: Snapshot) -> str:
    """Return the status of the latest job, or the action of Run before the first."""
    job = snapshot.job
    if job is None:
        start, end, num_it = snapshot.config.plan
        return f"Idle: Run tries {num_it} rates from {short(start)} to {short(end)}."
    if job.error is not None:
        return _failed(job, job.error)
    if job.running:
        return _special(job) or _running(job, snapshot.curve)
    return _ended(job, snapshot)


def _failed(job: JobSnapshot, error: BaseException) -> str:
    """
    Return the status of a job that an error has ended.

    It has the beginning of the error's first paragraph; `LRWidget.wait` raises the
    whole error.
    """
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 (of a user's class, which may raise anything)
        message = "its message cannot be shown"
    paragraph = message.partition("\n\n")[0]
    first = textwrap.shorten(paragraph, _MAX_ERROR, placeholder=" ...")
    what = "Race failed" if job.kind == "race" else "Failed"
    steps = _steps(len(job.history))
    return f"{what} after {steps}. {type(error).__name__}: {first}".rstrip(": ")


def _special(job: JobSnapshot) -> str:
    """Return the status of a running job that has more to say than its progress."""
    activity = job.activity
    if activity is None:
        return ""
    done, total = len(job.history), job.history.num_it
    long = job.silence >= _LONG_SILENCE
    if activity.phase == "waiting" and long:
        return (
            f"Waiting {int(job.silence)} s for the next batch of {activity.detail}, at "
            f"step {done} of {total}. Stop takes effect when that comes, and close() "
            "gives it up."
        )
    if activity.where == "record":
        return _special_of_record(activity, job, long=long)
    if activity.where == "ray":
        return _special_on_ray(activity, job, long=long)
    return ""


def _special_of_record(activity: Activity, job: JobSnapshot, *, long: bool) -> str:
    if activity.phase == "starting":
        words = f"Waiting for a test to begin in {activity.detail}."
        if long:
            words += f" None for {_duration(job.silence)}; Stop ends following."
    elif activity.phase == "stopping":
        words = (
            f"{_no_new_step(job, long=long)} Asked {activity.detail} to stop, which it "
            "does at its next step; Stop again ends following."
        )
    elif long or activity.problem:
        words = (
            f"{_no_new_step(job, long=long)} The test is {activity.detail}: Stop asks "
            "it to stop, and a second Stop ends following."
        )
    else:
        return ""
    return f"{words} {activity.problem}".rstrip()


def _special_on_ray(activity: Activity, job: JobSnapshot, *, long: bool) -> str:
    if activity.phase == "starting":
        words = f"Starting {activity.detail} on the Ray cluster"
        words += f": {job.silence:.0f} s so far." if job.silence >= 1 else "."
        missing = activity.problem
        return f"{words} It has {missing}." if missing else words
    if activity.phase == "stopping":
        return f"Stopping. {_no_new_step(job, long=long)}"
    return _no_new_step(job, long=True) if long else ""


def _no_new_step(job: JobSnapshot, *, long: bool) -> str:
    """Return how far a job elsewhere has come, and how long it is silent."""
    done, total = len(job.history), job.history.num_it
    if not long:
        return f"Running: step {done} of {total}."
    return f"No new step for {_duration(job.silence)}, at step {done} of {total}."


def _running(job: JobSnapshot, curve: LRCurve) -> str:
    history = job.history
    pace = _pace(len(history), history.num_it, job.seconds)
    if isinstance(history, RaceHistory):
        return _racing(history, pace)
    if job.kind == "comparison":
        return f"Running {_tests(history)}: {pace}."
    if not len(curve):
        return "Running: waiting for the first step."
    last, loss = short(curve.lrs[-1]), plain(curve.losses[-1], 4)
    return f"Running: {pace}. Loss {loss} at rate {last}."


def _racing(history: RaceHistory, pace: str) -> str:
    curves = [*history.curves().values()]
    if not curves:
        return f"Race of {_rates(history)}: waiting for the first step."
    latest = curves[-1]
    loss = f", loss {plain(latest.losses[-1], 4)}" if len(latest) else ""
    return f"Race: rate {_position(history, curves)}{loss}; {pace}."


def _ended(job: JobSnapshot, snapshot: Snapshot) -> str:
    if isinstance(job.history, RaceHistory):
        return _ended_race(job.history)
    words = _ended_test(snapshot.curve, snapshot.suggestion)
    if job.kind == "comparison" and snapshot.latest is not None:
        return f"{_tests(job.history)}; {snapshot.latest.name}: {words}"
    return words


def _ended_test(curve: LRCurve, suggestion: Suggestion) -> str:
    if not len(curve):
        left = curve.stop_reason is None
        return f"{'No longer followed,' if left else 'Stopped'} before the first step."
    last, steps = short(curve.lrs[-1]), _steps(len(curve))
    what = {
        "completed": f"Done: all {len(curve)} steps, up to {last}.",
        "diverged": f"Done: the loss diverged at {last} (normal).",
        "non_finite": f"Done: the loss stopped being finite at {last}.",
        "exhausted": f"Done: no more batches after {steps}, at {last}.",
        "stopped": f"Stopped after {steps}, at {last}.",
        None: f"No longer followed, after {steps}, at {last}.",
    }[curve.stop_reason]
    lr, low, high, reason = suggestion
    if lr is None:
        return f"{what} No suggestion: {reason}."
    doubt = ""
    if low is not None and high is not None:
        doubt = f" ({short(low)} to {short(high)} look as good)"
    return f"{what} Suggested: {short(lr)}{doubt}, {reason}."


def _ended_race(history: RaceHistory) -> str:
    curves = [*history.curves().values()]
    if not curves:
        return "Race stopped before the first step."
    what = "Race done: "
    if history.stop_reason != "completed":
        what = f"Race stopped at rate {_position(history, curves)}: "
    finished = [curve for curve in curves if math.isfinite(curve.final_loss)]
    if not finished:
        return f"{what}no rate came to its end."
    best = min(finished, key=lambda curve: curve.final_loss)
    return f"{what}lowest loss {plain(best.final_loss, 3)} at {short(best.lr)}."


def _pace(done: int, total: int, seconds: float) -> str:
    """Return how far a job has come, how fast it is, and the time that is left."""
    text = f"step {done} of {total}"
    if done < 2 or seconds <= 0:  # noqa: PLR2004 (two steps have a time between them)
        return text
    speed = (done - 1) / seconds
    minutes, rest = divmod(round((total - done) / speed), 60)
    left = f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{text}, {_speed(speed)}, {left} left"


def _speed(speed: float) -> str:
    if speed < 1:
        return f"{1 / speed:.3g} s/it"
    return f"{speed:,.0f} it/s" if speed >= _FAST else f"{speed:.2g} it/s"


def _duration(seconds: float) -> str:
    """Return a duration in the largest unit of which there are two."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count} steps"


def _tests(history: JobHistory) -> str:
    count = len(history.runs)
    return "1 test" if count == 1 else f"{count} tests"


def _rates(history: RaceHistory) -> str:
    count = len(history.rates)
    return "1 rate" if count == 1 else f"{count} rates"


def _position(history: RaceHistory, curves: list[TrainingCurve]) -> str:
    return f"{short(curves[-1].lr)}, {len(curves)} of {len(history.rates)}"
