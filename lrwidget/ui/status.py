"""The state of a range test, or of a race, in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lrwidget.curve.race import RaceRecording
    from lrwidget.curve.record import LRCurve
    from lrwidget.curve.suggestion import Suggestion
    from lrwidget.curve.training import TrainingCurve


def short(rate: float) -> str:
    """Return a rate with three digits, as people write it: 0.0125, 1e-7."""
    return f"{rate:.3g}".replace("e-0", "e-")


def ready(start_lr: float, end_lr: float, num_it: int) -> str:
    """Return the status before a test."""
    return f"Ready: Run tries {num_it} rates from {short(start_lr)} to {short(end_lr)}."


def running(curve: LRCurve) -> str:
    """Return the status of a test that is running."""
    if not len(curve):
        return "Running: waiting for the first step."
    return f"Running: loss {curve.losses[-1]:.4g} at rate {short(curve.lrs[-1])}."


def ended(curve: LRCurve, suggestion: Suggestion) -> str:
    """Return the status of a test that has ended by itself or was stopped."""
    if not len(curve):
        return "Stopped before the first step."
    last = short(curve.lrs[-1])
    what = {
        "completed": f"Done: all {len(curve)} steps, up to {last}.",
        "diverged": f"Done: the loss diverged at {last}, as it should in the end.",
        "non_finite": f"Done: the loss stopped being finite at {last}.",
        "exhausted": f"Done: no more batches after {_steps(len(curve))}, at {last}.",
        "stopped": f"Stopped after {_steps(len(curve))}, at {last}.",
    }[curve.stop_reason or "stopped"]
    lr, low, high, reason = suggestion
    if lr is None:
        return f"{what} No suggestion: {reason}."
    doubt = ""
    if low is not None and high is not None:
        doubt = f" ({short(low)} to {short(high)} look as good)"
    return f"{what} Suggested: {short(lr)}{doubt}, {reason}."


def racing(race: RaceRecording) -> str:
    """Return the status of a race that is running."""
    curves = race.curves()
    if not curves:
        return f"Race of {_rates(len(race.rates))}: waiting for the first step."
    latest = curves[-1]
    loss = f", loss {latest.losses[-1]:.4g}" if len(latest) else ""
    return f"Race: rate {_place(race, curves)}{loss}."


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
    return f"{what}lowest loss {best.final_loss:.3g} at {short(best.lr)}."


def outcome(curve: TrainingCurve) -> str:
    """Return how one training of a race has ended; nothing while it runs."""
    if curve.stop_reason == "completed":
        return f"loss {curve.final_loss:.3g}"
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

    Of its message, that is the first paragraph; `wait` raises the whole of it.
    """
    message = " ".join(str(error).partition("\n\n")[0].split())
    name = type(error).__name__
    return f"{what} after {_steps(steps)}. {name}: {message}".rstrip(": ")


def pace(done: int, total: int, seconds: float, *, running: bool) -> str:
    """
    Return how far a run is, how fast and, if it is running, how long it has to go.

    Parameters
    ----------
    done:
        The steps done.
    total:
        The steps that it has in all.
    seconds:
        How long the steps after the first took.
    running:
        Whether it goes on.
    """
    text = f"{done} / {total}"
    if done < 2 or seconds <= 0:  # noqa: PLR2004 (between two steps is a time)
        return text
    speed = (done - 1) / seconds
    text += f" · {speed:.3g} it/s"
    if not running:
        return text
    minutes, rest = divmod(round((total - done) / speed), 60)
    return (
        f"{text} · {minutes} min {rest} s left"
        if minutes
        else f"{text} · {rest} s left"
    )


def _steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count} steps"


def _rates(count: int) -> str:
    return "1 rate" if count == 1 else f"{count} rates"


def _place(race: RaceRecording, curves: list[TrainingCurve]) -> str:
    return f"{short(curves[-1].lr)}, {len(curves)} of {len(race.rates)}"
