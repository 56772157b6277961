"""The test of a widget that follows a record."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lrwidget.backends.base import DEFAULTS
from lrwidget.backends.record.job import FollowedRecording, FollowedTest
from lrwidget.curve.runs import RepeatKey
from lrwidget.ui.capabilities import Controls

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

    from lrwidget.backends.base import Source
    from lrwidget.curve.records.store import Place

_NO_RATES = math.inf, 0.0, 0  # the source itself knows them, once the record says so


class RecordedRecipe:
    """
    The one test of a record, which runs elsewhere: nothing can be started.

    Parameters
    ----------
    place:
        Where the record is.
    value:
        A rate that is chosen from the start, for which there is room in the chart.
    """

    controls = Controls(run=False, settings=False, race=False, apply=False)
    loss_name = "loss"

    def __init__(self, place: Place, value: float | None) -> None:
        start, end = DEFAULTS["start_lr"], DEFAULTS["end_lr"]
        if value is not None:
            start, end = min(start, value), max(end, value)
        self.settings = {**DEFAULTS, "start_lr": start, "end_lr": end}
        self._name = place.given
        self._test = FollowedTest(place, start, end, DEFAULTS["num_it"])

    def check_runs(self) -> NoReturn:
        """Raise RuntimeError, since nothing is run here."""
        self._test.check_free()

    def test(self, _changes: Mapping[str, Any]) -> FollowedTest:
        """Return the test that is followed."""
        return self._test

    def race(
        self, _changes: Mapping[str, Any], _rates: Sequence[float], _steps: int | None
    ) -> NoReturn:
        """Raise RuntimeError, since nothing is run here."""
        self._test.check_free()

    def compare(self, _changes: Sequence[Mapping[str, Any]]) -> NoReturn:
        """Raise RuntimeError, since nothing is run here."""
        self._test.check_free()

    def recording(self, _test: Source) -> FollowedRecording:
        """Return what records the items of the test."""
        return FollowedRecording()

    def name(self, _changes: Mapping[str, Any]) -> str:
        """Return what the run is called: as its record is."""
        return self._name

    def setting(self, _changes: Mapping[str, Any], label: str | None) -> RepeatKey:
        """Return what the run has in common with others, of which there are none."""
        return RepeatKey(label or self._name, *_NO_RATES, None)

    def ratios(self) -> NoReturn:
        """Raise RuntimeError, since the parameter groups are not known here."""
        self._test.check_free()

    def write(self, _rate: float) -> NoReturn:
        """Raise RuntimeError, since there is no optimizer here."""
        self._test.check_free()
