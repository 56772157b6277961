"""The result of a short training at one learning rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lrwidget.curve.arrays import float_array
from lrwidget.curve.checks import invalid, positive_rate
from lrwidget.curve.lr_curve import check_stop_reason, planned_steps
from lrwidget.curve.smoothing import exponential_mean

if TYPE_CHECKING:
    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.lr_curve import StopReason

_BETA = 0.9
_LAST_SHARE = 10


@dataclass(frozen=True, eq=False)
class TrainingCurve:
    """
    The raw losses of one training at a constant learning rate.

    Parameters
    ----------
    lr:
        The rate of each optimizer step, finite and above 0; of several parameter
        groups, the last one's.
    losses:
        The raw loss of each step. NaN and infinity are kept.
    stop_reason:
        Why the training ended, as that of an `LRCurve`; None while it runs and where
        it failed.
    num_it:
        How many steps the training was to have; as many as ``losses`` if not given.
    val_losses:
        The mean loss of each batch of a ``val_loader`` after the last step; empty if it
        was not measured.
    val_samples:
        The number of samples of each of these batches, above 0; one each if not given.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    """

    lr: float
    losses: FloatArray
    stop_reason: StopReason | None = None
    num_it: int = 0
    val_losses: FloatArray = ()  # type: ignore[assignment]  # an array later
    val_samples: FloatArray = ()  # type: ignore[assignment]  # as above

    def __post_init__(self) -> None:
        """Check the arguments, and copy the losses so that nobody can change them."""
        lr = positive_rate("lr", self.lr)
        losses = float_array("losses", self.losses)
        check_stop_reason(self.stop_reason)
        num_it = planned_steps(self.num_it, len(losses))
        found = {"lr": lr, "losses": losses, "num_it": num_it}
        found["val_losses"] = val_losses = float_array("val_losses", self.val_losses)
        samples = float_array("val_samples", self.val_samples)
        usable = (np.isfinite(samples) & (samples > 0)).all()
        if len(samples) not in (0, len(val_losses)) or not usable:
            problem = (
                f"must be {len(val_losses)} finite numbers above 0; pass the number of "
                "samples of each batch in val_losses"
            )
            raise invalid(self.val_samples, "val_samples", problem)
        found["val_samples"] = samples if len(samples) else np.ones(len(val_losses))
        for name, value in found.items():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        """Return the number of steps."""
        return len(self.losses)

    def __repr__(self) -> str:
        """Return one short line."""
        return (
            f"<TrainingCurve: lr={self.lr:.3g}, {len(self)} steps, "
            f"final_loss={self.final_loss:.4g}, stop_reason={self.stop_reason!r}>"
        )

    def smoothed(self, beta: float = _BETA) -> FloatArray:
        """Return the losses smoothed like `LRCurve.smoothed`, by default less."""
        return exponential_mean(self.losses, beta)

    @property
    def final_loss(self) -> float:
        """The mean loss of the last tenth of the steps; NaN unless all were done."""
        if self.stop_reason != "completed" or not len(self):
            return math.nan
        return float(self.losses[-max(len(self) // _LAST_SHARE, 1) :].mean())

    @property
    def val_loss(self) -> float:
        """The mean validation loss after the last step; NaN if it was not measured."""
        if not len(self.val_losses):
            return math.nan
        return float(np.average(self.val_losses, weights=self.val_samples))
