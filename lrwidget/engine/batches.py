"""Batches of any structure: their device, their description, their samples."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, MutableMapping
from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

import torch

TARGETS = ("labels", "label", "targets", "target", "y")
_MOST_SHOWN = 8
_MOST_LEVELS = 5
_MOST_PARTS = 40
_LEAST_SAMPLES = 2  # and 3 rows, since a pair may be of inputs and targets


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
    if type(batch) is tuple:
        return tuple([to_device(item, device, done) for item in batch])
    if id(batch) in done:
        return done[id(batch)]
    # Packed sequences, encodings and graph batches have a method.
    move = getattr(batch, "to", None)
    if callable(move):
        return move(device)
    if isinstance(batch, tuple):
        items = [to_device(item, device, done) for item in batch]
        return type(batch)(*items) if hasattr(batch, "_fields") else type(batch)(items)
    twin: Any
    if isinstance(batch, list):
        twin = copy.copy(batch)
        inside = {**done, id(batch): twin}
        twin[:] = [to_device(item, device, inside) for item in batch]
        return twin
    if isinstance(batch, Mapping):
        plain = type(batch) is dict or not isinstance(batch, MutableMapping)
        twin = {} if plain else copy.copy(batch)
        inside = {**done, id(batch): twin}
        twin.update({k: to_device(item, device, inside) for k, item in batch.items()})
        return twin
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        # without its constructor, which may do more than set the fields
        twin = copy.copy(batch)
        inside = {**done, id(batch): twin}
        for name, item in _fields(batch).items():
            object.__setattr__(twin, name, to_device(item, device, inside))
        return twin
    return batch


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


def samples_in(batch: object, outer: tuple[int, ...] = ()) -> int:
    """
    Return the number of samples in a batch: the length of its first part with a length.

    The length of a tensor is its first dimension. A list may hold images of different
    sizes. The number is 1 for a batch of another kind. ``outer`` has the identities of
    the mappings around this batch, to which it may refer.
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
        if isinstance(part, Mapping) and id(part) not in outer:
            return samples_in(part, (*outer, id(part)))
    return 1


class Part(NamedTuple):
    """A part of a batch: its code, its name or "", and its value."""

    code: str
    name: str
    value: Any


def parts_in(value: object, code: str) -> list[Part]:
    """
    Return the parts of a batch that have tensors, and at last the batch itself.

    Parts of the outer levels come first, and tensors before other parts of a level. A
    list of samples has no parts: one of them would stand for the whole batch.
    """
    found = [Part(code, "", value)]
    seen: set[int] = set()
    tensors = []
    for part in found:  # the list grows in the loop
        if isinstance(part.value, torch.Tensor) or _are_samples(part.value):
            tensors.append(part.code)
        elif len(found) < _MOST_PARTS and id(part.value) not in seen:
            seen.add(id(part.value))
            found += _direct_parts(part)
    whole, *inside = [x for x in found if any(t.startswith(x.code) for t in tensors)]
    level = {x.code: x.code.count("[") + x.code.count(".") for x in inside}
    inside.sort(key=lambda x: (level[x.code], x.code not in tensors))
    return [*inside, whole]


def _are_samples(value: object) -> bool:
    """Whether a value is a list of several mappings, rows or objects of one form."""
    if not isinstance(value, list | tuple) or len(value) < _LEAST_SAMPLES:
        return False
    if not all(type(x) is type(value[0]) for x in value):
        return False
    if isinstance(value[0], Mapping):
        return all(x.keys() == value[0].keys() for x in value)
    rows = isinstance(value[0], list | tuple) and len(value) > _LEAST_SAMPLES
    return rows or dataclasses.is_dataclass(value[0])


def _direct_parts(whole: Part) -> list[Part]:
    code, _, value = whole
    if isinstance(value, str | bytes):
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
