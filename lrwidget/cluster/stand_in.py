"""The settings of a test that runs elsewhere, checked without its model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from lrwidget.curve.shown import shown
from lrwidget.engine import ranks
from lrwidget.engine.range_test import RangeTest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_BUILT = ("val_loader", "grad_scaler")


def stand_in(settings: Mapping[str, Any]) -> RangeTest:
    """
    Return the test of another training with some settings, as far as that tells.

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
    model = nn.Linear(1, 1, device="cpu")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = [(torch.zeros(1, 1), torch.zeros(1, 1))]
    own_loss = settings.get("training_step") is not None
    loss_fn = None if own_loss else nn.MSELoss()
    with ranks.unannounced():
        return RangeTest(model, optimizer, batches, loss_fn, **settings)
