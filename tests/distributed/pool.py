"""Processes that are the ranks of a process group, and play scenes together."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from torch._C._distributed_c10d import TCPStore

_ROOT = Path(__file__).parents[2]


class Pool:
    """
    Some ranks of one process group.

    The store is in this process, as torchrun has it, so that any rank may be killed.
    """

    def __init__(self, size: int, timeout: float = 600) -> None:
        self._store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        words = [str(size), str(self._store.port), str(timeout)]
        self._awaited = 0
        self.ranks = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.distributed.rank", str(rank), *words],
                cwd=_ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for rank in range(size)
        ]

    @property
    def idle(self) -> bool:
        """Whether all ranks are alive, and have told what they were asked for."""
        return not self._awaited and all(x.poll() is None for x in self.ranks)

    def begin(self, scene: str, **arguments: Any) -> None:
        """Have all ranks play a scene."""
        for rank in self.ranks:
            assert rank.stdin is not None
            rank.stdin.write(json.dumps([scene, arguments]) + "\n")
            rank.stdin.flush()
            self._awaited += 1

    def result(self, rank: int) -> Any:
        """Return what the present scene has come to on a rank."""
        out = self.ranks[rank].stdout
        assert out is not None
        line = out.readline()
        assert line, f"rank {rank} has ended"
        self._awaited -= 1
        return json.loads(line)

    def play(self, scene: str, **arguments: Any) -> list[Any]:
        """Have all ranks play a scene, and return what it has come to on each."""
        self.begin(scene, **arguments)
        return [self.result(rank) for rank in range(len(self.ranks))]

    def close_store(self) -> None:
        """End the store, as where the rank that keeps it is gone."""
        del self._store

    def close(self) -> None:
        """End all ranks."""
        for rank in self.ranks:
            rank.kill()
        for rank in self.ranks:
            rank.communicate()
