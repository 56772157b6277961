"""Small trainings for the tests, and the whole state that a test must not touch."""

from __future__ import annotations

import random
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, Sampler, TensorDataset

if TYPE_CHECKING:
    from collections.abc import Callable


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


def warm(
    make_optimizer: Callable[[Any], Optimizer], make_model: Callable[[], Net] = Net
) -> tuple[Net, Optimizer]:
    """Return a network in mid-training: warm optimizer, gradients, mixed modes."""
    model = make_model()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = make_optimizer(parameters)
    train(model, optimizer, loader())
    nn.functional.cross_entropy(
        model(torch.ones(4, 8)), torch.ones(4).long()
    ).backward()
    return model, optimizer


def state(*objects: Any) -> Any:
    """
    Return all that must stay bit for bit, of some objects and of this process.

    It goes through modules, optimizers, loaders, samplers, scalers, schedulers,
    containers and tensors, notes who holds what, and keeps no reference.
    """
    return {
        "objects": [_picture(value, {}) for value in objects],
        "python": random.getstate(),
        "numpy": str(np.random.get_state()),  # noqa: NPY002 (the one to be kept)
        "torch": _bits(torch.get_rng_state()),
    }


_LOOKED_INTO = (
    *(nn.Module, Optimizer, DataLoader, Sampler, torch.amp.GradScaler, LRScheduler),
)


def _picture(  # noqa: C901, PLR0911 (a branch for each kind)
    value: Any, seen: dict[int, Any]
) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)  # text, since NaN is not equal to itself
    if isinstance(value, tuple):
        return tuple(_picture(item, seen) for item in value)
    name = type(value).__name__, id(value)
    if id(value) in seen:
        return name
    seen[id(value)] = value
    if isinstance(value, torch.Tensor):
        grad = _picture(value.grad, seen) if value.is_leaf else None
        return *name, value.requires_grad, _bits(value), grad
    if isinstance(value, torch.Generator):
        return *name, _bits(value.get_state())
    if isinstance(value, np.ndarray):
        return *name, value.tobytes()
    if isinstance(value, _LOOKED_INTO):
        return *name, _picture(dict(vars(value)), seen)[2:]
    if isinstance(value, dict):
        items = [(_key(key), _picture(item, seen)) for key, item in value.items()]
        return *name, items
    if isinstance(value, list | deque):
        return *name, [_picture(item, seen) for item in value]
    if isinstance(value, set):
        return *name, {_key(item) for item in value}
    return name


def _key(key: Any) -> Any:
    return key if isinstance(key, str | int) else id(key)


def _bits(value: torch.Tensor) -> Any:
    if nn.parameter.is_lazy(value):
        return None
    kind = value.dtype, tuple(value.shape), value.layout
    if value.layout == torch.sparse_coo:
        return *kind, _bits(value._indices()), _bits(value._values())
    flat = value.detach().contiguous().flatten()
    return *kind, flat.view(torch.uint8).numpy().tobytes()
