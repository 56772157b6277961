"""The texts of the display: the status of a job."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from lrwidget.curve.edge import FEWEST
from lrwidget.curve.race_history import RaceHistory
from lrwidget.curve.schedule import MOST_LR
from lrwidget.curve.ticks import counted, plain, short
from lrwidget.curve.verification_history import LANES, lane_steps

if TYPE_CHECKING:
    from lrwidget.curve.lr_curve import LRCurve
    from lrwidget.curve.suggestion import Suggestion
    from lrwidget.curve.training_curve import TrainingCurve
    from lrwidget.ui.snapshot import JobSnapshot, Snapshot, Trainings

_FAST = 10  # steps per second, from which on the speed has no decimals
_MAX_ERROR = 250  # characters
_LONG_SILENCE = 10.0  # seconds
_NAMES = {"race": "Race", "verification": "Check"}


def outcome(curve: TrainingCurve) -> str:
    """Return how one training of a race has ended; an empty text while it runs."""
    if len(curve.val_losses):
        return f"validation loss {plain(curve.val_loss, 3)}"
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
    """Return the status of the latest job; before the first one, what Run will do."""
    job = snapshot.job
    if job is None:
        start, end, num_it = snapshot.config.plan[:3]
        words = f"Idle: Run tries {num_it} rates from {short(start)} to {short(end)}."
        return f"{words} {cost(snapshot)}" if snapshot.capabilities.run else words
    if job.error is not None:
        return _failed(job, job.error)
    if job.running:
        words = _special_case(job) or _running(job, snapshot)
    else:
        words = _ended(job, snapshot)
    if job.notices:
        words += f" This is not quite your training. {' '.join(job.notices)}"
    return words


def cost(snapshot: Snapshot) -> str:
    """Return the trainings of a check by training, their cost and their time."""
    config, job = snapshot.config, snapshot.job
    steps, swept = lane_steps(snapshot.total_steps), config.num_it * config.steps_per_lr
    first = "" if snapshot.verifiable else "a range test and "
    total = LANES * steps + (swept if first else 0)
    words = f"Check by training: {first}{LANES} trainings of {counted(steps, 'step')}"
    words += f", about {float(f'{total / swept:.2g}'):g} times a range test"
    speed = None if job is None else _speed(job)
    if job is not None and speed is not None:
        # A step of a test may be several optimizer steps.
        tested = job.kind in {"test", "comparison"}
        seconds = total / (speed * (config.steps_per_lr if tested else 1))
        words += f", up to about {_duration(max(seconds, 1.0))}"
    return f"{words}."


def check_tooltip(snapshot: Snapshot) -> str:
    """Return the cost of a check by training, with a hint if it can be improved."""
    hint = ""
    if snapshot.total_steps is None:
        hint = " If you know the steps of your training, enter them in Settings."
    return f"{cost(snapshot)}{hint}"


def _failed(job: JobSnapshot, error: BaseException) -> str:
    """Return the beginning of an error's first paragraph; `wait` raises all of it."""
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 (of a user's class, which may raise anything)
        message = "its message cannot be shown"
    paragraph = message.partition("\n\n")[0]
    first = textwrap.shorten(paragraph, _MAX_ERROR, placeholder=" ...")
    what = f"{_NAMES.get(job.kind, '')} failed after {counted(job.done, 'step')}"
    what = what.strip().capitalize()
    return f"{what}. {type(error).__name__}: {first}".rstrip(": ")


def _special_case(job: JobSnapshot) -> str:
    """Return the status of a running job in a special case, such as a long wait."""
    activity = job.activity
    if activity is None:
        return ""
    what, problem = activity.detail, activity.problem
    long, silence = job.silence >= _LONG_SILENCE, _duration(job.silence)
    steps = f"step {job.done} of {job.total}"
    news = f"No new step for {silence}, at {steps}." if long else f"Running: {steps}."
    words = ""
    match activity.where, activity.phase:
        case "here", "waiting" if long:
            words = (
                f"Waiting {silence} for the next batch of {what}, at {steps}. Stop "
                "takes effect when that batch arrives; close() waits for it at most "
                "5 s."
            )
        case "record", "starting":
            words = f"Waiting for a test to begin in {what}."
            words += f" No test for {silence}; Stop ends following it." if long else ""
        case "record", "stopping":
            words = (
                f"{news} Asked {what} to stop, which it does at its next step; a "
                "second Stop ends following it."
            )
        case "record", _ if long or problem:
            words = (
                f"{news} The test runs in {what}: Stop asks it to stop; a second Stop "
                "ends following it."
            )
        case "ray", "starting":
            words = f"Starting {what} on the Ray cluster"
            words += f": {silence} so far." if job.silence >= 1 else "."
            problem = f"It has {problem}." if problem else ""
        case "ray", "stopping":
            words = f"Stopping. {news}"
        case "ray", _ if long:
            words = news
    return f"{words} {problem}".rstrip() if words else ""


def _running(job: JobSnapshot, snapshot: Snapshot) -> str:
    race, curve = snapshot.race, snapshot.curve
    if job.kind in _NAMES and job.runs and race is not None:
        return _racing(_NAMES[job.kind], race, _pace(job))
    if job.kind == "comparison" and job.runs:
        return f"Running {counted(job.runs, 'test')}: {_pace(job)}."
    if not (job.done and len(curve)):
        return "Running: waiting for the first step."
    last, loss = short(curve.lrs[-1]), plain(curve.losses[-1], 4)
    what = "Check, range test first" if job.kind == "verification" else "Running"
    return f"{what}: {_pace(job)}. Loss {loss} at rate {last}."


def _racing(what: str, race: Trainings, pace: str) -> str:
    curves = [*race.curves().values()]
    if not curves:
        rates = counted(len(race.rates), "rate")
        return f"{what} of {rates}: waiting for the first step."
    latest = curves[-1]
    loss = f", loss {plain(latest.losses[-1], 4)}" if len(latest) else ""
    return f"{what}: rate {_position(race, curves)}{loss}; {pace}."


def _ended(job: JobSnapshot, snapshot: Snapshot) -> str:
    if job.kind == "race" and isinstance(snapshot.race, RaceHistory):
        return _ended_race(snapshot.race)
    if job.kind == "verification":
        return _ended_check(job, snapshot)
    words = _ended_test(snapshot.curve, snapshot.suggestion)
    if job.kind == "comparison" and snapshot.latest is not None:
        return f"{counted(job.runs, 'test')}; {snapshot.latest.name}: {words}"
    return words


def _ended_test(curve: LRCurve, suggestion: Suggestion) -> str:
    if not len(curve):
        unfollowed = curve.stop_reason is None
        what = "No longer followed," if unfollowed else "Stopped"
        return f"{what} before the first step."
    last, steps = short(curve.lrs[-1]), counted(len(curve), "step")
    what = {
        "completed": f"Done: {_completed(curve, steps, last)}",
        "diverged": f"Stopped at {last}, where training became unstable, as expected.",
        "non_finite": f"Done: the loss stopped being finite at {last}.",
        "exhausted": f"Done: no more batches after {steps}, at {last}.",
        "stopped": f"Stopped after {steps}, at {last}.",
        None: f"No longer followed, after {steps}, at {last}.",
    }[curve.stop_reason]
    lr, low, high, reason = suggestion
    if lr is None:
        return f"{what} No suggestion: {reason}."
    to_try = ""
    if low is not None and high is not None:
        to_try = f" (range to try: {short(low)} to {short(high)})"
    return f"{what} Suggested: {short(lr)}{to_try}, {reason}."


def _completed(curve: LRCurve, steps: str, last: str) -> str:
    """Return the steps of a complete test, and how its losses end."""
    edge = curve.unstable_from
    if edge is not None:
        return f"{steps} up to {last}; unstable from {short(edge)}."
    after = int(np.flatnonzero(np.isfinite(curve.losses)).max(initial=-1)) + 1
    if after < len(curve):
        return (
            f"{steps} up to {last}; no finite loss from {short(curve.lrs[after])} on."
        )
    higher = 10 * curve.lrs[-1]
    if len(curve) < FEWEST or higher > MOST_LR or curve.fit().has_risen:
        return f"{steps} up to {last}."
    return (
        f"{steps}. The loss had not risen by the last rate, {last}: a higher rate may "
        f"be worth a try, end_lr={plain(higher, 3)}."
    )


def _ended_race(race: RaceHistory) -> str:
    curves = [*race.curves().values()]
    if not curves:
        return "Race stopped before the first step."
    what = "Race done: "
    if race.stop_reason != "completed":
        what = f"Race stopped at rate {_position(race, curves)}: "
    finished = [curve for curve in curves if math.isfinite(curve.final_loss)]
    if not finished:
        return f"{what}no training was completed."
    best = min(finished, key=lambda curve: curve.final_loss)
    return f"{what}lowest loss {plain(best.final_loss, 3)} at {short(best.lr)}."


def _ended_check(job: JobSnapshot, snapshot: Snapshot) -> str:
    found = snapshot.verification
    if found is not None:
        return f"{'Checked' if found.checked else 'Not checked'}: {found.verdict}"
    if not job.done:
        return "Check stopped before the first step."
    return f"Not checked. {_ended_test(snapshot.curve, snapshot.suggestion)}"


def _speed(job: JobSnapshot) -> float | None:
    """Return the steps per second of a job; None if they were not measured."""
    if job.done < 2 or job.seconds <= 0:  # noqa: PLR2004 (a time is between two steps)
        return None
    return (job.done - 1) / job.seconds


def _pace(job: JobSnapshot) -> str:
    """Return the steps done of a job, its speed, and the time that is left."""
    text, speed = f"step {job.done} of {job.total}", _speed(job)
    if speed is None:
        return text
    minutes, rest = divmod(round((job.total - job.done) / speed), 60)
    left = f"{minutes} min {rest} s" if minutes else f"{rest} s"
    if speed < 1:
        pace = f"{1 / speed:.3g} s/it"
    else:
        pace = f"{speed:,.0f} it/s" if speed >= _FAST else f"{speed:.2g} it/s"
    return f"{text}, {pace}, {left} left"


def _duration(seconds: float) -> str:
    """Return a duration in the largest unit that fits into it at least twice."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _position(race: Trainings, curves: list[TrainingCurve]) -> str:
    return f"{short(curves[-1].lr)}, {len(curves)} of {len(race.rates)}"
