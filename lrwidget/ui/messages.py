"""The state of a range test, or of a race, in words."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

from lrwidget.curve.axis import plain, short

if TYPE_CHECKING:
    from lrwidget.curve.history import Recordings
    from lrwidget.curve.lr_curve import LRCurve
    from lrwidget.curve.race import RaceRecording
    from lrwidget.curve.suggestion import Suggestion
    from lrwidget.curve.training_curve import TrainingCurve

_SAME = 0.005
_FAST = 10
_LONGEST = 250


def as_code(rate: float) -> str:
    """Return a rate as a keyword in Python code."""
    return f"lr={short(rate)}"


def beside_the_handle(
    rate: float | None, loss: float | None, suggestion: float | None
) -> list[str]:
    """Return what is known of a chosen rate, one line after the other."""
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


def idle(start_lr: float, end_lr: float, num_it: int) -> str:
    """Return the status before a test."""
    return f"Idle: Run tries {num_it} rates from {short(start_lr)} to {short(end_lr)}."


def running(curve: LRCurve, seconds: float) -> str:
    """
    Return the status of a test that is running.

    Parameters
    ----------
    curve:
        The steps so far.
    seconds:
        How long the steps after the first took.
    """
    if not len(curve):
        return "Running: waiting for the first step."
    loss = f"Loss {plain(curve.losses[-1], 4)} at rate {short(curve.lrs[-1])}."
    return f"Running: {pace(len(curve), curve.num_it, seconds)}. {loss}"


def waiting(what: str, seconds: float, done: int, total: int) -> str:
    """
    Return the status of a test or race that has no new step for long.

    Parameters
    ----------
    what:
        The loader that it waits for.
    seconds:
        How long.
    done, total:
        The steps done, and those that it has in all.
    """
    return (
        f"Waiting {seconds:.0f} s for the next batch of {what}, at step {done} of "
        f"{total}. Stop takes effect when that comes, and close() gives it up."
    )


def awaiting(record: str, seconds: float | None) -> str:
    """
    Return the status of a record in which no test has begun.

    Parameters
    ----------
    record:
        Where it is to be.
    seconds:
        How long nothing has come, if that is long.
    """
    words = f"Waiting for a test to begin in {record}."
    if seconds is None:
        return words
    return f"{words} None for {_duration(seconds)}; Stop ends following."


def starting(what: str, seconds: float, lacking: str) -> str:
    """
    Return the status of what is to run on a cluster, and has not begun.

    Parameters
    ----------
    what:
        What is to start.
    seconds:
        How long it has been starting.
    lacking:
        What the cluster does not have, in words.
    """
    words = f"Starting {what} on the Ray cluster"
    words += f": {seconds:.0f} s so far." if seconds >= 1 else "."
    return f"{words} It has {lacking}." if lacking else words


def silent(done: int, total: int, seconds: float | None) -> str:
    """
    Return how far a test has come that runs elsewhere.

    Parameters
    ----------
    done, total:
        The steps done, and those that it has in all.
    seconds:
        How long there was no new one, if that is long.
    """
    if seconds is None:
        return f"Running: step {done} of {total}."
    return f"No new step for {_duration(seconds)}, at step {done} of {total}."


def elsewhere(job: str, *, asked: bool) -> str:
    """
    Return what Stop does about a test that runs elsewhere.

    Parameters
    ----------
    job:
        What runs it.
    asked:
        Whether it was asked to stop.
    """
    if asked:
        return (
            f"Asked {job} to stop, which it does at its next step; "
            "Stop again ends following."
        )
    return f"The test is {job}: Stop asks it to stop, and a second Stop ends following."


def ended(curve: LRCurve, suggestion: Suggestion) -> str:
    """Return the status of a test that has ended by itself or was stopped."""
    left = curve.stop_reason is None
    if not len(curve):
        what = "No longer followed," if left else "Stopped"
        return f"{what} before the first step."
    last = short(curve.lrs[-1])
    what = {
        "completed": f"Done: all {len(curve)} steps, up to {last}.",
        "diverged": f"Done: the loss diverged at {last} (normal).",
        "non_finite": f"Done: the loss stopped being finite at {last}.",
        "exhausted": f"Done: no more batches after {_steps(len(curve))}, at {last}.",
        "stopped": f"Stopped after {_steps(len(curve))}, at {last}.",
        None: f"No longer followed, after {_steps(len(curve))}, at {last}.",
    }[curve.stop_reason]
    lr, low, high, reason = suggestion
    if lr is None:
        return f"{what} No suggestion: {reason}."
    doubt = ""
    if low is not None and high is not None:
        doubt = f" ({short(low)} to {short(high)} look as good)"
    return f"{what} Suggested: {short(lr)}{doubt}, {reason}."


def comparing(tests: Recordings, seconds: float) -> str:
    """Return the status of several tests that are running, as `running` does of one."""
    return f"Running {_tests(tests)}: {pace(len(tests), tests.total, seconds)}."


def compared(tests: Recordings, name: str, ended: str) -> str:
    """
    Return the status of several tests that have ended.

    Parameters
    ----------
    tests:
        They.
    name:
        What the last of them is called.
    ended:
        The status of that one.
    """
    return f"{_tests(tests)}; {name}: {ended}"


def racing(race: RaceRecording, seconds: float) -> str:
    """Return the status of a race that is running, as `running` does of a test."""
    curves = race.curves()
    if not curves:
        return f"Race of {_rates(len(race.rates))}: waiting for the first step."
    latest = curves[-1]
    loss = f", loss {plain(latest.losses[-1], 4)}" if len(latest) else ""
    how = pace(len(race), race.total, seconds)
    return f"Race: rate {_place(race, curves)}{loss}; {how}."


def raced(race: RaceRecording) -> str:
    """Return the status of a race that has ended by itself or was stopped."""
    curves = race.curves()
    if not curves:
        return "Race stopped before the first step."
    what = "Race done: "
    if race.stop_reason != "completed":
        what = f"Race stopped at rate {_place(race, curves)}: "
    finished = [curve for curve in curves if math.isfinite(curve.final_loss)]
    if not finished:
        return f"{what}no rate came to its end."
    best = min(finished, key=lambda curve: curve.final_loss)
    return f"{what}lowest loss {plain(best.final_loss, 3)} at {short(best.lr)}."


def outcome(curve: TrainingCurve) -> str:
    """Return how one training of a race has ended; nothing while it runs."""
    if curve.stop_reason == "completed":
        return f"loss {plain(curve.final_loss, 3)}"
    return {
        "diverged": "diverged",
        "non_finite": "not finite",
        "exhausted": "no batches left",
        "stopped": "stopped",
        None: "",
    }[curve.stop_reason]


def failed(what: str, steps: int, error: BaseException) -> str:
    """
    Return the status of a run that an error ended.

    Of its message, that is the beginning of the first paragraph; `wait` raises the
    whole of it.
    """
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 (it is not ours)
        message = "its message cannot be had"
    first = textwrap.shorten(message.partition("\n\n")[0], _LONGEST, placeholder=" ...")
    name = type(error).__name__
    return f"{what} after {_steps(steps)}. {name}: {first}".rstrip(": ")


def pace(done: int, total: int, seconds: float) -> str:
    """
    Return how far a run is, how fast, and how long it has to go.

    Parameters
    ----------
    done:
        The steps done.
    total:
        The steps that it has in all.
    seconds:
        How long the steps after the first took.
    """
    text = f"step {done} of {total}"
    if done < 2 or seconds <= 0:  # noqa: PLR2004 (between two steps is a time)
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
    """Return how long something has lasted, in the largest unit of which it has two."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count} steps"


def _tests(tests: Recordings) -> str:
    count = len(tests.every)
    return "1 test" if count == 1 else f"{count} tests"


def _rates(count: int) -> str:
    return "1 rate" if count == 1 else f"{count} rates"


def _place(race: RaceRecording, curves: list[TrainingCurve]) -> str:
    return f"{short(curves[-1].lr)}, {len(curves)} of {len(race.rates)}"
