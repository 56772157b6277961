"""Which controls a widget has: those that make sense for what it shows."""

from __future__ import annotations

from typing import NamedTuple


class Controls(NamedTuple):
    """
    What there is to press beside Stop, and what every chart has.

    Attributes
    ----------
    run:
        The Run button, while nothing runs.
    settings:
        The settings of the next run.
    race:
        The Race button.
    apply:
        The Apply button.
    """

    run: bool = True
    settings: bool = True
    race: bool = True
    apply: bool = True


EVERYTHING = Controls()


def display(*, shown: bool) -> str | None:
    """Return how the layout of a widget says whether that is shown."""
    return None if shown else "none"
