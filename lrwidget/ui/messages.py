"""The texts of the display: the status of a job."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

from lrwidget.curve.race_history import RaceHistory
from lrwidget.curve.run_settings import same_as
from lrwidget.curve.ticks import counted, exact, plain, rounded, short
from lrwidget.curve.verdict import best_lanes
from lrwidget.ui.answer_text import conclusion
from lrwidget.ui.outlook import duration, speed
from lrwidget.ui.settings import in_words_of_fields

if TYPE_CHECKING:
    from lrwidget.curve.training_curve import TrainingCurve
    from lrwidget.curve.verification import Verification
    from lrwidget.ui.snapshot import JobSnapshot, Snapshot, Trainings

_FAST = 10  # steps per second, from which on the speed has no decimals
_MAX_ERROR = 250  # characters
_MAX_NAME = 40  # characters
_LONG_SILENCE = 10.0  # seconds
_NAMES = {"race": "Training", "verification": "Check"}
_STARTS = {
    "test": "Range test",
    "comparison": "Comparison",
    "race": "Training",
    "verification": "Check by training",
}


def status(snapshot: Snapshot) -> str:
    """Return the whole status of the latest job, for Python."""
    job, found = snapshot.job, snapshot.verification
    words = sentence(snapshot)
    if job is None or job.running or job.error is not None or job.kind == "race":
        return words
    if job.kind == "verification" and found is not None:
        what = "Checked by training" if found.checked else "Not checked"
        return _with_notices(f"{what}: {found.verdict}", job)
    completed = snapshot.curve.stop_reason == "completed"
    if job.kind == "test" and completed and "Done" not in words:
        words = f"Done. {words}"
    _, low, high, _ = snapshot.suggestion
    if low is not None and high is not None:
        words += f" Range to try: {short(low)} to {short(high)}."
    return words


def sentence(snapshot: Snapshot) -> str:
    """Return the status of the latest job; before the first one, what Run will do."""
    job = snapshot.job
    if job is None:
        return _idle(snapshot)
    if job.error is not None:
        return _failed(job, job.error, snapshot.problem)
    if job.running:
        words = _special_case(job) or _running(job, snapshot)
    else:
        words = _ended(job, snapshot)
    return _with_notices(words, job)


def _with_notices(words: str, job: JobSnapshot) -> str:
    if not job.notices:
        return words
    return f"{words} The test differs from your training. {' '.join(job.notices)}"


def announcement(snapshot: Snapshot) -> str:
    """Return what a screen reader says: a start, an end, or an error, each once."""
    job = snapshot.job
    if job is None:
        return ""
    return f"{_STARTS[job.kind]} started." if job.running else sentence(snapshot)


def same_batches(snapshot: Snapshot) -> str:
    """Return what to do if the latest run repeats another one exactly; else nothing."""
    latest = snapshot.latest
    if latest is None or latest in snapshot.growing:
        return ""
    former = same_as(latest, snapshot.runs)
    if former is None:
        return ""
    name = textwrap.shorten(former.name, _MAX_NAME, placeholder=" ...")
    seed = latest.settings.get("seed")
    if seed != former.settings.get("seed"):
        return f"Same batches as in {name}, though the seeds differ; shuffle them."
    which = "a seed" if seed is None else "another seed"
    return f"Same batches as before, in {name}; give {which} to see the noise."


def _idle(snapshot: Snapshot) -> str:
    start, end, num_it = snapshot.config.plan[:3]
    steps = counted(num_it * snapshot.config.steps_per_lr, "training step")
    return (
        f"Run tries {num_it} learning rates from {exact(start)} to {exact(end)} and "
        f"shows the loss at each. It takes as long as {steps}, and does not change "
        "your model."
    )


def _failed(job: JobSnapshot, error: BaseException, problem: str) -> str:
    """Return the beginning of an error's first paragraph; `wait` raises all of it."""
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 (of a user's class, which may raise anything)
        message = "its message cannot be shown"
    if problem and message == problem:  # of the fields of the settings
        message = in_words_of_fields(message)
    paragraph = message.partition("\n\n")[0]
    first = textwrap.shorten(paragraph, _MAX_ERROR, placeholder=" ...")
    when = f"after {counted(job.done, 'step')}" if job.done else "before the first step"
    what = f"{_NAMES.get(job.kind, '')} failed {when}"
    what = what.strip().capitalize()
    return f"{what}. {type(error).__name__}: {first}".rstrip(": ")


def _special_case(job: JobSnapshot) -> str:
    """Return the status of a running job in a special case, such as a long wait."""
    activity = job.activity
    if activity is None:
        return ""
    what, problem = activity.detail, activity.problem
    long, silence = job.silence >= _LONG_SILENCE, duration(job.silence)
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
        case "here", "stopping":
            words = f"Stopping after this step ... ({steps})"
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
    race, latest = snapshot.race, snapshot.latest
    curve = snapshot.curve if latest is None else latest.history.curve()
    if job.kind in _NAMES and job.runs and race is not None:
        return _racing(_NAMES[job.kind], race, job)
    if job.kind == "comparison" and job.runs:
        return f"Running {counted(job.runs, 'test')}: {_pace(job)}."
    if not (job.done and len(curve)):
        return _waiting("Running: waiting for the first step", job)
    last, loss = short(curve.lrs[-1]), plain(curve.losses[-1], 4)
    checks = job.kind == "verification"
    what = "Range test before the check" if checks else "Running"
    return f"{what}: {_pace(job)}. Loss {loss} at rate {last}."


def _waiting(what: str, job: JobSnapshot) -> str:
    """Return a state with its seconds, once these show that it takes long."""
    return f"{what}: {duration(job.silence)}." if job.silence >= 1 else f"{what}."


def _racing(what: str, race: Trainings, job: JobSnapshot) -> str:
    curves = [*race.curves().values()]
    if not curves:
        rates = counted(len(race.rates), "rate")
        return _waiting(f"{what} at {rates}: waiting for the first step", job)
    latest = curves[-1]
    loss = f", loss {plain(latest.losses[-1], 4)}" if len(latest) else ""
    return f"{what}: rate {_position(race, curves)}{loss}; {_pace(job)}."


def _ended(job: JobSnapshot, snapshot: Snapshot) -> str:
    if job.kind == "race" and isinstance(snapshot.race, RaceHistory):
        return _ended_race(snapshot.race)
    if job.kind == "verification":
        return _ended_check(job, snapshot)
    words = conclusion(snapshot.curve, snapshot.suggestion)
    opened = snapshot.opened
    if opened is not None and (job.kind == "comparison" or opened != snapshot.latest):
        words = f"Shown: {opened.name}. {words}"
    if job.kind == "comparison":
        words = f"{counted(job.runs, 'test')} done. {words}"
    return words


def _ended_race(race: RaceHistory) -> str:
    curves = [*race.curves().values()]
    if not curves:
        return "Stopped before the first step."
    what = "Trainings done: "
    if race.stop_reason != "completed":
        what = f"Stopped at rate {_position(race, curves)}: "
    finished = [curve for curve in curves if math.isfinite(curve.final_loss)]
    if not finished:
        return f"{what}no training was completed."
    best = min(finished, key=lambda curve: curve.final_loss)
    return f"{what}lowest loss {plain(best.final_loss, 3)} at {short(best.lr)}."


def _ended_check(job: JobSnapshot, snapshot: Snapshot) -> str:
    found, race = snapshot.verification, snapshot.race
    if found is not None and race is not None:
        return _checked(found, race)
    if not job.done:
        return "Check stopped before the first step."
    return f"Not checked. {conclusion(snapshot.curve, snapshot.suggestion)}"


def _checked(found: Verification, trainings: Trainings) -> str:
    """Return which trainings were best, and the suggestion that follows from them."""
    if not found.checked or found.lr is None:
        return "Not checked: the trainings do not tell which rates are good."
    steps, total = trainings.steps, found.total_steps
    best = best_lanes([*trainings.outcomes(trainings.curves()).values()], steps)
    if total is None:
        where = "For a longer training, "
    else:
        where = f"For {counted(total, 'step')}, " if total > steps else ""
    before = found.curve.suggestion().lr
    if before is None:
        words = f"{short(found.lr)} is suggested"
    elif rounded(before) == rounded(found.lr):
        words = f"{short(found.lr)} is confirmed"
    else:
        words = f"the suggestion moves from {short(before)} to {short(found.lr)}"
    follows = where + words
    return f"Checked: {best}. {follows[0].upper()}{follows[1:]}."


def _pace(job: JobSnapshot) -> str:
    """Return the steps done of a job, its speed, and the time that is left."""
    text, rate = f"step {job.done} of {job.total}", speed(job)
    if rate is None:
        return text
    minutes, rest = divmod(round((job.total - job.done) / rate), 60)
    left = f"{minutes} min {rest} s" if minutes else f"{rest} s"
    if rate < 1:
        pace = f"{1 / rate:.3g} s/step"
    else:
        pace = f"{rate:,.0f} steps/s" if rate >= _FAST else f"{rate:.2g} steps/s"
    return f"{text}, {pace}, {left} left"


def _position(race: Trainings, curves: list[TrainingCurve]) -> str:
    return f"{short(curves[-1].lr)}, {len(curves)} of {len(race.rates)}"
