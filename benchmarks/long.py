"""
Check that time and memory per step do not grow during a test of 100,000 steps.

The script prints the time per step of each tenth of the test, over that of a bare loop
that alternates with the test. It also prints the allocated memory per step, without a
widget and in a widget:

    python -m benchmarks.long
"""

from __future__ import annotations

import statistics
import sys
import tracemalloc
from typing import TYPE_CHECKING, Any

import torch

from benchmarks import finders
from benchmarks.steps import mlp
from benchmarks.turns import seconds_by_turns
from lrwidget import LRWidget, RangeTest

if TYPE_CHECKING:
    from collections.abc import Callable

_STEPS = 100_000
_TURN = 200
_TENTHS = 10
_BYTES_A_STEP = 64
_FLAT = 1.03
_SETTINGS: Any = {"start_lr": 1e-7, "end_lr": 1e-2, "stop_div": False}


def _times() -> list[float]:
    """Return the time per step over that of the bare loop, for each tenth."""
    seconds = seconds_by_turns(
        {
            "bare": lambda step: finders.bare(mlp().noting(step), _STEPS),
            "lrwidget": lambda step: finders.lrwidget(mlp().noting(step), _STEPS),
        },
        _TURN,
    )
    pairs = zip(seconds["lrwidget"], seconds["bare"], strict=False)
    ratios = [ours / bare for ours, bare in pairs]
    size = len(ratios) // _TENTHS
    return [
        statistics.median(ratios[i * size : (i + 1) * size]) for i in range(_TENTHS)
    ]


def _headless(steps: int) -> object:
    test = RangeTest(*mlp(), num_it=steps, **_SETTINGS)
    for _ in test:
        pass
    return test


def _in_a_widget(steps: int) -> LRWidget:
    widget = LRWidget(*mlp(), num_it=steps, **_SETTINGS)
    widget.run()
    widget.wait()
    return widget


def _bytes_a_step(run: Callable[[int], Any]) -> float:
    """Return the bytes per additional step that a long test keeps."""
    sizes = []
    _closed(run(_TURN))  # imports all modules
    for steps in (_STEPS // 10, _STEPS):
        tracemalloc.start()
        kept = run(steps)
        sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        _closed(kept)
        del kept
    return (sizes[1] - sizes[0]) / (_STEPS - _STEPS // 10)


def _closed(kept: object) -> None:
    if isinstance(kept, LRWidget):
        kept.close()


def _report() -> int:
    torch.set_num_threads(1)
    ratios = _times()
    print("time per step, over a bare one:", *(f"{ratio:.3f}" for ratio in ratios))
    growth = statistics.mean(ratios[-3:]) / statistics.mean(ratios[:3])
    memory = {run.__name__: _bytes_a_step(run) for run in (_headless, _in_a_widget)}
    held = {
        f"the last three tenths over the first, {growth:.3f}, at most {_FLAT}": (
            growth <= _FLAT
        ),
        **{
            f"bytes a step{name.replace('_', ' ')}, {found:.1f}, at most "
            f"{_BYTES_A_STEP}": found <= _BYTES_A_STEP
            for name, found in memory.items()
        },
    }
    for what, holds in held.items():
        print(f"{what}: {'holds' if holds else 'FALLS SHORT'}")
    return int(not all(held.values()))


if __name__ == "__main__":
    sys.exit(_report())
