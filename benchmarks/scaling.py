"""
Compare the time per step of a test on several ranks with that of a bare loop there.

Every rank is a process of this machine with one thread. It trains a model in
`DistributedDataParallel` over gloo, alternately by a bare loop and by a test:

    python -m benchmarks.scaling

The bare loop also runs in torch's own `join()`. There the ranks also exchange a message
at each step, but only about whether a rank has no batch left.

The bytes on the wire are the bytes that the loopback device sends in a turn of the
test, minus those in a turn of the bare loop. No other program may use the device
meanwhile.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from benchmarks import finders
from benchmarks.steps import KEEP_MEMORY, cnn, mlp, transformer
from lrwidget.engine.distributed.process_groups import AsyncSum

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.finders import Training

_TASKS: dict[str, tuple[Callable[[], Training], int]] = {
    "MLP": (mlp, 400),
    "CNN": (cnn, 60),
    "transformer": (transformer, 60),
    "wide transformer": (partial(transformer, 256), 20),
}
_RANKS = (1, 2, 4, 8)
_ROUNDS = 9
_BOUND = 1.05
_ALONE = 200


class _Turn(NamedTuple):
    """The mean time and the mean bytes of a step in a turn."""

    seconds: float
    bytes: float


def _joined(training: Training, steps: int) -> None:
    with cast("DistributedDataParallel", training.model).join():
        finders.bare(training, steps)


_LOOPS = (finders.bare, finders.lrwidget, _joined)


def _turn(
    finder: Callable[[Training, int], object], make: Callable[[], Training], steps: int
) -> _Turn:
    training = make()
    noted: list[tuple[float, int]] = []
    wrapped = training._replace(model=DistributedDataParallel(training.model))
    dist.barrier()
    finder(wrapped.noting(lambda: noted.append((time.perf_counter(), _sent()))), steps)
    # The first steps have other gradient buckets.
    (began, before), (ended, after) = noted[4], noted[-1]
    taken = len(noted) - 5
    return _Turn((ended - began) / taken, (after - before) / taken)


def _sent() -> int:
    """Return the bytes that the loopback device has sent, on the first rank; else 0."""
    if dist.get_rank() or not sys.platform.startswith("linux"):
        return 0
    lines = Path("/proc/net/dev").read_text().splitlines()
    (loopback,) = [line for line in lines if line.lstrip().startswith("lo:")]
    return int(loopback.partition(":")[2].split()[8])


def _play(name: str) -> None:
    """Measure as one rank; the first rank prints the result."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    make, steps = _TASKS[name]
    rounds = []
    for number in range(_ROUNDS + 1):
        order = _LOOPS if number % 2 else _LOOPS[::-1]
        found = {loop: _turn(loop, make, steps) for loop in order}
        rounds.append([found[loop] for loop in _LOOPS])
    alone = _exchange()
    if dist.get_rank() == 0:
        # the first round is the warm-up
        print(json.dumps({"rounds": rounds[1:], "alone": alone}))
    dist.barrier()
    # Torch 2.13 may abort at the exit of a process that has used gloo.
    sys.stdout.flush()
    os._exit(0)


def _exchange() -> float:
    """Return the seconds of the exchange of each step, when nothing else runs."""
    group = dist.new_group(backend="gloo")
    dist.barrier()
    began = time.perf_counter()
    for _ in range(_ALONE):
        AsyncSum([0.0] * 5, group).wait()
    return (time.perf_counter() - began) / _ALONE


def _measured(name: str, ranks: int) -> bool:
    """Measure on some ranks, print a row, and return whether the bound holds."""
    launch = ["-m", "torch.distributed.run", "--standalone"]
    program = ["-m", "benchmarks.scaling", "--play", name]
    command = [sys.executable, *launch, f"--nproc-per-node={ranks}", *program]
    environment = {**os.environ, **KEEP_MEMORY, "OMP_NUM_THREADS": "1"}
    printed = subprocess.run(command, env=environment, stdout=-1, check=True).stdout
    found = json.loads(printed)
    rounds = [[_Turn(*turn) for turn in turns] for turns in found["rounds"]]
    ratios = [test.seconds / bare.seconds for bare, test, _ in rounds]
    joined = [joined.seconds / bare.seconds for bare, _, joined in rounds]
    extra = [(test.bytes - bare.bytes) / ranks for bare, test, _ in rounds]
    step = statistics.median(bare.seconds for bare, *_ in rounds)
    low, ratio, high = statistics.quantiles(ratios, n=4)
    print(
        f"{name:16} {ranks} ranks: bare {1e3 * step:.3f} ms a step, test {ratio:.3f} "
        f"(quartiles {low:.3f} and {high:.3f}), join() {statistics.median(joined):.3f};"
        f" {statistics.median(extra):.0f} bytes a step and rank more on the wire; an "
        f"exchange of 40 bytes alone {1e3 * found['alone']:.3f} ms",
        flush=True,
    )
    return ratio <= _BOUND


def _report(names: list[str]) -> int:
    holds = [_measured(name, ranks) for name in names for ranks in _RANKS]
    print(f"at most {_BOUND} of bare: {'holds' if all(holds) else 'FALLS SHORT'}")
    return int(not all(holds))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--play"]:
        _play(sys.argv[2])
    else:
        sys.exit(_report(sys.argv[1:] or list(_TASKS)))
