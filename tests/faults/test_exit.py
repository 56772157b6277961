"""The interpreter exits in order, whatever runs."""

from __future__ import annotations

import subprocess
import sys

import pytest

_SETUP = """
import os, threading, torch
from torch import nn
from lrwidget import LRWidget, RangeTest
torch.set_num_threads(1)
model = nn.Sequential(*[nn.Linear(256, 256) for _ in range(8)])
batch = torch.randn(256, 256), torch.randn(256, 256)
optimizer = torch.optim.SGD(model.parameters(), lr=1)
parts = model, optimizer, [batch], nn.MSELoss()
settings = {"num_it": 100_000, "end_lr": 1e-6}
"""
# Each child runs to the end of the program, and so through the interpreter's exit.
_CHILDREN = """
for turn in range({}):
    child = os.fork()
    if not child:
        break
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status))
"""
_IN_MID_BACKWARD = """
if not child:
    backward = threading.Event()
    model[4].register_full_backward_pre_hook(lambda *_: backward.set())
    widget = LRWidget(*parts, isolation=("copy", "restore")[turn % 2], **settings)
    widget.run()
    assert backward.wait(60)
"""
_HALF_WAY = """
if not child:
    steps = iter(RangeTest(*parts, isolation=("copy", "restore")[turn % 2], **settings))
    print(next(steps).iteration)
"""
_HANGING = """
if not child:
    class Hanging:
        def __iter__(self):
            yield batch
            asked.set()
            threading.Event().wait()
    asked = threading.Event()
    widget = LRWidget(model, optimizer, Hanging(), nn.MSELoss())
    widget.run()
    assert asked.wait(60)
"""


def _run(program: str) -> list[str]:
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout.split()


@pytest.mark.skipif(not hasattr(sys, "getdlopenflags"), reason="Windows cannot fork")
@pytest.mark.parametrize("times", [4, pytest.param(20, marks=pytest.mark.exhaustive)])
def test_in_mid_backward_it_always_exits_with_0(times: int) -> None:
    assert _run(_SETUP + _CHILDREN.format(times) + _IN_MID_BACKWARD) == ["0"] * times


@pytest.mark.skipif(not hasattr(sys, "getdlopenflags"), reason="Windows cannot fork")
def test_a_test_that_is_left_half_way_does_not_abort_it() -> None:
    # The step that each child prints, and the child's exit status.
    assert _run(_SETUP + _CHILDREN.format(2) + _HALF_WAY) == ["0", "0"] * 2


def test_a_loader_that_hangs_does_not_keep_it() -> None:
    assert _run(_SETUP + "child = 0" + _HANGING) == []
