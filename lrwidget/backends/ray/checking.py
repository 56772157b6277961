"""The settings of a test that runs elsewhere, checked without its training."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from lrwidget.curve.short_repr import shown
from lrwidget.engine import arguments
from lrwidget.engine.range_test import RangeTest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from lrwidget.engine.arguments import CheckedSettings

_BUILT = ("val_loader", "grad_scaler")
_SIGNATURE = inspect.signature(RangeTest)
_TRAINING = ("model", "optimizer", "dataloader", "loss_fn")


def checked(settings: Mapping[str, Any]) -> CheckedSettings:
    """
    Return the settings of the tests on the workers, with the defaults of `RangeTest`.

    Nothing is made for it, so that no random number is drawn.

    Raises
    ------
    TypeError, ValueError
        As `RangeTest` raises them, and for what only the workers can have.
    """
    for name in _BUILT:
        if settings.get(name) is not None:
            msg = (
                f"{name}={shown(settings[name])} must be made where the workers are; "
                f"let build return a dict with {name!r} after the loss function"
            )
            raise ValueError(msg)
    if settings.get("device") is not None:
        device = shown(settings["device"])
        msg = f"device={device} is up to the cluster; pass use_gpu=True for GPUs"
        raise ValueError(msg)
    call = _SIGNATURE.bind(*_TRAINING, **settings)  # raises TypeError, as a call does
    call.apply_defaults()
    every = call.arguments
    arguments.check_functions(None, every["training_step"])
    left_out = {*_TRAINING, *_BUILT, "training_step"}
    return arguments.checked_settings(
        **{name: value for name, value in every.items() if name not in left_out}
    )
