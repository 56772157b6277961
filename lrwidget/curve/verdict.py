"""The verdict of a verification, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lrwidget.curve.ticks import counted, short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lrwidget.curve.outcomes import LaneState, Outcome
    from lrwidget.curve.suggestion import Suggestion

_ENDS: dict[LaneState, str] = {
    "unstable": "became unstable",
    "nothing": "learned nothing",
    "unfinished": "ended early",
}


def lane_results(outcomes: Sequence[Outcome], steps: int) -> str:
    """Return which lanes are close to the best one, worse, or without a result."""
    found = {x.state: _rates(outcomes, x.state) for x in outcomes}
    close, worse = found.get("close", []), found.get("worse", [])
    words = [best_lanes(outcomes, steps)]
    if worse:
        words.append(f"{_listed(worse)} {'is' if len(worse) == 1 else 'are'} worse")
    words += [f"{_listed(found[x])} {_ENDS[x]}" for x in _ENDS if x in found]
    sentence = f"{'; '.join(words)}."
    if close and "unfinished" in found:
        return f"{sentence} Not all trainings were completed, so they allow no range."
    return sentence


def best_lanes(outcomes: Sequence[Outcome], steps: int) -> str:
    """Return which lanes have the lowest loss, as a clause."""
    close, length = _rates(outcomes, "close"), counted(steps, "step")
    if len(close) > 1:
        return f"{_listed(close)} cannot be told apart after {length}"
    if close:
        return f"{close[0]} has the lowest loss after {length}"
    return "The trainings suggest no rate"


def _rates(outcomes: Sequence[Outcome], state: LaneState) -> list[str]:
    return [short(x.lane.lr) for x in outcomes if x.state == state]


def _listed(rates: list[str]) -> str:
    *others, last = rates
    return f"{', '.join(others)} and {last}" if others else last


def unusable_validation(start_loss: float) -> str:
    """Return that validation losses are not compared, and why."""
    return (
        f"The validation loss is {start_loss} before the first step, so the training "
        "losses are compared."
    )


def allowed_range(low: float, high: float, decades: float, total: int | None) -> str:
    """Return the range for the real training, and why it is below the best lane."""
    if not decades:
        return "These trainings are as long as yours, so the lowest loss counts."
    length = "ten times as many steps" if total is None else f"{total} steps"
    return (
        "A longer training needs a lower rate than the best of a short one: "
        f"{short(low)} to {short(high)} for {length}."
    )


def final_suggestion(suggested: float | None, lr: float) -> str:
    """Return how the suggestion follows from that of the range test."""
    if suggested is None:
        return (
            f"The range test suggests no rate; {short(lr)} is the middle of the range."
        )
    if suggested == lr:
        return f"The suggestion of the range test, {short(lr)}, is in this range."
    nearest = f"{short(lr)} is the nearest rate in the range"
    return f"The range test suggests {short(suggested)}; {nearest}."


def unchecked_suggestion(suggestion: Suggestion) -> str:
    """Return the suggestion of the range test, without a check."""
    if suggestion.lr is None:
        return f"The range test suggests no rate either: {suggestion.reason}."
    return f"{short(suggestion.lr)} is the suggestion of the range test alone."
