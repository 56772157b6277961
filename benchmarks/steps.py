"""Small trainings whose steps are timed."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.utils.data import DataLoader

from benchmarks.finders import Training

if TYPE_CHECKING:
    from collections.abc import Sequence

# Environment variables of a process that measures. Without them, glibc returns memory
# to the system at each step, and gets it again by page faults, whose cost varies by a
# tenth of a step from one training to the next.
KEEP_MEMORY = {
    "MALLOC_TRIM_THRESHOLD_": str(4 * 10**9),
    "MALLOC_MMAP_THRESHOLD_": str(4 * 10**9),
}
_BATCHES = 64


def _loader(batches: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> DataLoader[object]:
    """Return a loader that takes no time to collate."""
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]  # any sequence


def mlp() -> Training:
    """Return the training with the shortest steps: 10,000 parameters, SGD."""
    torch.manual_seed(0)
    sizes = (32, 128, 40, 10)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    batches = [
        (torch.randn(32, 32), torch.randint(0, 10, (32,))) for _ in range(_BATCHES)
    ]
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    return Training(model, optimizer, _loader(batches), nn.CrossEntropyLoss())


def cnn() -> Training:
    """Return a training of a small convolutional network: 28 by 28 pixels, momentum."""
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32)),
        *(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10)),
    )
    batches = [
        (torch.randn(32, 1, 28, 28), torch.randint(0, 10, (32,)))
        for _ in range(_BATCHES)
    ]
    optimizer = torch.optim.SGD(model.parameters(), 1e-3, momentum=0.9)
    return Training(model, optimizer, _loader(batches), nn.CrossEntropyLoss())


def transformer(width: int = 64) -> Training:
    """Return a training of a transformer: two layers, 64 tokens, AdamW."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(
        width, 4, 2 * width, dropout=0.1, batch_first=True
    )
    model = nn.Sequential(
        nn.Embedding(64, width),
        nn.TransformerEncoder(layer, 2, enable_nested_tensor=False),
        nn.Flatten(),
        nn.Linear(width * 32, 64),
    )
    batches = [
        (torch.randint(0, 64, (16, 32)), torch.randint(0, 64, (16,)))
        for _ in range(_BATCHES)
    ]
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    return Training(model, optimizer, _loader(batches), nn.CrossEntropyLoss())
