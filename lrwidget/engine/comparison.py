"""Range tests that differ, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lrwidget.curve.parts import Part, numbered
from lrwidget.engine.ambient import Ambient

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from lrwidget.curve.record import Step, StopReason
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
        return self._parts(iter(self._present), Ambient())

    def _parts(
        self, first: Generator[Step, None, StopReason], ambient: Ambient
    ) -> Generator[Part, None, StopReason]:
        yield from numbered(0, first)
        for number, test in enumerate(self.tests[1:], start=1):
            self._present = test
            with ambient.entered():
                steps = iter(test)
            yield from numbered(number, steps)
        return "completed"
