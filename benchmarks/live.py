"""
Compare the time per step of a live widget with that of a test without a widget.

The widget is in JupyterLab and Chromium. In one kernel, a test without a widget and a
test by a press on Run alternate, with the same training. The time per step is measured
from the first loss to the last. The script also prints the part of it that the thread
of the training computes; the rest is waiting:

    python -m benchmarks.live
"""

from __future__ import annotations

import os
import statistics
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from playwright.sync_api import expect, sync_playwright

from benchmarks.steps import KEEP_MEMORY
from tests.browser.chromium import launch
from tests.browser.finder import Finder
from tests.browser.lab import Lab

if TYPE_CHECKING:
    from tests.browser.lab import Notebook

_ROOT = Path(__file__).parents[1]
_SETUP = """
import sys, time
sys.path.insert(0, {root!r})
import torch
from benchmarks.steps import cnn, mlp
from lrwidget import LRWidget, range_test

torch.set_num_threads(1)
times = []

def note():
    times.append((time.perf_counter(), time.thread_time()))

def per_step():
    pairs = zip(times[0], times[-1])
    found = [(last - first) / (len(times) - 1) for first, last in pairs]
    times.clear()
    return found

training = {make}().noting(note)
settings = dict(num_it={steps}, end_lr=1e-2, stop_div=False)
w = LRWidget(*training, **settings)

def headless():
    range_test(*training, **settings)
    return per_step()
"""
# Numbers of steps for some seconds per test, and the largest allowed ratios.
_TASKS = {"mlp": (9000, 1.10), "cnn": (400, 1.05)}
_ROUNDS = 9


class _Found(NamedTuple):
    """Seconds per step: without the widget, in it, and computed in its thread."""

    headless: float
    live: float
    computed: float


def _found(book: Notebook, finder: Finder) -> _Found:
    before, _ = book.value("headless()")
    finder.button.click()
    expect(finder.button).to_have_text("Stop")
    expect(finder.button).to_have_text("Run again", timeout=600_000)
    live, computed = book.value("per_step()")
    after, _ = book.value("headless()")
    return _Found((before + after) / 2, live, computed)


def _report() -> int:
    held = True
    os.environ.update(KEEP_MEMORY)  # the kernel inherits them
    with (
        TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        launch(playwright) as browser,
    ):
        lab = Lab(Path(folder))
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        try:
            for make, (steps, bound) in _TASKS.items():
                setup = _SETUP.format(root=str(_ROOT), make=make, steps=steps)
                book = lab.open(page, [setup, "w"])
                try:
                    book.execute_all()
                    finder = Finder(page)
                    finder.await_display()
                    _found(book, finder)  # to warm up
                    rounds = [_found(book, finder) for _ in range(_ROUNDS)]
                finally:
                    book.close()
                step = statistics.median(found.headless for found in rounds)
                ratios = [found.live / found.headless for found in rounds]
                own = [found.computed / found.headless for found in rounds]
                ratio = statistics.median(ratios)
                held &= ratio <= bound
                print(
                    f"{make}: {1e3 * step:.3f} ms a step without the widget; in it "
                    f"{ratio:.3f} times that ({min(ratios):.3f} to {max(ratios):.3f}), "
                    f"of which its own thread computes {statistics.median(own):.3f}; "
                    f"at most {bound}: {'holds' if ratio <= bound else 'FALLS SHORT'}"
                )
        finally:
            lab.terminate()
            lab.wait()
    return int(not held)


if __name__ == "__main__":
    sys.exit(_report())
