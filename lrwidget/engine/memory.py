"""Memory that two tensors share until one of them is written to."""

from __future__ import annotations

import torch

# torch keeps its copy-on-write private, and may drop it.
_lazy_clone = getattr(torch, "_lazy_clone", torch.clone)


def copied_on_write(data: torch.Tensor) -> torch.Tensor:
    """
    Return a copy of a tensor that takes memory once one of both is written to.

    Some models do write to their frozen parameters: those that keep a moving average
    of themselves. A NumPy view from before is of the memory that both begin with, so
    what is written through it is seen by both, until torch writes to one of them.
    """
    try:
        copied: torch.Tensor = _lazy_clone(data)
    except RuntimeError:  # memory that is not torch's own
        return data.clone()
    return copied
