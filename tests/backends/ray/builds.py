"""Trainings that are made on workers."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import torch
from ray.exceptions import ObjectLostError
from torch import distributed as dist
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 8


def model_of() -> nn.Module:
    """Return a small model, always with the same weights."""
    generator = torch.Generator().manual_seed(1)
    model = nn.Linear(8, 1, dtype=torch.float64)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(
                torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            )
    return model


def data() -> TensorDataset:
    """Return samples that a linear model can learn."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(640, 8, generator=generator, dtype=torch.float64)
    return TensorDataset(inputs, inputs.sum(1, keepdim=True))


def build(batch: int = BATCH) -> tuple[Any, ...]:
    """Return a training."""
    model = model_of()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
    return model, optimizer, DataLoader(data(), batch), nn.MSELoss()


def sharded_and_validated() -> tuple[Any, ...]:
    """Return a training of a sharded model, with more arguments."""
    from torch.distributed.fsdp import fully_shard  # noqa: PLC0415 (slow to import)

    model = model_of()
    fully_shard(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
    loader = DataLoader(data(), BATCH)
    more = {"val_loader": [data()[:16]], "clip_grad_norm": 1.0}
    return model, optimizer, loader, nn.MSELoss(), more


def validated() -> tuple[Any, ...]:
    """Return a training with a loader for validation."""
    return (*build(), {"val_loader": list(DataLoader(data(), 100))})


class OwnError(Exception):
    """An error of a user's own."""


class UnsendableError(Exception):
    """An error that no other process can make anew."""

    def __init__(self, one: int, other: int) -> None:
        super().__init__(f"{one} and {other}")


class Faulty(nn.Module):
    """A loss at whose n-th call something happens on one worker."""

    def __init__(self, fault: str, rank: int, call: int) -> None:
        super().__init__()
        self.fault, self.rank, self.call = fault, rank, call
        self.calls = 0

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == self.call and _rank() == self.rank:
            happen(self.fault)
        return nn.functional.mse_loss(outputs, target)


def happen(fault: str) -> None:
    """Let something go wrong."""
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "exit":
        sys.exit(3)
    if fault == "hang":
        ctypes.CDLL(None).sleep(600)  # which no interrupt ends
    if fault == "ray":
        msg = "an object of the user's own"
        raise ObjectLostError(msg, None, "")
    if fault == "unsendable":
        raise UnsendableError(1, 2)
    msg = "no loss today"
    raise OwnError(msg)


def _rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def faulty(fault: str, rank: int = 0, call: int = 5) -> tuple[Any, ...]:
    """Return a training in which something happens on one worker."""
    model, optimizer, loader, _ = build()
    return model, optimizer, loader, Faulty(fault, rank, call)


def in_batches_of_its_own() -> tuple[Any, ...]:
    """Return a training whose loader chooses its batches itself."""
    model, optimizer, _, loss_fn = build()
    batches = [list(range(first, first + 16)) for first in range(0, 640, 16)]
    return model, optimizer, DataLoader(data(), batch_sampler=batches), loss_fn


def with_settings_of_its_own() -> tuple[Any, ...]:
    """Return a training with what the widget has to know."""
    return (*build(), {"num_it": 7})


def unbuildable(rank: int = 0) -> tuple[Any, ...]:
    """Fail on one worker."""
    if _rank() == rank:
        msg = "no model today"
        raise OwnError(msg)
    return build()


def alone() -> tuple[Any, ...]:
    """Return a training, unless a process group has left something behind."""
    assert not dist.is_initialized()
    assert not {"RANK", "WORLD_SIZE", "MASTER_ADDR"} & set(os.environ)
    return build()


def of_another_kind() -> Any:
    """Return what is no training."""
    return model_of()
