"""What a batch is made of: on which device, of what structure, of how many samples."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, MutableMapping
from typing import Any

import torch

_MOST_SHOWN = 8


def to_device(batch: Any, device: torch.device) -> Any:  # noqa: ANN401 (any batch)
    """Return a batch with its tensors, at any depth, on a device."""
    # Tensors, packed sequences, encodings and graph batches know the way.
    move = getattr(batch, "to", None)
    if callable(move):
        return move(device)
    if isinstance(batch, list | tuple):
        items = [to_device(item, device) for item in batch]
        named = hasattr(batch, "_fields")
        return type(batch)(*items) if named else type(batch)(items)
    if isinstance(batch, Mapping):
        moved = {key: to_device(item, device) for key, item in batch.items()}
        if type(batch) is dict or not isinstance(batch, MutableMapping):
            return moved
        same_kind = copy.copy(batch)
        same_kind.update(moved)
        return same_kind
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        fields = [field.name for field in dataclasses.fields(batch) if field.init]
        moved = {name: to_device(getattr(batch, name), device) for name in fields}
        return dataclasses.replace(batch, **moved)
    return batch


def structure(batch: object) -> str:
    """Return the types, keys and shapes of a batch in words, for error messages."""
    kind = type(batch).__name__
    if isinstance(batch, torch.Tensor):
        return f"{kind}{tuple(batch.shape)}"
    if isinstance(batch, Mapping):
        shown = [f"{key!r}: {structure(batch[key])}" for key in batch]
    elif isinstance(batch, list | tuple):
        shown = [structure(item) for item in batch]
    elif dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        shown = [
            f"{field.name}: {structure(getattr(batch, field.name))}"
            for field in dataclasses.fields(batch)
        ]
    else:
        return kind
    if len(shown) > _MOST_SHOWN:
        shown[_MOST_SHOWN:] = ["..."]
    return f"{kind}({', '.join(shown)})"


def samples_in(batch: object) -> int:
    """
    Return how many samples a batch has: the length of its first part that has one.

    That is the first dimension of a tensor, or the length of a list as of images that
    differ in size. It is 1 for a batch of another kind.
    """
    if isinstance(batch, torch.Tensor):
        return len(batch) if batch.dim() else 1
    parts: Any = ()
    if isinstance(batch, Mapping):
        parts = batch.values()
    elif isinstance(batch, list | tuple):
        parts = batch
    elif dataclasses.is_dataclass(batch):
        parts = vars(batch).values()
    for part in parts:
        if isinstance(part, list | tuple) or (
            isinstance(part, torch.Tensor) and part.dim()
        ):
            return len(part)
        if isinstance(part, Mapping):
            return samples_in(part)
    return 1
