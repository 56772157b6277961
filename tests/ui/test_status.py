from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lrwidget.curve.record import LRCurve
from lrwidget.ui import status


def _curve(reason: Any = None) -> LRCurve:
    return LRCurve(np.array([1e-3, 0.01]), np.array([2.0, 1.5]), reason, 100)


def test_ready() -> None:
    assert status.ready(1e-7, 10, 100) == "Ready: Run tries 100 rates from 1e-7 to 10."


def test_running() -> None:
    empty = LRCurve(np.array([]), np.array([]))
    assert status.running(empty) == "Running: waiting for the first step."
    assert status.running(_curve()) == "Running: loss 1.5 at rate 0.01."


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("completed", "Done: all 2 steps, up to 0.01."),
        ("diverged", "Done: the loss diverged at 0.01, as it should in the end."),
        ("non_finite", "Done: the loss stopped being finite at 0.01."),
        ("exhausted", "Done: no more batches after 2 steps, at 0.01."),
        ("stopped", "Stopped after 2 steps, at 0.01."),
    ],
)
def test_ended(reason: Any, said: str) -> None:
    assert status.ended(_curve(reason), 0.005) == f"{said} Suggested: 0.005."
    without = status.ended(_curve(reason), None)
    assert without.startswith(f"{said} No suggestion: ")


def test_stopped_before_the_first_step() -> None:
    curve = LRCurve(np.array([]), np.array([]), "stopped")
    assert status.ended(curve, None) == "Stopped before the first step."


@pytest.mark.parametrize(
    ("rate", "text"),
    [(1e-7, "1e-7"), (0.0123456, "0.0123"), (10.0, "10"), (1e-12, "1e-12"), (1, "1")],
)
def test_rates_in_short(rate: float, text: str) -> None:
    assert status.short(rate) == text


def test_failed_in_one_line() -> None:
    error = RuntimeError("sizes\n do not  match\n\nfor example\n")
    said = "Failed after 2 steps. RuntimeError: sizes do not match"
    assert status.failed(_curve(), error) == said
    said = "Failed after 2 steps. ZeroDivisionError"
    assert status.failed(_curve(), ZeroDivisionError()) == said


@pytest.mark.parametrize(
    ("done", "total", "seconds", "speed", "left"),
    [
        (0, 100, 0.0, "", ""),
        (1, 100, 0.0, "", ""),
        (1, 100, 5.0, "", ""),  # the clock may be ahead
        (41, 101, 2.0, " · 20 it/s", " · 3 s left"),
        (11, 130, 5.0, " · 2 it/s", " · 1 min 0 s left"),
        (11, 1631, 5.0, " · 2 it/s", " · 13 min 30 s left"),
        (1001, 1001, 1.5, " · 667 it/s", " · 0 s left"),
    ],
)
def test_pace(done: int, total: int, seconds: float, speed: str, left: str) -> None:
    said = f"{done} / {total}{speed}"
    assert status.pace(done, total, seconds, running=False) == said
    assert status.pace(done, total, seconds, running=True) == said + left


def test_one_step_is_singular() -> None:
    one = LRCurve(np.array([0.1]), np.array([1.0]), "stopped")
    assert status.ended(one, None).startswith("Stopped after 1 step, at 0.1.")
    assert status.failed(one, KeyError()) == "Failed after 1 step. KeyError"
