"""One rank of a `Pool`: plays the scenes that it is told by its standard input."""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta

import torch
from torch import distributed as dist
from torch._C._distributed_c10d import TCPStore

from tests.distributed import scenes


def main() -> None:
    rank, size, port, timeout = sys.argv[1:]
    results = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever else is printed
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        store=TCPStore("127.0.0.1", int(port), is_master=False),
        rank=int(rank),
        world_size=int(size),
        timeout=timedelta(seconds=float(timeout)),
    )

    def say(what: object) -> None:
        print(json.dumps(what), file=results)

    for line in sys.stdin:
        scene, arguments = json.loads(line)
        arguments |= {"say": say} if scene in scenes.TALKING else {}
        say(getattr(scenes, scene)(**arguments))


if __name__ == "__main__":
    main()
