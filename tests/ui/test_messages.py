from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lrwidget.curve.history import Part
from lrwidget.curve.lr_curve import LRCurve, Step
from lrwidget.curve.race import RaceRecording
from lrwidget.curve.suggestion import NO_SUGGESTION, Suggestion
from lrwidget.curve.training_curve import TrainingCurve
from lrwidget.ui import messages as status


def _curve(reason: Any = None) -> LRCurve:
    return LRCurve(np.array([1e-3, 0.01]), np.array([2.0, 1.5]), reason, 100)


def test_idle() -> None:
    assert status.idle(1e-7, 10, 100) == "Idle: Run tries 100 rates from 1e-7 to 10."


def test_running() -> None:
    empty = LRCurve(np.array([]), np.array([]))
    assert status.running(empty, 0.0) == "Running: waiting for the first step."
    said = "Loss 1.5 at rate 1e-2."
    assert status.running(_curve(), 0.0) == f"Running: step 2 of 100. {said}"
    # one step in 1 / 49 s, of which 98 are to come
    assert status.running(_curve(), 1 / 49) == (
        f"Running: step 2 of 100, 49 it/s, 2 s left. {said}"
    )


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("completed", "Done: all 2 steps, up to 1e-2."),
        ("diverged", "Done: the loss diverged at 1e-2 (normal)."),
        ("non_finite", "Done: the loss stopped being finite at 1e-2."),
        ("exhausted", "Done: no more batches after 2 steps, at 1e-2."),
        ("stopped", "Stopped after 2 steps, at 1e-2."),
    ],
)
def test_ended(reason: Any, said: str) -> None:
    sure = Suggestion(0.005, reason="halfway down")
    assert (
        status.ended(_curve(reason), sure) == f"{said} Suggested: 5e-3, halfway down."
    )
    doubtful = Suggestion(0.005, 0.001, 0.01, "halfway down")
    assert status.ended(_curve(reason), doubtful) == (
        f"{said} Suggested: 5e-3 (1e-3 to 1e-2 look as good), halfway down."
    )
    without = status.ended(_curve(reason), Suggestion(None, reason="only noise"))
    assert without == f"{said} No suggestion: only noise."


def test_stopped_before_the_first_step() -> None:
    curve = LRCurve(np.array([]), np.array([]), "stopped")
    assert status.ended(curve, NO_SUGGESTION) == "Stopped before the first step."


def test_a_rate_as_code() -> None:
    codes = [status.as_code(rate) for rate in (0.014, 0.5, 1.23456e-5)]
    assert codes == ["lr=1.4e-2", "lr=0.5", "lr=1.23e-5"]


def test_words_beside_the_handle() -> None:
    assert status.beside_the_handle(None, 0.5, 0.1) == []
    assert status.beside_the_handle(0.014, None, None) == ["1.4e-2"]
    words = ["1.4e-2", "loss 0.512", "0.6x the suggestion"]
    assert status.beside_the_handle(0.014, 0.51234, 0.014 / 0.6) == words
    for loss, said in ((1.987e-9, "1.99e-9"), (-0.5, "-0.5"), (0.0, "0"), (1e7, "1e7")):
        assert status.beside_the_handle(0.01, loss, None)[1] == f"loss {said}"


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        *((1.0, "as suggested"), (1.004, "as suggested"), (0.996, "as suggested")),
        *((1.01, "1x the suggestion"), (0.994, "0.99x the suggestion")),
        *((2.0, "2x the suggestion"), (1 / 3, "0.33x the suggestion")),
        *((12.3, "12x the suggestion"), (345.6, "350x the suggestion")),
        *((2500.0, "2500x the suggestion"), (0.0123, "0.012x the suggestion")),
        *((1e6, "1e6x the suggestion"), (1e-5, "1e-5x the suggestion")),
    ],
)
def test_where_the_rate_is_relative_to_the_suggestion(ratio: float, said: str) -> None:
    assert status.beside_the_handle(0.01 * ratio, None, 0.01)[1] == said


def test_failed_in_one_line() -> None:
    error = RuntimeError("sizes\n do not  match\n\nfor example\n")
    said = "Failed after 2 steps. RuntimeError: sizes do not match"
    assert status.failed("Failed", 2, error) == said
    said = "Failed after 2 steps. ZeroDivisionError"
    assert status.failed("Failed", 2, ZeroDivisionError()) == said


@pytest.mark.parametrize(
    ("done", "total", "seconds", "pace"),
    [
        (0, 100, 0.0, ""),
        (1, 100, 0.0, ""),
        (1, 100, 5.0, ""),  # the clock may be ahead
        (42, 100, 41 / 31, ", 31 it/s, 2 s left"),
        (41, 101, 2.0, ", 20 it/s, 3 s left"),
        (11, 130, 5.0, ", 2 it/s, 1 min 0 s left"),
        (11, 1631, 5.0, ", 2 it/s, 13 min 30 s left"),
        (1001, 1001, 1.5, ", 667 it/s, 0 s left"),
        (10001, 10001, 5.0, ", 2,000 it/s, 0 s left"),
        (11, 21, 25.0, ", 2.5 s/it, 25 s left"),
    ],
)
def test_pace(done: int, total: int, seconds: float, pace: str) -> None:
    assert status.pace(done, total, seconds) == f"step {done} of {total}{pace}"


def test_one_step_is_singular() -> None:
    one = LRCurve(np.array([0.1]), np.array([1.0]), "stopped")
    assert status.ended(one, NO_SUGGESTION).startswith("Stopped after 1 step, at 0.1.")
    assert status.failed("Failed", 1, KeyError()) == "Failed after 1 step. KeyError"


def _race(*reasons: Any, stopped: Any = None) -> RaceRecording:
    race = RaceRecording([1e-3, 0.01, 0.1], 2)
    for number, reason in enumerate(reasons):
        lr = race.rates[number]
        race.append(Part(number, Step(0, lr, 0.5)))
        if reason is not None:
            race.append(Part(number, Step(1, lr, 0.4 - 0.1 * number)))
            race.append(Part(number, reason))
    race.stop_reason = stopped
    return race


@pytest.mark.parametrize(
    ("race", "said"),
    [
        (_race(), "Race of 3 rates: waiting for the first step."),
        (_race(None), "Race: rate 1e-3, 1 of 3, loss 0.5; step 1 of 6."),
        (_race("completed", None), "Race: rate 1e-2, 2 of 3, loss 0.5; step 3 of 6."),
        (_race("diverged"), "Race: rate 1e-3, 1 of 3, loss 0.4; step 2 of 6."),
        (RaceRecording([0.1], 2), "Race of 1 rate: waiting for the first step."),
    ],
)
def test_racing(race: RaceRecording, said: str) -> None:
    assert status.racing(race, 0.0) == said


def test_the_pace_of_a_race() -> None:
    said = status.racing(_race("completed", None), 0.5)
    assert said.endswith("; step 3 of 6, 4 it/s, 1 s left.")


def test_racing_without_batches() -> None:
    race = _race("completed")
    race.append(Part(1, "exhausted"))
    assert status.racing(race, 0.0) == "Race: rate 1e-2, 2 of 3; step 2 of 4."


@pytest.mark.parametrize(
    ("race", "said"),
    [
        (
            _race("completed", "completed", "diverged", stopped="completed"),
            "Race done: lowest loss 0.3 at 1e-2.",
        ),
        (
            _race("diverged", "diverged", "non_finite", stopped="completed"),
            "Race done: no rate came to its end.",
        ),
        (
            _race("completed", None, stopped="stopped"),
            "Race stopped at rate 1e-2, 2 of 3: lowest loss 0.4 at 1e-3.",
        ),
        (
            _race(None, stopped="stopped"),
            "Race stopped at rate 1e-3, 1 of 3: no rate came to its end.",
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


def test_what_is_followed() -> None:
    assert status.awaiting("a.jsonl", None) == "Waiting for a test to begin in a.jsonl."
    assert status.awaiting("a.jsonl", 90).endswith(
        "None for 90 s; Stop ends following."
    )
    assert status.silent(3, 9, None) == "Running: step 3 of 9."
    for seconds, said in (
        (30.4, "30 s"),
        (119, "119 s"),
        (150, "2 min"),
        (7199, "120 min"),
        (86400, "24 h"),
        (3 * 86400, "3 days"),
    ):
        words = status.silent(3, 9, seconds)
        assert words == f"No new step for {said}, at step 3 of 9."
    job = "process 3 on gpu"
    assert status.elsewhere(job, asked=False).startswith("The test is process 3 on gpu")
    assert status.elsewhere(job, asked=True).startswith(
        "Asked process 3 on gpu to stop"
    )
    left = LRCurve([0.1], [1.0])  # type: ignore[arg-type]  # lists are fine
    said = status.ended(left, NO_SUGGESTION)
    assert said.startswith("No longer followed, after 1 step, at 0.1.")


def test_what_starts_on_a_cluster() -> None:
    words = "Starting 2 workers on the Ray cluster"
    assert status.starting("2 workers", 0.4, "") == f"{words}."
    assert status.starting("2 workers", 12.3, "") == f"{words}: 12 s so far."
    lacks = status.starting("2 workers", 12.3, "1 of 2 CPU")
    assert lacks == f"{words}: 12 s so far. It has 1 of 2 CPU."
