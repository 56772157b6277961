"""Several trainings that give their steps as one source, in turns or at once."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from lrwidget.curve.lr_curve import Recording, Step, StopReason


class Part(NamedTuple):
    """
    What one of several trainings gives.

    Attributes
    ----------
    number:
        How many trainings come before it in their order.
    item:
        Its next step, or why it has ended.
    """

    number: int
    item: Step | StopReason


def numbered(
    number: int, steps: Generator[Step, None, StopReason]
) -> Generator[Part, None, None]:
    """Yield the steps of a training, and why it has ended, as those of one of many."""
    reason = yield from steps_numbered(number, steps)
    yield Part(number, reason)


def steps_numbered(
    number: int, steps: Generator[Step, None, StopReason]
) -> Generator[Part, None, StopReason]:
    """Yield the steps of a training as those of one of many; return why it ended."""
    with closing(steps):
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                reason: StopReason = end.value
                return reason
            yield Part(number, step)


class Recordings:
    """
    The steps of several trainings, whose parts come in any order.

    Parameters
    ----------
    every:
        What records each of them, in their order.
    """

    def __init__(self, every: Sequence[Recording]) -> None:
        self.every = every
        self._stop_reason: StopReason | None = None

    def __len__(self) -> int:
        """Return the number of steps so far, of all trainings together."""
        return sum(len(recording) for recording in self.every)

    @property
    def total(self) -> int:
        """How many steps there are to be, of which early ends leave some out."""
        return sum(
            recording.total if recording.stop_reason is None else len(recording)
            for recording in self.every
        )

    @property
    def stop_reason(self) -> StopReason | None:
        """Why all of it has ended, which is set when it has."""
        return self._stop_reason

    @stop_reason.setter
    def stop_reason(self, reason: StopReason | None) -> None:
        self._stop_reason = reason
        for recording in self.begun().values():
            if recording.stop_reason is None:
                # The last step may be there, and not yet what it comes to.
                done = len(recording) == recording.total
                recording.stop_reason = "completed" if done else reason

    def append(self, part: Part) -> None:
        """Add the next step of a training, or its end."""
        number, item = part
        if isinstance(item, str):
            self.every[number].stop_reason = item
        else:
            self.every[number].append(item)

    def begun(self) -> dict[int, Recording]:
        """Return those that have a step or an end, by their number."""
        return {
            number: recording
            for number, recording in enumerate(self.every)
            if len(recording) or recording.stop_reason is not None
        }
