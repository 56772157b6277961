"""
Measure the memory that a range test needs beyond the training itself.

Each figure is a difference over the size of the model: the peak memory of a process
that tests for ten steps, minus the peak memory of a process that does the same ten
steps in a bare loop:

    python benchmarks/memory.py
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys

import torch
from torch import nn

from lrwidget import range_test

_WIDTH, _LAYERS, _RANK = 4096, 6, 20
_STEPS, _ROUNDS = 10, 3
_BOUNDS = {"full": 1.05, "adapters": 0.05}


class Adapted(nn.Module):
    """A frozen layer beside a trainable one of low rank, as LoRA has them."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(_WIDTH, _WIDTH).requires_grad_(requires_grad=False)
        self.down = nn.Linear(_WIDTH, _RANK, bias=False)
        self.up = nn.Linear(_RANK, _WIDTH, bias=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.base(inputs) + self.up(self.down(inputs))
        return result


def _peak_bytes(kind: str, how: str) -> None:
    """Train, and print the size of the model and the peak of this process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    make = Adapted if kind == "adapters" else lambda: nn.Linear(_WIDTH, _WIDTH)
    model = nn.Sequential(*[make() for _ in range(_LAYERS)])
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, foreach=False)
    batches = [(torch.randn(4, _WIDTH), torch.randn(4, _WIDTH))]
    loss_fn = nn.MSELoss()
    if how == "bare":
        for _ in range(_STEPS):
            optimizer.zero_grad()
            loss_fn(model(batches[0][0]), batches[0][1]).backward()
            optimizer.step()
    else:
        range_test(
            *(model, optimizer, batches, loss_fn),
            num_it=_STEPS,
            stop_div=False,
            isolation=how,  # type: ignore[arg-type]  # one of the literals
        )
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    print(size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def _measured(kind: str, how: str) -> tuple[int, int]:
    command = [sys.executable, __file__, "--kind", kind, "--how", how]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    size, peak = run.stdout.split()
    return int(size), int(peak)


def _report() -> int:
    """Print a row for each kind of model and isolation; return 1 if a bound fails."""
    code = 0
    for kind, bound in _BOUNDS.items():
        extras: dict[str, list[float]] = {"copy": [], "restore": []}
        for _ in range(_ROUNDS):
            size, bare = _measured(kind, "bare")
            for how, ratios in extras.items():
                ratios.append((_measured(kind, how)[1] - bare) / size)
        for how, ratios in extras.items():
            median = statistics.median(ratios)
            spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
            verdict = "holds" if median <= bound else "FALLS SHORT"
            print(
                f"{kind:9} {how:8} {size / 4e6:.1f} M parameters: {median:.3f}x "
                f"({spread}), bound {bound}x: {verdict}"
            )
            code |= median > bound
    return code


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=_BOUNDS)
    parser.add_argument("--how", choices=("bare", "copy", "restore"))
    arguments = parser.parse_args()
    if arguments.kind:
        _peak_bytes(arguments.kind, arguments.how)
    else:
        sys.exit(_report())
