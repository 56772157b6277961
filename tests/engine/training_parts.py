"""Small trainings for the tests, and the whole state that a test must not touch."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch.optim import Optimizer


class Net(nn.Module):
    """A network with all that a range test could leave changed."""

    seen: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.2)
        )
        self.frozen = nn.Linear(24, 24)
        self.head = nn.Linear(24, 3)
        self.register_buffer("seen", torch.zeros(()), persistent=False)
        self.calls = 0
        self.frozen.requires_grad_(requires_grad=False)
        self.frozen.eval()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.seen += len(inputs)
        hidden = self.features(inputs.unsqueeze(1)).flatten(1)
        result: torch.Tensor = self.head(self.frozen(hidden).relu())
        return result


def data(count: int = 96) -> TensorDataset:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(count, 8, generator=generator)
    targets = inputs[:, :3].argmax(1)
    return TensorDataset(inputs, targets)


def loader(**kwargs: Any) -> DataLoader[tuple[torch.Tensor, ...]]:
    return DataLoader(data(), batch_size=16, shuffle=True, **kwargs)


def train(
    model: nn.Module, optimizer: Optimizer, batches: Any, epochs: int = 1
) -> list[float]:
    """Train by the loop that everybody writes."""
    losses = []
    for _ in range(epochs):
        for inputs, targets in batches:

            def closure(x: torch.Tensor = inputs, y: torch.Tensor = targets) -> float:
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(x), y)
                loss.backward()
                return loss.item()

            losses.append(optimizer.step(closure))
    return losses


def warm(make_optimizer: Callable[[Any], Optimizer]) -> tuple[Net, Optimizer]:
    """Return a network in mid-training: warm optimizer, gradients, mixed modes."""
    model = Net()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = make_optimizer(parameters)
    train(model, optimizer, loader())
    nn.functional.cross_entropy(
        model(torch.ones(4, 8)), torch.ones(4).long()
    ).backward()
    return model, optimizer


def state(model: nn.Module, optimizer: Optimizer, batches: Any = None) -> Any:
    """Return copies of all that must stay bit for bit, and who holds it."""
    return {
        "modules": {
            name: (type(module), module.training, _python(module))
            for name, module in model.named_modules()
        },
        "parameters": {
            name: (id(p), p.requires_grad, _bits(p), id(p.grad), _bits(p.grad))
            for name, p in model.named_parameters()
        },
        "buffers": {name: (id(b), _bits(b)) for name, b in model.named_buffers()},
        "groups": [
            {**group, "params": [id(p) for p in group["params"]], "id": id(group)}
            for group in optimizer.param_groups
        ],
        "state": {
            id(p): {key: _bits(value) for key, value in values.items()}
            for p, values in optimizer.state.items()
        },
        "own attributes": sorted(vars(optimizer)),
        "python": random.getstate(),
        "numpy": str(np.random.get_state()),  # noqa: NPY002 (the one to be kept)
        "torch": _bits(torch.get_rng_state()),
        "generator": _bits(batches.generator.get_state())
        if getattr(batches, "generator", None)
        else None,
    }


def _python(module: nn.Module) -> dict[str, Any]:
    return {k: v for k, v in vars(module).items() if isinstance(v, int | str | float)}


def _bits(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    return value.dtype, tuple(value.shape), value.detach().cpu().numpy().tobytes()
