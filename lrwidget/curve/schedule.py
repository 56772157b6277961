"""The learning rate of every step of a range test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from lrwidget.curve.checks import check_known, invalid, positive_rate, usable_count
from lrwidget.curve.short_repr import short_repr

if TYPE_CHECKING:
    import numpy.typing as npt

StepMode: TypeAlias = Literal["exp", "linear"]
MOST_LR = 1e38  # torch.float32, and what draws the chart, have no larger numbers


def learning_rates(
    start_lr: float, end_lr: float, num_it: int, step_mode: StepMode = "exp"
) -> npt.NDArray[np.float64]:
    """
    Return the strictly increasing rates of a range test, with exactly these ends.

    ``"exp"`` has equal ratios between neighbours, as in fastai, and ``"linear"`` equal
    differences, as in Smith (2015, arXiv:1506.01186).
    """
    start, end = positive_rate("start_lr", start_lr), positive_rate("end_lr", end_lr)
    if start >= end:
        problem = (
            f"must be below end_lr={short_repr(end_lr)}; pass for example "
            "start_lr=1e-7, end_lr=10"
        )
        raise invalid(start_lr, "start_lr", problem)
    if end > MOST_LR:
        problem = f"must be at most {MOST_LR}; pass for example 10"
        raise invalid(end_lr, "end_lr", problem)
    count = usable_count("num_it", num_it, least=2, example="num_it=100")
    check_known("step_mode", step_mode, get_args(StepMode))
    spaced = np.geomspace if step_mode == "exp" else np.linspace
    rates = spaced(start, end, count)
    if not np.all(np.diff(rates) > 0):
        problem = (
            f"rates between start_lr={short_repr(start_lr)} and "
            f"end_lr={short_repr(end_lr)} are too close to tell apart; pass fewer "
            "steps or a wider range"
        )
        raise invalid(num_it, "num_it", problem)
    return rates
