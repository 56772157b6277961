"""The state of a range test in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lrwidget.curve.record import LRCurve

_MINUTE = 60.0


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
        "exhausted": f"Done: no more batches after {len(curve)} steps, at {last}.",
        "stopped": f"Stopped after {len(curve)} steps, at {last}.",
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
    return f"Failed after {len(curve)} steps. {name}: {message}".rstrip(": ")


def pace(done: int, total: int, seconds: float) -> str:
    """
    Return how far a test is and how fast.

    Parameters
    ----------
    done:
        The steps done.
    total:
        The steps that it has in all.
    seconds:
        How long the steps after the first took.
    """
    steps = f"{done} / {total}"
    speed = _speed(done, seconds)
    return steps if speed is None else f"{steps} · {speed:.3g} it/s"


def time_left(done: int, total: int, seconds: float) -> str:
    """Return how long a test has to go, of which `pace` tells the rest."""
    speed = _speed(done, seconds)
    if speed is None:
        return ""
    left = (total - done) / speed
    if left < _MINUTE:
        return f" · {left:.0f} s left"
    return f" · {left // _MINUTE:.0f} min {left % _MINUTE:.0f} s left"


def _speed(done: int, seconds: float) -> float | None:
    return (done - 1) / seconds if done > 1 and seconds > 0 else None
