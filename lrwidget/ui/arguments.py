"""The checks of what the widget is given beside its range test."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lrwidget.curve.records.store import place_of
from lrwidget.curve.short_repr import shown
from lrwidget.ui.view import MOST_SMOOTHING

if TYPE_CHECKING:
    from lrwidget.curve.records.store import Place


def usable_path(path: object) -> Place:
    """Return where a record is that is to be followed; raise if that is no path."""
    if isinstance(path, str) or (
        isinstance(path, os.PathLike) and isinstance(os.fspath(path), str)
    ):
        return place_of(path)
    msg = f"path={shown(path)} must be the path of a record; pass for example a str"
    raise TypeError(msg)


def check_smoothing(smoothing: object) -> None:
    """Raise unless the slider can stand there."""
    if isinstance(smoothing, bool) or not isinstance(smoothing, numbers.Real):
        msg = f"smoothing={shown(smoothing)} must be a number; pass for example 0.98"
        raise TypeError(msg)
    try:
        usable = 0 <= float(smoothing) <= MOST_SMOOTHING
    except OverflowError:
        usable = False
    if not usable:
        msg = f"smoothing={shown(smoothing)} must be from 0 to {MOST_SMOOTHING}"
        raise ValueError(msg)


def check_value(value: object) -> None:
    """Raise unless a value can be chosen, or is None."""
    try:
        # What is no number raises here.
        rate = 1.0 if value is None else float(value)  # type: ignore[arg-type]
        usable = 0 < rate < math.inf
    except (TypeError, ValueError, OverflowError):
        usable = False
    if not usable:
        msg = (
            f"value={shown(value)} must be a rate above 0, or None; "
            "pass for example 1e-3"
        )
        raise ValueError(msg)


def check_label(label: object) -> None:
    """Raise unless a run can be called so, or is to be named by itself."""
    if label is not None and not (isinstance(label, str) and label):
        msg = (
            f"label={shown(label)} must be some text, or None; "
            "pass for example 'wd=1e-4'"
        )
        raise TypeError(msg)


def check_comparison(runs: object) -> None:
    """Raise unless they are labels with what each run has otherwise."""
    example = "pass for example {'wd=0': {'optimizer': one}, 'wd=0.1': {...}}"
    if not isinstance(runs, Mapping) or not all(
        isinstance(changes, Mapping) for changes in runs.values()
    ):
        msg = f"runs={shown(runs)} must be a dict of dicts; {example}"
        raise TypeError(msg)
    if not runs:
        msg = f"runs={shown(runs)} is empty; {example}"
        raise ValueError(msg)
    for label in runs:
        if label is None:
            msg = f"runs={shown(runs)} has None for a label; {example}"
            raise TypeError(msg)
        check_label(label)


def check_inside(rates: list[float], start_lr: float, end_lr: float) -> None:
    """Raise unless all rates are within the swept range, so that each can be chosen."""
    for rate in rates:
        if not start_lr <= rate <= end_lr:
            msg = (
                f"rates={rates!r} must lie from start_lr={start_lr!r} to "
                f"end_lr={end_lr!r}, to be chosen; make the widget with a wider range"
            )
            raise ValueError(msg)
