"""
Measure the time to suggest a rate, for a curve of 1,000 and of 100,000 points.

The script prints medians, and fails if a median is over its bound:

    python -m benchmarks.suggesting
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np

from lrwidget import LRCurve
from lrwidget.curve.rules import RULES

_BOUNDS = {1_000: 1e-3, 100_000: 50e-3}
_ROUNDS = 21


def _curve(count: int) -> LRCurve:
    """Return a noisy descent that ends in a rise."""
    places = np.linspace(-7, 1, count)
    noise = 0.05 * np.random.default_rng(0).normal(size=count)
    fall = 1 / (1 + np.exp(4 * (places + 2.5)))
    return LRCurve(10.0**places, fall + noise + np.where(places > 0, 9 * places, 0))


def _report() -> int:
    code = 0
    for count, bound in _BOUNDS.items():
        for rule in RULES:
            seconds = []
            for _ in range(_ROUNDS):
                curve = _curve(count)  # a new one, since a curve keeps its suggestions
                began = time.perf_counter()
                curve.suggestion(rule)
                seconds.append(time.perf_counter() - began)
            median = statistics.median(seconds)
            verdict = "holds" if median <= bound else "FALLS SHORT"
            print(
                f"{count:7,} points, {rule:8}: {1e3 * median:6.2f} ms "
                f"({1e3 * min(seconds):.2f} to {1e3 * max(seconds):.2f}), "
                f"bound {1e3 * bound:.0f} ms: {verdict}"
            )
            code |= median > bound
    return code


if __name__ == "__main__":
    sys.exit(_report())
