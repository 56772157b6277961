"""The state of a range test in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lrwidget.curve.record import LRCurve


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


def ended(curve: LRCurve, suggestion: float | None) -> str:
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
    if suggestion is None:
        return f"{what} No suggestion: too few points, or the loss never falls."
    return f"{what} Suggested: {short(suggestion)}."


def failed(curve: LRCurve, error: BaseException) -> str:
    """
    Return the status of a test that an error ended.

    Of its message, that is the first paragraph; `wait` raises the whole of it.
    """
    message = " ".join(str(error).partition("\n\n")[0].split())
    name = type(error).__name__
    return f"Failed after {_steps(len(curve))}. {name}: {message}".rstrip(": ")


def pace(done: int, total: int, seconds: float, *, running: bool) -> str:
    """
    Return how far a test is, how fast and, if it is running, how long it has to go.

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
