"""Range tests that differ, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lrwidget.curve.history import Part, steps_numbered
from lrwidget.engine.distributed import context as ranks
from lrwidget.engine.thread_settings import ThreadSettings

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from lrwidget.curve.lr_curve import Step, StopReason
    from lrwidget.engine.range_test import RangeTest


class Comparison:
    """
    Range tests, run one after the other by iterating over them.

    Each starts when the one before has put all back, from the model as it is then.

    Parameters
    ----------
    tests:
        They, at least one.
    """

    def __init__(self, tests: Sequence[RangeTest]) -> None:
        self.tests = tests
        self._present = tests[0]

    @property
    def waiting_for(self) -> str | None:
        """As that of the `RangeTest` that runs."""
        return self._present.waiting_for

    def __iter__(self) -> Generator[Part, None, StopReason]:
        """
        Start the first, as its iteration does; the generator returns why they end.

        The settings of the thread are taken for all of them.
        """
        self._present = self.tests[0]
        return self._parts(iter(self._present), ThreadSettings())

    def _parts(
        self, first: Generator[Step, None, StopReason], ambient: ThreadSettings
    ) -> Generator[Part, None, StopReason]:
        steps = first
        for number, test in enumerate(self.tests):
            if number:
                self._present = test
                with ambient.entered():
                    steps = iter(test)
            reason = yield from steps_numbered(number, steps)
            # A rank that has stopped begins no other one.
            left = reason == "stopped" and ranks.several()
            if number + 1 == len(self.tests) or left:
                break
            with ranks.announced():  # so that no other rank begins the next one alone
                yield Part(number, reason)
        yield Part(number, reason)
        return "stopped" if left else "completed"
