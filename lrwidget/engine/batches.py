"""Batches of any structure: their device, their description, their samples."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, MutableMapping
from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar, cast

import torch

T = TypeVar("T")

TARGETS = ("labels", "label", "targets", "target", "y")
_MOST_SHOWN = 8
_MOST_LEVELS = 5
_MOST_PARTS = 40


def to_device(  # noqa: PLR0911 (a branch for each kind)
    batch: Any,  # noqa: ANN401 (any batch)
    device: torch.device,
    done: Mapping[int, Any] = MappingProxyType({}),
) -> Any:  # noqa: ANN401 (as above)
    """
    Return a batch with its tensors, at any depth, on a device.

    ``done`` has the objects around this batch, to which it may refer, by identity.
    """
    # The most usual classes first, since this runs at each step.
    if isinstance(batch, torch.Tensor):
        # A copy to a GPU needs no wait; a copy to main memory does.
        to_gpu = device.type == "cuda"
        return (
            batch if batch.device == device else batch.to(device, non_blocking=to_gpu)
        )
    if type(batch) in (list, tuple):
        return type(batch)([to_device(item, device, done) for item in batch])
    # Packed sequences, encodings and graph batches have a method.
    move = getattr(batch, "to", None)
    if callable(move):
        return move(device)
    if isinstance(batch, tuple):
        items = [to_device(item, device, done) for item in batch]
        return type(batch)(*items) if hasattr(batch, "_fields") else type(batch)(items)
    if isinstance(batch, list):
        moved_list = copy.copy(batch)
        moved_list[:] = [to_device(item, device, done) for item in batch]
        return moved_list
    if isinstance(batch, Mapping):
        moved = {key: to_device(item, device, done) for key, item in batch.items()}
        if type(batch) is dict or not isinstance(batch, MutableMapping):
            return moved
        same_kind = copy.copy(batch)
        same_kind.update(moved)
        return same_kind
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        return _moved_fields(batch, device, done)
    return batch


def _moved_fields(batch: T, device: torch.device, done: Mapping[int, Any]) -> T:
    if id(batch) in done:
        return cast("T", done[id(batch)])
    # without its constructor, which may do more than set the fields
    twin = copy.copy(batch)
    for name, item in _fields(batch).items():
        moved = to_device(item, device, {**done, id(batch): twin})
        object.__setattr__(twin, name, moved)
    return twin


def _fields(batch: Any) -> dict[str, Any]:  # noqa: ANN401 (any object)
    """Return the fields of a dataclass, or the attributes of another object."""
    if dataclasses.is_dataclass(batch):
        names = [field.name for field in dataclasses.fields(batch)]
        return {name: getattr(batch, name) for name in names if hasattr(batch, name)}
    return dict(getattr(batch, "__dict__", {}))


def _has_keys(batch: object) -> bool:
    """Whether a batch is a mapping, or a graph, which is like one."""
    kind = type(batch)
    return callable(getattr(kind, "keys", None)) and hasattr(kind, "__getitem__")


def structure(batch: object, outer: tuple[int, ...] = ()) -> str:
    """Return the types, keys and shapes of a batch as text, for error messages."""
    kind = type(batch).__name__
    if isinstance(batch, torch.Tensor):
        return f"{kind}{tuple(batch.shape)}"
    if id(batch) in outer or len(outer) > _MOST_LEVELS:
        return f"{kind}(...)"
    inside = partial(structure, outer=(*outer, id(batch)))
    if _has_keys(batch):
        graph: Any = batch
        keys = islice(graph.keys(), _MOST_SHOWN + 1)
        shown = [f"{key!r}: {inside(graph[key])}" for key in keys]
    elif isinstance(batch, list | tuple):
        shown = [inside(item) for item in batch]
    else:
        fields = _fields(batch).items()
        shown = [f"{name}: {inside(x)}" for name, x in fields]
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


class Part(NamedTuple):
    """A part of a batch: its code, its name or "", and its value."""

    code: str
    name: str
    value: Any


def parts_in(value: object, code: str) -> list[Part]:
    """
    Return the parts of a batch that have tensors, and at last the batch itself.

    Parts of the outer levels come first, and tensors before other parts of a level.
    """
    found = [Part(code, "", value)]
    seen: set[int] = set()
    for part in found:  # the list grows in the loop
        if len(found) < _MOST_PARTS and id(part.value) not in seen:
            seen.add(id(part.value))
            found += _direct_parts(part)
    tensors = [x.code for x in found if isinstance(x.value, torch.Tensor)]
    whole, *inside = [x for x in found if any(t.startswith(x.code) for t in tensors)]
    level = {x.code: x.code.count("[") + x.code.count(".") for x in inside}
    inside.sort(key=lambda x: (level[x.code], x.code not in tensors))
    return [*inside, whole]


def _direct_parts(whole: Part) -> list[Part]:
    code, _, value = whole
    if isinstance(value, torch.Tensor | str | bytes):
        return []
    if isinstance(value, list | tuple):
        names = getattr(value, "_fields", None) or [""] * len(value)
        return [Part(f"{code}[{i}]", names[i], x) for i, x in enumerate(value)]
    if not _has_keys(value):
        public = [(key, x) for key, x in _fields(value).items() if key[:1] != "_"]
        return [Part(f"{code}.{key}", key, x) for key, x in public]
    found = []
    for key in list(value.keys()):
        item, name = value[key], str(key)
        attribute = getattr(value, name, None) is item and item is not None
        inner = f".{name}" if attribute else f"[{key!r}]"
        found.append(Part(code + inner, name, item))
    return found
