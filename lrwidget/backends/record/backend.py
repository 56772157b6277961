"""The back end of a widget that follows a record: nothing can be started."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from lrwidget.backends.base import Capabilities
from lrwidget.backends.record.job import RecordJob
from lrwidget.config import TestConfig
from lrwidget.curve.records.store import place_of
from lrwidget.curve.short_repr import short_repr

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import NoReturn


class RecordBackend:
    """
    The one test of a record, which runs elsewhere.

    Parameters
    ----------
    path:
        The path or URL of the record.
    value:
        A rate that is chosen from the start, for which there is room in the chart.

    Attributes
    ----------
    name:
        The path as it was given.
    job:
        The job that follows the test.

    Raises
    ------
    TypeError
        If ``path`` is no path.
    """

    capabilities = Capabilities(run=False, race=False, apply=False)

    def __init__(self, path: str | os.PathLike[str], value: float | None) -> None:
        usable = isinstance(path, str) or (
            isinstance(path, os.PathLike) and isinstance(os.fspath(path), str)
        )
        if not usable:
            msg = (
                f"path={short_repr(path)} must be the path of a record; pass for "
                "example a str"
            )
            raise TypeError(msg)
        config = TestConfig()
        if value is not None:
            low, high = min(config.start_lr, value), max(config.end_lr, value)
            config = TestConfig(start_lr=low, end_lr=high)
        self.config = config
        self.arguments: dict[str, Any] = {}
        store = place_of(path)
        self.name = store.given
        self.job = RecordJob(store)

    def check_can_run(self) -> NoReturn:
        """Raise RuntimeError, since nothing is run here."""
        msg = (
            f"this widget follows the record {self.name!r} of a test that runs "
            "elsewhere: it can watch and stop that, and has nothing to run or to write "
            "to; make a widget of the model where that is"
        )
        raise RuntimeError(msg)

    def as_made(self) -> AbstractContextManager[object]:
        """Return an empty context, since nothing is run here."""
        return nullcontext()

    def test(self, _changes: Mapping[str, Any]) -> NoReturn:
        """Raise RuntimeError, since nothing is run here."""
        self.check_can_run()

    def compare(self, _changes: Sequence[Mapping[str, Any]]) -> NoReturn:
        """Raise RuntimeError, since nothing is run here."""
        self.check_can_run()

    def race(
        self, _changes: Mapping[str, Any], _rates: Sequence[float], _steps: int
    ) -> NoReturn:
        """Raise RuntimeError, since nothing is run here."""
        self.check_can_run()

    def rate_ratios(self) -> NoReturn:
        """Raise RuntimeError, since the optimizer is elsewhere."""
        self.check_can_run()

    def apply_rate(self, _rate: float) -> NoReturn:
        """Raise RuntimeError, since the optimizer is elsewhere."""
        self.check_can_run()
