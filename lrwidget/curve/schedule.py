"""The learning rate of every step of a range test."""

from __future__ import annotations

import math
import numbers
import operator
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from lrwidget.curve.short_repr import short_repr

if TYPE_CHECKING:
    import numpy.typing as npt

StepMode: TypeAlias = Literal["exp", "linear"]
_MOST_LR = 1e38  # torch.float32, and what draws the chart, have no larger numbers
_MOST = 1_000_000  # before a slip of the finger fills the memory
_STEP_MODES: tuple[str, ...] = get_args(StepMode)


def learning_rates(
    start_lr: float, end_lr: float, num_it: int, step_mode: StepMode = "exp"
) -> npt.NDArray[np.float64]:
    """
    Return the learning rates of a range test, both ends included exactly.

    Parameters
    ----------
    start_lr:
        The first rate, above 0.
    end_lr:
        The last rate, above ``start_lr``, and at most 1e38.
    num_it:
        How many rates, from 2 to a million.
    step_mode:
        ``"exp"`` for equal ratios between neighbours, as in fastai, or
        ``"linear"`` for equal differences, as in Smith (2015, arXiv:1506.01186).

    Returns
    -------
    :
        ``num_it`` strictly increasing rates.

    Raises
    ------
    TypeError
        If a rate is not a number or ``num_it`` is not an integer.
    ValueError
        If an argument is outside its range.
    """
    start, end = positive_rate("start_lr", start_lr), positive_rate("end_lr", end_lr)
    if start >= end:
        msg = (
            f"start_lr={short_repr(start_lr)} must be below "
            f"end_lr={short_repr(end_lr)}; pass for example start_lr=1e-7, end_lr=10"
        )
        raise ValueError(msg)
    if end > _MOST_LR:
        msg = (
            f"end_lr={short_repr(end_lr)} must be at most {_MOST_LR}; "
            "pass for example 10"
        )
        raise ValueError(msg)
    count = _count("num_it", num_it)
    if not isinstance(step_mode, str) or step_mode not in _STEP_MODES:
        msg = (
            f"step_mode={short_repr(step_mode)} is not known; pass one of {_STEP_MODES}"
        )
        raise ValueError(msg)
    spaced = np.geomspace if step_mode == "exp" else np.linspace
    rates = spaced(start, end, count)
    if not np.all(np.diff(rates) > 0):
        msg = (
            f"num_it={short_repr(num_it)} rates between "
            f"start_lr={short_repr(start_lr)} and end_lr={short_repr(end_lr)} are too "
            "close to tell apart; pass fewer steps or a wider range"
        )
        raise ValueError(msg)
    return rates


def positive_rate(name: str, value: object) -> float:
    """
    Return a learning rate as a float.

    Raises
    ------
    TypeError
        If it is not a number.
    ValueError
        If it is not finite and above 0.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        msg = (
            f"{name}={short_repr(value)} must be a number; pass for example {name}=1e-3"
        )
        raise TypeError(msg)
    try:
        rate = float(value)
    except OverflowError:
        rate = math.inf
    if not (math.isfinite(rate) and rate > 0):
        msg = (
            f"{name}={short_repr(value)} must be finite and above 0; "
            f"pass for example {name}=1e-3"
        )
        raise ValueError(msg)
    return rate


def _count(name: str, value: object) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError  # noqa: TRY301 (a bool is an index, but never meant)
        count = operator.index(value)  # type: ignore[arg-type]  # raises TypeError
    except TypeError:
        msg = (
            f"{name}={short_repr(value)} must be an integer; "
            f"pass for example {name}=100"
        )
        raise TypeError(msg) from None
    if count < 2:  # noqa: PLR2004 (a range has two ends)
        msg = (
            f"{name}={short_repr(value)} must be at least 2; "
            f"pass for example {name}=100"
        )
        raise ValueError(msg)
    if count > _MOST:
        msg = (
            f"{name}={short_repr(value)} must be at most {_MOST}; "
            f"pass for example {name}=100"
        )
        raise ValueError(msg)
    return count
