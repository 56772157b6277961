"""The sums of some numbers over all ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import distributed as dist

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MOST_CHILDREN = 8


class Summing:
    """
    The sums of some numbers over all ranks, which are on their way from now on.

    They go up a tree and down again: each rank adds to its numbers those of its
    children, tells its parent, and hears from it the sums of all, which it passes on.
    So all come to the same bits, and however many ranks there are, they send less than
    two messages each on average, and none sends more than nine. Two of them are in a
    row among up to nine ranks, and eight among 1,024.

    Parameters
    ----------
    numbers:
        Those of this rank.
    group:
        The process group of all ranks, whose tensors are in main memory.
    """

    def __init__(self, numbers: Sequence[float], group: dist.ProcessGroup) -> None:
        self._sums = torch.tensor(numbers, dtype=torch.float64, device="cpu")
        self._rounds = _rounds(self._sums, group)
        self._under_way = next(self._rounds, [])

    def wait(self) -> list[float]:
        """Return the sums when they are there."""
        while self._under_way:
            for message in self._under_way:
                message.wait()
            self._under_way = next(self._rounds, [])
        return self._sums.tolist()


def _rounds(sums: torch.Tensor, group: dist.ProcessGroup) -> Iterator[list[dist.Work]]:
    """Yield the messages of each round, which have come before the next one begins."""
    rank, size = dist.get_rank(), dist.get_world_size()
    first = _MOST_CHILDREN * rank + 1
    children = range(first, min(first + _MOST_CHILDREN, size))

    def sent(message: torch.Tensor, to: int) -> dist.Work:
        return _under_way(dist.isend(message, to, group))

    def received(into: torch.Tensor, source: int) -> dist.Work:
        return _under_way(dist.irecv(into, source, group))

    if children:
        parts = [torch.empty_like(sums) for _ in children]
        yield [received(*both) for both in zip(parts, children, strict=True)]
        for part in parts:
            sums += part
    if rank:
        parent = (rank - 1) // _MOST_CHILDREN
        yield [sent(sums.clone(), parent), received(sums, parent)]
    if children:
        yield [sent(sums, child) for child in children]


def _under_way(message: dist.Work | None) -> dist.Work:
    assert message is not None, "this process is no rank of the group"  # noqa: S101 (it is)
    return message
