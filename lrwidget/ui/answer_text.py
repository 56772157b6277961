"""The texts of the answer: the rate, how sure it is, and what to do with it."""

from __future__ import annotations

import html
import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lrwidget.curve.default_rule import MORE_STEPS
from lrwidget.curve.edge import FEWEST
from lrwidget.curve.schedule import MOST_LR
from lrwidget.curve.ticks import counted, exact, plain, rounded, short

if TYPE_CHECKING:
    from lrwidget.curve.lr_curve import LRCurve
    from lrwidget.curve.suggestion import Suggestion
    from lrwidget.ui.snapshot import Snapshot

_MOST_PLACES = 6
_STEPS_FACTOR = 3
_LOWER = 100  # times lower
_HIGHER = 10.0  # times higher
_LITTLE = 1.095  # ratio of rates
# Words in the reason of a suggestion, the badge for it, and the look of that badge.
_BADGES = (
    ("checked by training", "checked by training", "good"),
    ("Too noisy", "too noisy, rule of thumb", "doubtful"),
    ("noisy slope", "noisy curve", "doubtful"),
    (MORE_STEPS, "few steps", "doubtful"),
    ("the slope", "clear curve", "good"),
    ("", "fastai's rule", "plain"),
)
# Words in the reason of a suggestion, and the setting whose change may help.
_REMEDIES = {
    "the rise comes too early": "start_lr",
    "beyond its noise": "num_it",
    MORE_STEPS: "num_it",
}


class NextStep(NamedTuple):
    """A run that may do better, with the words for its button."""

    words: str
    settings: dict[str, Any]


def relation(rate: float, suggestion: float) -> str:
    """Return how far a rate is from the suggestion, both as shown; empty if equal."""
    rate, suggestion = rounded(rate), rounded(suggestion)
    if rate == suggestion:
        return ""
    ratio = max(rate / suggestion, suggestion / rate)
    much = short(ratio) + "x" if ratio >= _LITTLE else f"{ratio - 1:.0%}"
    return f"{much} {'higher' if rate > suggestion else 'lower'}"


def unbroken(text: str) -> str:
    """Return HTML in which no line ends after the sign of a power of ten."""
    return re.sub(r"[\d.]+e-\d+", r'<span class="lrwidget-number">\g<0></span>', text)


def headline(snapshot: Snapshot) -> str:
    """Return the rate, its range and how sure it is, in HTML."""
    rate, suggestion = snapshot.choice, snapshot.suggestion
    rate = suggestion.lr if rate is None else rate
    beside = ""
    if rate is None:
        title = "No rate yet" if snapshot.job else "Find a learning rate"
    else:
        title = short(rate)
        if suggestion.lr is not None:
            apart = relation(rate, suggestion.lr)
            if apart:
                beside = f"suggested {short(suggestion.lr)}; yours is {apart}"
            elif suggestion.low is not None and suggestion.high is not None:
                to_try = f"{short(suggestion.low)} to {short(suggestion.high)}"
                beside = f"range to try {to_try}"
            else:
                beside = "suggested"
    words, look = badge(snapshot)
    return (
        f'<span class="lrwidget-rate">{title}</span> '
        f'<span class="lrwidget-aside">{beside}</span> '
        f'<span class="lrwidget-badge lrwidget-{look}">{html.escape(words)}</span>'
    )


def badge(snapshot: Snapshot) -> tuple[str, str]:
    """Return in words how sure the rate is, and the look of these words."""
    job, rate, suggestion = snapshot.job, snapshot.choice, snapshot.suggestion
    if job is not None and job.error is not None:
        return "failed", "bad"
    if snapshot.testing or (rate is None and not snapshot.runs):
        return "", "plain"
    if suggestion.lr is None and rate is None:
        return "no suggestion", "doubtful"
    if suggestion.lr is None or (rate is not None and relation(rate, suggestion.lr)):
        return "your choice", "plain"
    return next(x[1:] for x in _BADGES if x[0] in suggestion.reason)


def conclusion(curve: LRCurve, suggestion: Suggestion) -> str:
    """Return how a test has ended, the course of its losses, and its suggestion."""
    if not len(curve):
        unfollowed = curve.stop_reason is None
        what = "No longer followed," if unfollowed else "Stopped"
        return f"{what} before the first step."
    lr, _, _, reason = suggestion
    if lr is None:
        position = f"No suggestion: {reason}."
    else:
        position = f"{reason}." if reason[:1].isupper() else f"{short(lr)} is {reason}."
    said = _course(curve), _ending(curve), position
    return " ".join(words for words in said if words)


def _course(curve: LRCurve) -> str:
    """Return from where to where the loss falls, and where it is unstable."""
    words, edge = [], curve.unstable_from
    if curve.learning_from is not None:
        words.append("falls from {} to {}".format(*fall(curve)))
    if edge is not None and curve.stop_reason != "diverged":
        words.append(f"turns unstable at about {short(edge)}")
    return f"The loss {' and '.join(words)}." if words else ""


def fall(curve: LRCurve) -> tuple[str, str]:
    """Return the loss at the start and the lowest one, in digits that differ."""
    fit = curve.fit()
    # A fit may be below all losses.
    least = curve.losses.min(where=np.isfinite(curve.losses), initial=np.inf)
    start = fit.start.level
    lowest = max(float(fit.losses[fit.lowest()]), float(least))
    depth, size = abs(start - lowest), max(abs(start), abs(lowest))
    if depth > 0:
        # Three digits of the larger one, and two of the difference.
        of_size, of_depth = (math.floor(math.log10(x)) for x in (size, depth))
        places = max(2 - of_size, 1 - of_depth)
        if 0 <= places <= _MOST_PLACES:
            first, last = f"{start:.{places}f}", f"{lowest:.{places}f}"
            return first, last if float(last) else plain(lowest, 2)
    return plain(start, 3), plain(lowest, 3)


def _ending(curve: LRCurve) -> str:
    """Return how a test has ended; empty after all steps if there is more to tell."""
    last, steps = short(curve.lrs[-1]), counted(len(curve), "step")
    match curve.stop_reason:
        case "completed":
            return _completed(curve, steps, last)
        case "diverged":
            return f"Stopped at {last}, where training became unstable, as expected."
        case "non_finite":
            return f"Stopped at {last}, where the loss became infinite or NaN."
        case "exhausted":
            return f"The batches ended after {steps}, at {last}."
        case "stopped":
            return f"Stopped after {steps}, at {last}."
    return f"No longer followed, after {steps}, at {last}."


def _completed(curve: LRCurve, steps: str, last: str) -> str:
    if curve.unstable_from is not None:
        return ""
    after = int(np.flatnonzero(np.isfinite(curve.losses)).max(initial=-1)) + 1
    if after < len(curve):
        return f"From {short(curve.lrs[after])} on, each loss is infinite or NaN."
    if _has_more_above(curve):
        return f"The loss had not risen by the last rate, {last}."
    return f"Done: {steps} up to {last}."


def _has_more_above(curve: LRCurve) -> bool:
    """Whether higher rates are worth a try after a complete test."""
    if curve.stop_reason != "completed" or len(curve) < FEWEST:
        return False
    known = bool(np.isfinite(curve.losses[-1])) and _HIGHER * curve.lrs[-1] <= MOST_LR
    return known and curve.unstable_from is None and not curve.fit().has_risen


def next_step(snapshot: Snapshot) -> NextStep | None:
    """Return a run that may do better than the latest one; None if that is fine."""
    curve, suggestion = snapshot.curve, snapshot.suggestion
    job = snapshot.job
    failed = bool(snapshot.problem) or (job is not None and job.error is not None)
    if failed or snapshot.testing or not snapshot.capabilities.run:
        return None
    if _has_more_above(curve):
        end = float(f"{_HIGHER * curve.lrs[-1]:.6g}")
        return NextStep(f"Run up to {exact(end)}", {"end_lr": end})
    for words, setting in _REMEDIES.items():
        if words in suggestion.reason:
            if setting == "num_it":
                steps = _STEPS_FACTOR * curve.num_it
                return NextStep(f"Run {steps} steps", {"num_it": steps})
            start = float(f"{curve.lrs[0] / _LOWER:.6g}")
            return NextStep(f"Run from {exact(start)}", {"start_lr": start})
    return None


def codes(rate: float | None, total_steps: int | None) -> list[str]:
    """Return the lines of code that use a rate."""
    if rate is None:
        return []
    lr, total = exact(rate), "..." if total_steps is None else total_steps
    return [
        f"lr={lr}",
        f"OneCycleLR(optimizer, max_lr={lr}, total_steps={total})",
        f"TrainingArguments(learning_rate={lr})",
        f"self.lr = {lr}",
    ]
