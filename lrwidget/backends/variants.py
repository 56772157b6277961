"""The runs of one widget, which differ in some of its arguments."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Any

from lrwidget.backends.base import DEFAULTS
from lrwidget.curve.axis import plain
from lrwidget.curve.lr_curve import Recording
from lrwidget.curve.runs import RepeatKey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lrwidget.backends.base import Source

_PLAIN = (numbers.Number, str, type(None))  # NumPy's numbers, too


class Variants:
    """
    The arguments of the tests of a widget, of which each run may change some.

    Parameters
    ----------
    arguments:
        All of them.
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self.arguments = {**DEFAULTS, **arguments}

    @property
    def settings(self) -> dict[str, Any]:
        """What the fields for the next run say at first."""
        settings = {name: self.arguments[name] for name in DEFAULTS}
        # The rates as plain numbers, whatever kind they were given in.
        rates = {name: float(settings[name]) for name in ("start_lr", "end_lr")}
        return settings | rates

    def check_runs(self) -> None:
        """Raise nothing: whatever cannot be run says so itself."""

    def recording(self, test: Source) -> Recording:
        """Return what records the steps of a test."""
        return Recording(test.num_it)

    def name(self, changes: Mapping[str, Any]) -> str:
        """Return what a run is called for what it has otherwise than the widget."""
        other = self._other(changes)
        return ", ".join(f"{name}={_shown(other[name])}" for name in other) or "run"

    def setting(self, changes: Mapping[str, Any], label: str | None) -> RepeatKey:
        """
        Return what a run has in common with those that repeat it.

        These differ in the seed at most. Whether one optimizer, say, is set as another
        is not known, so that runs with others than the widget repeat each other only
        if they have the same label.

        Parameters
        ----------
        changes:
            What it has otherwise than the widget.
        label:
            What it is called by its user.
        """
        every = {**self.arguments, **changes}
        start, end = float(every["start_lr"]), float(every["end_lr"])
        rates = start, end, int(every["num_it"])
        if label is not None:
            return RepeatKey(label, *rates, every["step_mode"])
        other = self._other({**changes, "seed": self.arguments["seed"]})
        known = all(isinstance(value, _PLAIN) for value in other.values())
        alike = tuple(other.items()) if known else object()
        return RepeatKey(self.name(other), *rates, alike)

    def _other(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Return those changes that change something."""
        own = self.arguments
        return {x: changes[x] for x in changes if not _same(changes[x], own.get(x))}


def _same(one: object, other: object) -> bool:
    # Objects of users may compare in any way, or not at all.
    return one is other or (isinstance(one, _PLAIN) and one == other)


def _shown(value: object) -> str:
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
        return plain(float(value))
    if isinstance(value, _PLAIN):
        return str(value)
    # What functions and classes are called, and what other objects are.
    return str(getattr(value, "__name__", type(value).__name__))
