"""The sums of some numbers over all ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import distributed as dist

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MOST_CHILDREN = 8


class AsyncSum:
    """
    The sums of some numbers over all ranks, computed while the training goes on.

    The ranks form a tree. Each rank adds the numbers of its children to its own, sends
    the sums to its parent, receives the total from there, and passes it on. All ranks
    get the same bits. Whatever the number of ranks, a rank sends less than two messages
    on average, and at most nine. The longest chain of messages is two for up to nine
    ranks, and eight for 1,024.

    Parameters
    ----------
    numbers:
        The numbers of this rank.
    group:
        The process group of all ranks, for tensors in main memory.
    """

    def __init__(self, numbers: Sequence[float], group: dist.ProcessGroup) -> None:
        self._sums = torch.tensor(numbers, dtype=torch.float64, device="cpu")
        self._rounds = _rounds(self._sums, group)
        self._under_way = next(self._rounds, [])

    def wait(self) -> list[float]:
        """Wait for the sums, and return them."""
        while self._under_way:
            for message in self._under_way:
                message.wait()
            self._under_way = next(self._rounds, [])
        return self._sums.tolist()


def _rounds(sums: torch.Tensor, group: dist.ProcessGroup) -> Iterator[list[dist.Work]]:
    """Yield the messages of each round, all of which arrive before the next one."""
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
