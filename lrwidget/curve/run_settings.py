"""The settings of runs as texts, and what they tell of the differences of runs."""

from __future__ import annotations

import inspect
import numbers
from typing import TYPE_CHECKING, Any

import numpy as np

from lrwidget.curve.ticks import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lrwidget.curve.runs import Run

_FROM_THE_SWEEP = {"lr", "initial_lr", "max_lr", "params"}
_IN_OWN_COLUMN = {"num_it"}  # of the table of runs
_NOTHING = str(None)
_FEWEST = 3  # steps that tell whether two runs saw the same batches


def brief(value: object) -> str:
    """Return a value in a few letters: a number, text, or the name of its type."""
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
        return plain(float(value))
    if isinstance(value, numbers.Number | str | type(None)):
        return str(value)
    return str(getattr(value, "__name__", type(value).__name__))


def texts_of(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each argument of a run; no object is kept."""
    texts = {name: brief(value) for name, value in arguments.items()}
    if "optimizer" in arguments:
        texts["optimizer"] = _optimizer(arguments["optimizer"])
    return texts


def differences(runs: Sequence[Run]) -> list[str]:
    """
    Return for each run its settings that are not the same in all runs.

    An optimizer is told by its type and its options other than the default ones, such
    as ``SGD, momentum=0.9``. The number of steps and settings of None are left out.
    """
    every = dict.fromkeys(name for run in runs for name in run.settings)
    different = [
        name
        for name in every
        if name not in _IN_OWN_COLUMN
        and len({run.settings.get(name) for run in runs}) > 1
    ]
    return [
        ", ".join(
            text if name == "optimizer" else f"{name}={text}"
            for name in different
            if (text := run.settings.get(name, _NOTHING)) != _NOTHING
        )
        for run in runs
    ]


def same_as(run: Run, others: Sequence[Run]) -> Run | None:
    """Return the latest other run with exactly the same losses, if there is one."""
    _, losses = run.history.columns()
    if len(losses) < _FEWEST:
        return None
    for other in reversed(others):
        _, before = other.history.columns()
        if other.history is run.history:
            continue
        if np.array_equal(before, losses, equal_nan=True):
            return other
    return None


def _optimizer(value: object) -> str:
    """Return the type of an optimizer, and its options other than the default ones."""
    if isinstance(value, list | tuple):
        return " + ".join(map(_optimizer, value))
    words = [brief(value)]
    try:
        group = value.param_groups[-1]  # type: ignore[attr-defined]  # of any class
        usual = inspect.signature(type(value)).parameters
        words += [
            f"{name}={brief(option)}"
            for name, option in group.items()
            if name in usual and name not in _FROM_THE_SWEEP
            if not _same(option, usual[name].default)
        ]
    except Exception:  # noqa: BLE001 (of a user's class, which may do anything)
        return words[0]
    return ", ".join(words)


def _same(one: object, other: object) -> bool:
    return one is other or brief(one) == brief(other)
