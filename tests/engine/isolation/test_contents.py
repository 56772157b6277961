"""What modules hold, as torch itself lists it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim import SGD

from lrwidget.engine.isolation.components import Components
from lrwidget.engine.isolation.contents import Contents


def test_each_once_and_in_torchs_order() -> None:
    first, last = nn.Linear(3, 3), nn.Linear(3, 3, bias=False)
    last.weight = first.weight
    model = nn.Sequential(first, nn.BatchNorm1d(3), last, first)
    model.register_buffer("mean", torch.zeros(3))
    model.register_buffer("none", None)
    groups: Any = [{"params": [last.weight]}, {"params": [first.bias]}]
    contents = Contents(Components(model, SGD(groups, lr=0.1)), model)
    for found, expected in (
        (contents.modules, model.modules()),
        (contents.parameters, model.parameters()),
        (contents.buffers, model.buffers()),
        (contents.trained, [last.weight, first.bias]),
    ):
        assert [id(x) for x in found] == [id(x) for x in expected]
