from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from tests.engine.training_parts import loader, state, warm


def _write(tensor: Any) -> None:
    with torch.no_grad():
        tensor.view(-1)[0] += 1


class _Parts:
    def __init__(self) -> None:
        self.model, self.optimizer = warm(lambda ps: AdamW(ps, lr=0.003))
        self.scheduler = LambdaLR(self.optimizer, lambda epoch: 0.1 * epoch)
        self.scaler = torch.amp.GradScaler("cpu")
        self.loader: Any = loader(generator=torch.Generator())

    def state(self) -> Any:
        parts = self.optimizer, self.loader, self.scheduler, self.scaler
        return state(self.model, *parts)


_CHANGES: dict[str, Any] = {
    "weight": lambda p: _write(p.model.head.weight),
    "frozen weight": lambda p: _write(p.model.frozen.weight),
    "other parameter": lambda p: setattr(
        p.model.head, "bias", nn.Parameter(p.model.head.bias.detach())
    ),
    "buffer": lambda p: _write(p.model.features[1].running_mean),
    "non-persistent buffer": lambda p: _write(p.model.seen),
    "counter": lambda p: setattr(p.model, "calls", p.model.calls + 1),
    "new attribute": lambda p: setattr(p.model, "new", 1),
    "gradient": lambda p: _write(p.model.head.weight.grad),
    "other gradient": lambda p: setattr(
        p.model.head.weight, "grad", p.model.head.weight.grad.clone()
    ),
    "no gradient": lambda p: p.model.zero_grad(),
    "frozen": lambda p: p.model.head.requires_grad_(requires_grad=False),
    "mode": lambda p: p.model.features[3].eval(),
    "hook": lambda p: p.model.head.register_forward_hook(print),
    "optimizer state": lambda p: _write(
        p.optimizer.state[p.model.head.weight]["exp_avg"]
    ),
    "rate": lambda p: p.optimizer.param_groups[0].update(lr=1.0),
    "scheduler": lambda p: p.scheduler.step(),
    "scaler": lambda p: p.scaler.update(2.0),
    "generator": lambda p: torch.rand(1, generator=p.loader.generator),
    "sampler": lambda p: setattr(p.loader.sampler, "epoch", 1),
    "loader": lambda p: setattr(p.loader, "timeout", 1),
    "python": lambda p: random.random(),  # noqa: ARG005, S311 (drawn to be seen)
    "numpy": lambda p: np.random.rand(),  # noqa: ARG005, NPY002 (drawn to be seen)
    "torch": lambda p: torch.rand(1),  # noqa: ARG005 (drawn to be seen)
}


@pytest.mark.filterwarnings("ignore:Detected call of:UserWarning")
@pytest.mark.parametrize("change", _CHANGES)
def test_every_change_is_seen(change: str) -> None:
    parts = _Parts()
    before = parts.state()
    assert parts.state() == before
    if change == "scaler":
        parts.scaler.scale(torch.ones(()))
        before = parts.state()
    _CHANGES[change](parts)
    assert parts.state() != before
