"""One rank of a `Pool`, which plays the scenes that it is told."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
from torch import distributed as dist
from torch._C._distributed_c10d import TCPStore

from tests.engine.distributed import scenes

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


def play(pipe: Connection, rank: int, size: int, port: int, timeout: float) -> None:
    """Join a process group, and play what comes by a pipe, until that is closed."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        store=TCPStore("127.0.0.1", port, is_master=False),
        rank=rank,
        world_size=size,
        timeout=timedelta(seconds=timeout),
    )

    def say(what: object) -> None:
        pipe.send(json.dumps(what))

    while True:
        try:
            scene, arguments = pipe.recv()
        except EOFError:
            return
        arguments |= {"say": say} if scene in scenes.TALKING else {}
        say(getattr(scenes, scene)(**arguments))
