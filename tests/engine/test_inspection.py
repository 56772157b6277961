"""What modules hold, as torch itself lists it."""

from __future__ import annotations

import torch
from torch import nn

from lrwidget.engine.inspection import buffers_in, parameters_in


def test_each_once_and_in_torchs_order() -> None:
    first, last = nn.Linear(3, 3), nn.Linear(3, 3, bias=False)
    last.weight = first.weight
    model = nn.Sequential(first, nn.BatchNorm1d(3), last, first)
    model.register_buffer("mean", torch.zeros(3))
    model.register_buffer("none", None)
    for found, expected in (
        (parameters_in(model.modules()), model.parameters()),
        (buffers_in(model.modules()), model.buffers()),
    ):
        assert [id(x) for x in found] == [id(x) for x in expected]
