from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lrwidget.curve.race import Finish, RaceRecording
from lrwidget.curve.record import LRCurve, Step
from lrwidget.curve.suggestion import NO_SUGGESTION, Suggestion
from lrwidget.curve.training import TrainingCurve
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
    sure = Suggestion(0.005, reason="halfway down")
    assert (
        status.ended(_curve(reason), sure) == f"{said} Suggested: 0.005, halfway down."
    )
    doubtful = Suggestion(0.005, 0.001, 0.01, "halfway down")
    assert status.ended(_curve(reason), doubtful) == (
        f"{said} Suggested: 0.005 (0.001 to 0.01 look as good), halfway down."
    )
    without = status.ended(_curve(reason), Suggestion(None, reason="only noise"))
    assert without == f"{said} No suggestion: only noise."


def test_stopped_before_the_first_step() -> None:
    curve = LRCurve(np.array([]), np.array([]), "stopped")
    assert status.ended(curve, NO_SUGGESTION) == "Stopped before the first step."


@pytest.mark.parametrize(
    ("rate", "text"),
    [(1e-7, "1e-7"), (0.0123456, "0.0123"), (10.0, "10"), (1e-12, "1e-12"), (1, "1")],
)
def test_rates_in_short(rate: float, text: str) -> None:
    assert status.short(rate) == text


def test_failed_in_one_line() -> None:
    error = RuntimeError("sizes\n do not  match\n\nfor example\n")
    said = "Failed after 2 steps. RuntimeError: sizes do not match"
    assert status.failed("Failed", 2, error) == said
    said = "Failed after 2 steps. ZeroDivisionError"
    assert status.failed("Failed", 2, ZeroDivisionError()) == said


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
    assert status.ended(one, NO_SUGGESTION).startswith("Stopped after 1 step, at 0.1.")
    assert status.failed("Failed", 1, KeyError()) == "Failed after 1 step. KeyError"


def _race(*reasons: Any, stopped: Any = None) -> RaceRecording:
    race = RaceRecording([1e-3, 0.01, 0.1], 2)
    for number, reason in enumerate(reasons):
        lr = race.rates[number]
        race.append(Step(0, lr, 0.5))
        if reason is not None:
            race.append(Step(1, lr, 0.4 - 0.1 * number))
            race.append(Finish(lr, reason))
    race.stop_reason = stopped
    return race


@pytest.mark.parametrize(
    ("race", "said"),
    [
        (_race(), "Race of 3 rates: waiting for the first step."),
        (_race(None), "Race: rate 0.001, 1 of 3, loss 0.5."),
        (_race("completed", None), "Race: rate 0.01, 2 of 3, loss 0.5."),
        (_race("diverged"), "Race: rate 0.001, 1 of 3, loss 0.4."),
        (RaceRecording([0.1], 2), "Race of 1 rate: waiting for the first step."),
    ],
)
def test_racing(race: RaceRecording, said: str) -> None:
    assert status.racing(race) == said


def test_racing_without_batches() -> None:
    race = _race("completed")
    race.append(Finish(0.01, "exhausted"))
    assert status.racing(race) == "Race: rate 0.01, 2 of 3."


@pytest.mark.parametrize(
    ("race", "said"),
    [
        (
            _race("completed", "completed", "diverged", stopped="completed"),
            "Race done: lowest loss 0.3 at 0.01.",
        ),
        (
            _race("diverged", "diverged", "non_finite", stopped="completed"),
            "Race done: no rate came to its end.",
        ),
        (
            _race("completed", None, stopped="stopped"),
            "Race stopped at rate 0.01, 2 of 3: lowest loss 0.4 at 0.001.",
        ),
        (
            _race(None, stopped="stopped"),
            "Race stopped at rate 0.001, 1 of 3: no rate came to its end.",
        ),
        (_race(stopped="stopped"), "Race stopped before the first step."),
    ],
)
def test_raced(race: RaceRecording, said: str) -> None:
    assert status.raced(race) == said


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("completed", "loss 1.23"),
        ("diverged", "diverged"),
        ("non_finite", "not finite"),
        ("exhausted", "no batches left"),
        ("stopped", "stopped"),
        (None, ""),
    ],
)
def test_outcomes(reason: Any, said: str) -> None:
    curve = TrainingCurve(0.1, np.array([2.0, 1.2345]), reason)
    assert status.outcome(curve) == said
