"""Batches of any structure: their device, their description, their samples."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, MutableMapping
from typing import Any

import torch

_MOST_SHOWN = 8


def to_device(  # noqa: PLR0911 (a branch for each kind)
    batch: Any,  # noqa: ANN401 (any batch)
    device: torch.device,
) -> Any:  # noqa: ANN401 (as above)
    """Return a batch with its tensors, at any depth, on a device."""
    # The most usual classes first, since this runs at each step.
    if isinstance(batch, torch.Tensor):
        # A copy to a GPU needs no wait; a copy to main memory does.
        to_gpu = device.type == "cuda"
        return (
            batch if batch.device == device else batch.to(device, non_blocking=to_gpu)
        )
    if type(batch) in (list, tuple):
        return type(batch)([to_device(item, device) for item in batch])
    # Packed sequences, encodings and graph batches have a method.
    move = getattr(batch, "to", None)
    if callable(move):
        return move(device)
    if isinstance(batch, tuple):
        items = [to_device(item, device) for item in batch]
        return type(batch)(*items) if hasattr(batch, "_fields") else type(batch)(items)
    if isinstance(batch, list):
        moved_list = copy.copy(batch)
        moved_list[:] = [to_device(item, device) for item in batch]
        return moved_list
    if isinstance(batch, Mapping):
        moved = {key: to_device(item, device) for key, item in batch.items()}
        if type(batch) is dict or not isinstance(batch, MutableMapping):
            return moved
        same_kind = copy.copy(batch)
        same_kind.update(moved)
        return same_kind
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        # without its constructor, which may do more than set the fields
        twin = copy.copy(batch)
        for name, item in _fields(batch).items():
            object.__setattr__(twin, name, to_device(item, device))
        return twin
    return batch


def _fields(batch: Any) -> dict[str, Any]:  # noqa: ANN401 (any object)
    """Return the fields of a dataclass, or the attributes of another object."""
    if dataclasses.is_dataclass(batch):
        names = [field.name for field in dataclasses.fields(batch)]
        return {name: getattr(batch, name) for name in names if hasattr(batch, name)}
    return dict(getattr(batch, "__dict__", {}))


def structure(batch: object) -> str:
    """Return the types, keys and shapes of a batch as text, for error messages."""
    kind = type(batch).__name__
    if isinstance(batch, torch.Tensor):
        return f"{kind}{tuple(batch.shape)}"
    if isinstance(batch, Mapping):
        shown = [f"{key!r}: {structure(batch[key])}" for key in batch]
    elif isinstance(batch, list | tuple):
        shown = [structure(item) for item in batch]
    else:
        shown = [f"{name}: {structure(x)}" for name, x in _fields(batch).items()]
        if not shown:
            return kind
    if len(shown) > _MOST_SHOWN:
        shown[_MOST_SHOWN:] = ["..."]
    return f"{kind}({', '.join(shown)})"


def samples_in(batch: object) -> int:
    """
    Return the number of samples in a batch: the length of its first part with a length.

    The length of a tensor is its first dimension. A list may hold images of different
    sizes. The number is 1 for a batch of another kind.
    """
    if isinstance(batch, torch.Tensor):
        return len(batch) if batch.dim() else 1
    if isinstance(batch, Mapping):
        parts: Any = batch.values()
    elif isinstance(batch, list | tuple):
        parts = batch
    else:
        target = getattr(batch, "y", None)  # of a graph; its other parts are longer
        parts = [target, *_fields(batch).values()]
    for part in parts:
        if isinstance(part, list | tuple) or (
            isinstance(part, torch.Tensor) and part.dim()
        ):
            return len(part)
        if isinstance(part, Mapping):
            return samples_in(part)
    return 1


def parts_in(batch: Any, name: str) -> dict[str, tuple[str, Any]]:  # noqa: ANN401 (any batch)
    """Return the name (or "") and the value of each part of a batch, by its code."""
    if isinstance(batch, Mapping):
        return {f"{name}[{key!r}]": (str(key), batch[key]) for key in batch}
    if isinstance(batch, list | tuple):
        keys = getattr(batch, "_fields", None) or [""] * len(batch)
        return {f"{name}[{i}]": (keys[i], item) for i, item in enumerate(batch)}
    if isinstance(batch, torch.Tensor):
        return {}
    return {f"{name}.{key}": (key, item) for key, item in _fields(batch).items()}
