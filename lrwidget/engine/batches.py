"""Batches without end from any loader, on the right device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

_MOST_SHOWN = 8


def endless(dataloader: Iterable[Any]) -> Generator[Any, None, None]:
    """
    Yield the batches of a loader, from the start again whenever it ends.

    Ends only where the loader cannot start again: a one-shot iterator.

    Raises
    ------
    ValueError
        If the loader has no batch at all.
    """
    while True:
        count = 0
        for count, batch in enumerate(dataloader, 1):  # noqa: B007 (used after it)
            yield batch
        if isinstance(dataloader, Iterator):
            if count:
                return
            msg = f"dataloader={dataloader!r} is an iterator with no batch left"
            raise ValueError(msg + "; pass a loader that can be iterated again")
        if not count:
            raise empty_loader(dataloader)


def empty_loader(dataloader: object) -> ValueError:
    """Return the error of a loader that has no batch."""
    hint = "pass one with a batch at least"
    if getattr(dataloader, "drop_last", False):
        hint += "; with drop_last=True a data set smaller than batch_size has none"
    return ValueError(f"dataloader={dataloader!r} is empty; {hint}")


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
        return {key: to_device(item, device) for key, item in batch.items()}
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
    else:
        return kind
    if len(shown) > _MOST_SHOWN:
        shown[_MOST_SHOWN:] = ["..."]
    return f"{kind}({', '.join(shown)})"
