"""The verdict of a verification, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from lrwidget.curve.ticks import short

if TYPE_CHECKING:
    from lrwidget.curve.suggestion import Suggestion
    from lrwidget.curve.training_curve import TrainingCurve

# A lane is a short training. "close" is too close to the best lane to call.
State: TypeAlias = Literal["close", "worse", "unstable", "nothing", "unfinished"]
_ENDS: dict[State, str] = {
    "unstable": "became unstable",
    "nothing": "learned nothing",
    "unfinished": "did not end",
}


class Outcome(NamedTuple):
    """The result of a lane; its loss is that of the start where it learned nothing."""

    lane: TrainingCurve
    loss: float
    state: State


def compared(outcomes: list[Outcome], steps: int) -> list[str]:
    """Return sentences on which lanes are better than others."""
    found = {x.state: _rates(outcomes, x.state) for x in outcomes}
    close, worse = found.get("close", []), found.get("worse", [])
    words = ["The trainings tell no rate"]
    if len(close) > 1:
        words = [f"{_listed(close)} are too close to call after {steps} steps"]
    elif close:
        words = [f"{close[0]} has the lowest loss after {steps} steps"]
    if worse:
        words.append(f"{_listed(worse)} {'is' if len(worse) == 1 else 'are'} worse")
    words += [f"{_listed(found[x])} {_ENDS[x]}" for x in _ENDS if x in found]
    sentences = [f"{'; '.join(words)}."]
    if close and "unfinished" in found:
        sentences.append("Not all trainings ended, so they allow no range.")
    return sentences


def _rates(outcomes: list[Outcome], state: State) -> list[str]:
    return [short(x.lane.lr) for x in outcomes if x.state == state]


def _listed(rates: list[str]) -> str:
    *others, last = rates
    return f"{', '.join(others)} and {last}" if others else last


def longer(low: float, high: float, decades: float, total: int | None) -> str:
    """Tell the range for the real training, and why it is not around the best lane."""
    if not decades:
        return "These trainings are as long as yours, so the lowest loss counts."
    length = "ten times as many steps" if total is None else f"{total} steps"
    return (
        "A longer training wants a lower rate than the best of a short one: "
        f"{short(low)} to {short(high)} for {length}."
    )


def clamped(suggested: float | None, lr: float) -> str:
    """Tell what follows for the suggestion of the sweep."""
    if suggested is None:
        return f"The range test suggests none; {short(lr)} is the middle."
    if suggested == lr:
        return f"The suggestion of the range test, {short(lr)}, is in this range."
    return f"The range test suggests {short(suggested)}; {short(lr)} is nearest to it."


def unchecked(suggestion: Suggestion) -> str:
    """Tell that the suggestion is that of the sweep alone."""
    if suggestion.lr is None:
        return f"The range test suggests none either: {suggestion.reason}."
    return f"{short(suggestion.lr)} is the suggestion of the range test alone."
