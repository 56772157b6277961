"""Processes that are the ranks of a process group, and play scenes together."""

from __future__ import annotations

import json
import multiprocessing
from typing import Any

from torch._C._distributed_c10d import TCPStore

from tests.engine.distributed import rank as ranks

# Each rank is a fork of one process, which has imported all that the ranks need.
_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload([ranks.__name__])


class Pool:
    """
    Some ranks of one process group.

    The store is in this process, as torchrun has it, so that any rank may be killed.
    """

    def __init__(self, size: int, timeout: float = 600) -> None:
        self._store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        self._awaited = 0
        self._pipes = []
        self._ranks = []
        for rank in range(size):
            ours, theirs = _FORKED.Pipe()
            args = (theirs, rank, size, self._store.port, timeout)
            self._pipes.append(ours)
            self._ranks.append(_FORKED.Process(target=ranks.play, args=args))
            self._ranks[-1].start()
            theirs.close()  # so that the end of the rank is that of the pipe

    @property
    def idle(self) -> bool:
        """Whether all ranks are alive, and have told what they were asked for."""
        return not self._awaited and all(rank.is_alive() for rank in self._ranks)

    def begin(self, scene: str, **arguments: Any) -> None:
        """Have all ranks play a scene."""
        for pipe in self._pipes:
            pipe.send((scene, arguments))
            self._awaited += 1

    def result(self, rank: int) -> Any:
        """Return what the present scene has come to on a rank."""
        try:
            result = self._pipes[rank].recv()
        except EOFError:
            msg = f"rank {rank} has ended"
            raise AssertionError(msg) from None
        self._awaited -= 1
        return json.loads(result)

    def play(self, scene: str, **arguments: Any) -> list[Any]:
        """Have all ranks play a scene, and return what it has come to on each."""
        self.begin(scene, **arguments)
        return [self.result(rank) for rank in range(len(self._ranks))]

    def close_store(self) -> None:
        """End the store, as where the rank that keeps it is gone."""
        del self._store

    def close(self) -> None:
        """End all ranks."""
        for rank in self._ranks:
            rank.kill()
        for rank, pipe in zip(self._ranks, self._pipes, strict=True):
            rank.join()
            pipe.close()
