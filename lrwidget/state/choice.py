"""The chosen rate as the state has it, and a drag of its handle."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol


class Choice(NamedTuple):
    """A chosen rate, and the suggestion that it follows, if any."""

    rate: float | None
    suggested: float | None

    @property
    def follows(self) -> bool:
        """Whether the rate is a suggestion, and changes with it."""
        return self.rate is not None and self.rate == self.suggested


class RateOwner(Protocol):
    """The owner of the chosen rate, which calls its observers."""

    value: float | None

    @property
    def choice(self) -> Choice:
        """The chosen rate, and the suggestion that it follows."""

    def restore(self, choice: Choice) -> None:
        """Choose what was chosen before."""

    def pick(self, rate: float) -> None:
        """Choose a rate, whatever was chosen before."""

    def follow_suggestion(self, suggestion: float) -> None:
        """Choose a suggestion, unless another rate was picked."""


class Drag(NamedTuple):
    """A drag of the handle: the edges of the chart, and the latest place."""

    low: float = 0.0
    high: float = math.inf
    place: float | None = None
    ended: bool = True

    def to(self, rate: float) -> Drag:
        """Return the drag at another place."""
        # The last place of a drag may arrive once more after its end.
        if self.ended and rate != self.place:
            return Drag(place=rate)
        return self._replace(place=rate)
