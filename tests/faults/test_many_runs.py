"""Hundreds of runs leave no more threads, memory and widgets than one run."""

from __future__ import annotations

import gc
import threading
from collections import Counter
from pathlib import Path

import pytest
from ipywidgets.widgets import widget as ipywidgets_widget

from tests.faults.scene import Scene
from tests.widget_parts import SECONDS

# The allocator keeps a megabyte or two more or less; leaks of objects are counted.
_KIB = 4096


def _resident_kib() -> int:
    """Return the resident memory of this process in KiB, on Linux only."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise AssertionError


def _objects() -> Counter[str]:
    gc.collect()
    return Counter(type(value).__name__ for value in gc.get_objects())


@pytest.mark.parametrize(
    "runs", [400, pytest.param(1000, marks=pytest.mark.exhaustive)]
)
def test_threads_memory_and_widgets_stay_flat(runs: int) -> None:
    warm = runs // 2
    scene = Scene()
    threads = threading.active_count()
    for run in range(runs):
        scene.widget.run(num_it=2)
        scene.widget.wait(SECONDS)
        if run == warm:
            widgets = len(ipywidgets_widget._instances)
            # Before the memory is read: a list of all objects enlarges the process.
            objects = _objects()
            memory = _resident_kib()
    gc.collect()
    assert _resident_kib() - memory < _KIB
    assert threading.active_count() == threads
    assert len(ipywidgets_widget._instances) == widgets
    more = (_objects() - objects).most_common(1)  # of one kind
    assert not more or more[0][1] < runs - warm, more
    assert scene.state() == scene.before
    scene.widget.close()
