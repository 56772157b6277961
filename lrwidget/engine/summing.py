"""The sums of some numbers over all ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import distributed as dist

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Summing:
    """
    The sums of some numbers over all ranks, which are on their way from now on.

    An all-reduce by recursive doubling: in each round, each rank swaps its sums with
    another one and then knows those of twice as many. Among N ranks that takes log2(N)
    messages in a row, and the one of gloo, a ring, 2(N - 1). All ranks come to the same
    bits. Source: Thakur, Rabenseifner and Gropp (2005, doi:10.1177/1094342005051521).

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
        self._under_way = next(self._rounds, None)

    def wait(self) -> list[float]:
        """Return the sums when they are there."""
        while self._under_way is not None:
            for message in self._under_way:
                message.wait()
            self._under_way = next(self._rounds, None)
        return self._sums.tolist()


def _rounds(sums: torch.Tensor, group: dist.ProcessGroup) -> Iterator[list[dist.Work]]:
    """Yield the messages of each round, which have come before the next one begins."""
    rank, size = dist.get_rank(), dist.get_world_size()
    doubled = 1 << (size.bit_length() - 1)

    def sent(to: int) -> dist.Work:
        return _under_way(dist.isend(sums.clone(), to, group))

    def received(into: torch.Tensor, source: int) -> dist.Work:
        return _under_way(dist.irecv(into, source, group))

    # Those beyond a power of two have others take part for them.
    if rank >= doubled:
        yield [sent(rank - doubled)]
        yield [received(sums, rank - doubled)]
        return
    others = torch.empty_like(sums)
    represents = rank + doubled < size
    if represents:
        yield [received(others, rank + doubled)]
        sums += others
    known = 1
    while known < doubled:
        yield [sent(rank ^ known), received(others, rank ^ known)]
        sums += others
        known *= 2
    if represents:
        yield [sent(rank + doubled)]


def _under_way(message: dist.Work | None) -> dist.Work:
    assert message is not None, "this process is no rank of the group"  # noqa: S101 (it is)
    return message
