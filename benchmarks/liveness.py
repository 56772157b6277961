"""
How soon the widget answers to hands and news, in a real JupyterLab with Chromium.

Medians and 95th percentiles; it fails where one is over its bound:

    python -m benchmarks.liveness
"""

from __future__ import annotations

import math
import statistics
import sys
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from playwright.sync_api import sync_playwright

from tests.browser.chromium import launch
from tests.browser.finder import Finder
from tests.browser.lab import Lab

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.lab import Notebook

_SETUP = """
import threading, time
import torch
from torch import nn
from lrwidget import LRWidget

torch.set_num_threads(1)
torch.manual_seed(0)
inputs = torch.randn(256, 20)
targets = inputs @ torch.randn(20, 1)
batches = list(zip(inputs.split(32), targets.split(32)))
pause = threading.Event()
asked = []

class Batches:
    '''Batches that take some time to load; it is noted when each was asked for.'''

    def __init__(self, seconds):
        self.seconds = seconds

    def __iter__(self):
        for batch in batches:
            asked.append(time.time())
            if self.seconds:
                pause.wait(self.seconds)
            yield batch

def widget(num_it, seconds):
    model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 1))
    optimizer = torch.optim.SGD(model.parameters())
    asked.clear()
    return LRWidget(
        model, optimizer, Batches(seconds), nn.MSELoss(), num_it=num_it,
        end_lr=0.1, stop_div=False,
    )
"""
_PICKED = """
picked = []
w.observe(lambda change: picked.append((time.time(), change["new"])), "value")
"""
# What happens in the page, with the times of the clock that Python has, too.
_WATCH = """() => {
  const clock = (stamp) => (performance.timeOrigin + stamp) / 1000;
  const seen = (window.seen = { moves: [], keys: [], frames: [], long: [] });
  const note = (list, what) => (event) =>
    list.push([clock(event.timeStamp), what(event)]);
  const options = { capture: true };
  document.addEventListener("pointermove", note(seen.moves, (e) => e.clientX), options);
  document.addEventListener("keydown", note(seen.keys, (e) => e.key), options);
  new PerformanceObserver((list) => {
    for (const task of list.getEntries()) seen.long.push([task.startTime, task.duration]);
  }).observe({ entryTypes: ["longtask"] });
  const path = document.querySelector('.lrwidget path.line[style*="stroke-width: 3;"]');
  new MutationObserver(() => {
    const points = (path.getAttribute("d") || "").split(/[ML]/).length - 1;
    requestAnimationFrame((stamp) => seen.frames.push([clock(stamp), points]));
  }).observe(path, { attributeFilter: ["d"] });
}"""
_MOVES, _PRESSES = 60, 40
_BETWEEN = 120  # milliseconds, as a hand moves
_LONG_RUN = 100_000


class Figure(NamedTuple):
    """Something measured, and what it is to be."""

    name: str
    median: float
    high: float
    unit: str
    bound: float
    most: bool = True

    def __str__(self) -> str:
        sign = "at most" if self.most else "at least"
        verdict = "holds" if self.holds else "FALLS SHORT"
        return (
            f"{self.name}: median {self.median:.3g}, 95th percentile {self.high:.3g} "
            f"{self.unit}; {sign} {self.bound:g}: {verdict}"
        )

    @property
    def holds(self) -> bool:
        return self.median <= self.bound if self.most else self.median >= self.bound


def _times(name: str, seconds: list[float], bound: float) -> Figure:
    high = statistics.quantiles(seconds, n=20)[-1]
    return Figure(name, 1e3 * statistics.median(seconds), 1e3 * high, "ms", bound)


def _drags(page: Page, book: Notebook, finder: Finder) -> Figure:
    """Return how long a move of the handle takes to `value`."""
    plot = finder.plot()
    x, y = finder.take_handle()
    page.evaluate("seen.moves.length = 0")
    for move in range(_MOVES):
        share = 0.5 + 0.3 * math.sin(move / 5)
        page.mouse.move(plot["x"] + share * plot["width"], y)
        page.wait_for_timeout(_BETWEEN)
    page.mouse.up()
    moves = page.evaluate("seen.moves")
    picked = book.value("picked")
    start, end = finder.range
    taken = []
    for moved, place in moves:
        share = (place - plot["x"]) / plot["width"]
        rate = 10 ** (start + share * (end - start))
        answers = [
            heard - moved
            for heard, value in picked
            if heard >= moved and abs(math.log(value / rate)) < _SAME_RATE
        ]
        if answers:
            taken.append(min(answers))
    assert len(taken) > len(moves) / 2, (len(taken), len(moves), len(picked))
    return _times("drag to value", taken, 50)
