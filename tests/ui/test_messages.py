from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lrwidget.backends.base import Activity
from lrwidget.config import TestConfig
from lrwidget.curve.history import Ended, JobHistory, Plan, Stepped
from lrwidget.curve.lr_curve import LRCurve, Step
from lrwidget.curve.race_history import RaceHistory
from lrwidget.curve.suggestion import NO_SUGGESTION, Suggestion
from lrwidget.ui import messages, outlook
from tests.curves import run_of
from tests.ui.snapshots import IDLE, job_with, snapshot_with

if TYPE_CHECKING:
    from lrwidget.ui.snapshot import JobSnapshot

_PLAN = Plan(1e-3, 0.01, 100)


def _curve(reason: Any = None) -> LRCurve:
    return LRCurve(np.array([1e-3, 0.01]), np.array([2.0, 1.5]), reason, 100)


def _history(steps: int, num_it: int = 100, runs: int = 1) -> JobHistory:
    """Return a history whose first run has some steps."""
    history = JobHistory([Plan(1e-3, 0.01, num_it)] * runs)
    for number in range(steps):
        history.apply(Stepped(0, Step(number, 1e-3 * (number + 1), 1.0)))
    return history


def _status(job: JobSnapshot, **changes: Any) -> str:
    return messages.status(snapshot_with(job=job, **changes))


def _running(steps: int, seconds: float = 0.0, **changes: Any) -> str:
    job = job_with(_history(steps), running=True, seconds=seconds, **changes)
    return _status(job, curve=_curve() if steps else IDLE.curve)


def _ended(curve: LRCurve, suggestion: Suggestion = NO_SUGGESTION) -> str:
    return _status(job_with(_history(len(curve))), curve=curve, suggestion=suggestion)


def test_before_the_first_run() -> None:
    assert messages.status(IDLE) == (
        "Run tries 100 learning rates from 1.0e-7 to 10 and shows the loss at each. It "
        "takes as long as 100 training steps, and does not change your model."
    )
    config = TestConfig(num_it=30, steps_per_lr=2)
    said = messages.sentence(replace(IDLE, config=config))
    assert "30 learning rates" in said
    assert "60 training steps" in said


def test_the_cost_of_a_check() -> None:
    said = "Check by training: a range test and 5 trainings of 100 steps, about 6 times"
    assert outlook.cost(IDLE) == f"{said} a range test."
    tooltip = outlook.check_tooltip(IDLE)
    assert tooltip.startswith(outlook.cost(IDLE))
    assert tooltip.endswith("enter them at Change.")
    # 99 steps in 3 s, and 300 to come
    job = job_with(_history(100), seconds=3.0)
    known = replace(IDLE, verifiable=True, total_steps=600, job=job)
    said = "Check by training: 5 trainings of 60 steps, about 3 times a range test, up"
    assert outlook.cost(known) == f"{said} to about 9 s."
    assert outlook.check_tooltip(known) == outlook.cost(known)
    # each rate for two steps, of which a training has one
    config = TestConfig(steps_per_lr=2)
    assert "1.5 times a range test, up to about 5 s" in outlook.cost(
        replace(known, config=config)
    )
    short = replace(known, config=TestConfig(num_it=2))
    assert "5 trainings of 60 steps, about 150 times a range" in outlook.cost(short)
    raced = replace(job, kind="race")
    assert "up to about 9 s" in outlook.cost(replace(known, config=config, job=raced))


def test_running() -> None:
    assert _running(0) == "Running: waiting for the first step."
    assert _running(0, silence=3.2) == "Running: waiting for the first step: 3 s."
    said = "Loss 1.5 at rate 1.0e-2."
    assert _running(2) == f"Running: step 2 of 100. {said}"
    # one step in 1 / 49 s, of which 98 are to come
    assert (
        _running(2, 1 / 49) == f"Running: step 2 of 100, 49 steps/s, 2 s left. {said}"
    )


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("completed", "Done: 2 steps up to 1.0e-2."),
        (
            "diverged",
            "Stopped at 1.0e-2, where training became unstable, as expected.",
        ),
        ("non_finite", "Stopped at 1.0e-2, where the loss became infinite or NaN."),
        ("exhausted", "The batches ended after 2 steps, at 1.0e-2."),
        ("stopped", "Stopped after 2 steps, at 1.0e-2."),
        (None, "No longer followed, after 2 steps, at 1.0e-2."),
    ],
)
def test_ended(reason: Any, said: str) -> None:
    sure = Suggestion(0.005, reason="halfway down")
    assert _ended(_curve(reason), sure) == f"{said} 5.0e-3 is halfway down."
    doubtful = Suggestion(0.005, 0.001, 0.01, "halfway down")
    assert _ended(_curve(reason), doubtful) == (
        f"{said} 5.0e-3 is halfway down. Range to try: 1.0e-3 to 1.0e-2."
    )
    without = _ended(_curve(reason), Suggestion(None, reason="only noise"))
    assert without == f"{said} No suggestion: only noise."
    rule = Suggestion(0.005, reason="Too noisy to see a slope. Rule of thumb: 1/20")
    assert _ended(_curve(reason), rule) == f"{said} {rule.reason}."


def test_a_complete_test_whose_loss_is_above_its_lowest() -> None:
    lrs, reason = np.geomspace(1e-5, 1, 50), Suggestion(None, reason="why")
    places = np.log10(lrs)
    for low, said in (
        (-2, "Done: 50 steps up to 1."),  # it has risen, but not above the start
        (0.5, "The loss had not risen by the last rate, 1."),
    ):
        valley = 2 - np.exp(-((places - low) ** 2))
        curve = LRCurve(lrs, valley, "completed")
        assert _ended(curve, reason).endswith(f"{said} No suggestion: why.")


def test_a_complete_test_whose_last_losses_are_not_finite() -> None:
    lrs = np.geomspace(1e-5, 1, 51)  # ten a decade
    falling = 2 - 1 / (1 + 1e-3 / lrs)
    for broken, said in ((30, "1.0e-2"), (50, "1"), (0, "1.0e-5")):
        losses = np.where(np.arange(51) < broken, falling, np.nan)
        words = _ended(LRCurve(lrs, losses, "completed"))
        assert f"From {said} on, each loss is infinite or NaN." in words


def test_stopped_before_the_first_step() -> None:
    for reason, said in (("stopped", "Stopped"), (None, "No longer followed,")):
        curve = LRCurve(np.array([]), np.array([]), reason)  # type: ignore[arg-type]  # a reason
        assert _ended(curve) == f"{said} before the first step."


def test_what_differs_from_the_training_is_said_at_the_end() -> None:
    for running in (True, False):
        job = job_with(_history(2), running=running)
        plain = _status(job, curve=_curve("completed"))
        job = replace(job, notices=("One is not.", "Two differs."))
        assert _status(job, curve=_curve("completed")) == (
            f"{plain} The test differs from your training. One is not. Two differs."
        )


def test_several_tests() -> None:
    history = _history(3, num_it=4, runs=2)
    job = job_with(history, kind="comparison", running=True)
    assert _status(job) == "Running 2 tests: step 3 of 8."
    run = run_of([3.0, 2.0, 1.0], "b")
    ended = job_with(history, kind="comparison")
    suggestion = Suggestion(0.01, reason="why")
    said = messages.status(snapshot_with(run, job=ended, suggestion=suggestion))
    assert said.startswith("2 tests done. Shown: b. ")
    assert said.endswith(" 1.0e-2 is why.")


def _failed(error: BaseException, steps: int = 2, kind: str = "test") -> str:
    return _status(job_with(_history(steps), kind=kind, error=error))


def test_failed_in_one_line() -> None:
    error = RuntimeError("sizes\n do not  match\n\nfor example\n")
    said = "ailed after 2 steps. RuntimeError: sizes do not match"
    assert _failed(error) == f"F{said}"
    assert _failed(error, kind="race") == f"Training f{said}"
    assert _failed(ZeroDivisionError()) == "Failed after 2 steps. ZeroDivisionError"


def test_an_error_without_words() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise self

    said = "Failed after 2 steps. MuteError: its message cannot be shown"
    assert _failed(MuteError()) == said


@pytest.mark.parametrize(
    ("done", "total", "seconds", "pace"),
    [
        (0, 100, 0.0, ""),
        (1, 100, 0.0, ""),
        (1, 100, 5.0, ""),  # the clock may be ahead
        (42, 100, 41 / 31, ", 31 steps/s, 2 s left"),
        (41, 101, 2.0, ", 20 steps/s, 3 s left"),
        (11, 130, 5.0, ", 2 steps/s, 1 min 0 s left"),
        (11, 1631, 5.0, ", 2 steps/s, 13 min 30 s left"),
        (1001, 1001, 1.5, ", 667 steps/s, 0 s left"),
        (10001, 10001, 5.0, ", 2,000 steps/s, 0 s left"),
        (11, 21, 25.0, ", 2.5 s/step, 25 s left"),
    ],
)
def test_pace(done: int, total: int, seconds: float, pace: str) -> None:
    history = _history(done, total)
    job = job_with(history, running=True, seconds=seconds, kind="comparison")
    assert _status(job) == f"Running 1 test: step {done} of {total}{pace}."


def test_one_step_is_singular() -> None:
    one = LRCurve(np.array([0.1]), np.array([1.0]), "stopped")
    assert _ended(one).startswith("Stopped after 1 step, at 0.1.")
    assert _failed(KeyError(), steps=1) == "Failed after 1 step. KeyError"


def _race(*reasons: Any, stopped: Any = None) -> RaceHistory:
    race = RaceHistory([1e-3, 0.01, 0.1], 2)
    for number, reason in enumerate(reasons):
        lr = race.rates[number]
        race.apply(Stepped(number, Step(0, lr, 0.5)))
        if reason is not None:
            race.apply(Stepped(number, Step(1, lr, 0.4 - 0.1 * number)))
            race.apply(Ended(number, reason))
    if stopped is not None:
        race.finish(stopped)
    return race


def _racing(race: RaceHistory, seconds: float = 0.0) -> str:
    job = job_with(race, kind="race", running=True, seconds=seconds)
    return _status(job, race=race)


@pytest.mark.parametrize(
    ("race", "said"),
    [
        (_race(), "Training at 3 rates: waiting for the first step."),
        (_race(None), "Training: rate 1.0e-3, 1 of 3, loss 0.5; step 1 of 6."),
        (
            _race("completed", None),
            "Training: rate 1.0e-2, 2 of 3, loss 0.5; step 3 of 6.",
        ),
        (_race("diverged"), "Training: rate 1.0e-3, 1 of 3, loss 0.4; step 2 of 6."),
        (RaceHistory([0.1], 2), "Training at 1 rate: waiting for the first step."),
    ],
)
def test_racing(race: RaceHistory, said: str) -> None:
    assert _racing(race) == said


def test_the_pace_of_a_race() -> None:
    said = _racing(_race("completed", None), 0.5)
    assert said.endswith("; step 3 of 6, 4 steps/s, 1 s left.")


def test_racing_without_batches() -> None:
    race = _race("completed")
    race.apply(Ended(1, "exhausted"))
    assert _racing(race) == "Training: rate 1.0e-2, 2 of 3; step 2 of 4."


@pytest.mark.parametrize(
    ("race", "said"),
    [
        (
            _race("completed", "completed", "diverged", stopped="completed"),
            "Trainings done: lowest loss 0.3 at 1.0e-2.",
        ),
        (
            _race("diverged", "diverged", "non_finite", stopped="completed"),
            "Trainings done: no training was completed.",
        ),
        (
            _race("completed", None, stopped="stopped"),
            "Stopped at rate 1.0e-2, 2 of 3: lowest loss 0.4 at 1.0e-3.",
        ),
        (
            _race(None, stopped="stopped"),
            "Stopped at rate 1.0e-3, 1 of 3: no training was completed.",
        ),
        (_race(stopped="stopped"), "Stopped before the first step."),
    ],
)
def test_raced(race: RaceHistory, said: str) -> None:
    assert _status(job_with(race, kind="race"), race=race) == said


@pytest.mark.parametrize(
    ("silence", "said"),
    [
        (30.4, "30 s"),
        (119, "119 s"),
        (150, "2 min"),
        (7199, "120 min"),
        (86400, "24 h"),
        (3 * 86400, "3 days"),
    ],
)
def test_durations(silence: float, said: str) -> None:
    words = _elsewhere(3, Activity("running", where="ray"), silence)
    assert words == f"No new step for {said}, at step 3 of 9."


def _elsewhere(steps: int, activity: Activity, silence: float = 0.0) -> str:
    job = job_with(_history(steps, 9), running=True, activity=activity, silence=silence)
    return _status(job, curve=_curve() if steps else IDLE.curve)


def test_a_loader_that_is_waited_for() -> None:
    activity = Activity("waiting", detail="dataloader=<list>")
    for silence in (0.0, 9.9):
        assert _elsewhere(2, activity, silence).startswith("Running: step 2 of 9")
    said = _elsewhere(2, activity, 12.3)
    assert said.startswith(
        "Waiting 12 s for the next batch of dataloader=<list>, at step 2 of 9. Stop "
    )


def test_a_record_before_its_test() -> None:
    activity = Activity("starting", detail="a.jsonl", where="record")
    said = "Waiting for a test to begin in a.jsonl."
    assert _elsewhere(0, activity) == said
    assert (
        _elsewhere(0, activity, 90)
        == f"{said} No test for 90 s; Stop ends following it."
    )


def test_a_followed_test() -> None:
    activity = Activity("running", detail="process 3 on gpu", where="record")
    assert _elsewhere(2, activity).startswith("Running: step 2 of 9. Loss 1.5 ")
    stop = "Stop asks it to stop; a second Stop ends following it."
    said = f"The test runs in process 3 on gpu: {stop}"
    silent = _elsewhere(2, activity, 30)
    assert silent == f"No new step for 30 s, at step 2 of 9. {said}"
    troubled = activity._replace(problem="Reading failed.")
    words = _elsewhere(2, troubled)
    assert words == f"Running: step 2 of 9. {said} Reading failed."
    asked = _elsewhere(2, activity._replace(phase="stopping"))
    assert asked == (
        "Running: step 2 of 9. Asked process 3 on gpu to stop, which it does at its "
        "next step; a second Stop ends following it."
    )


def test_a_test_on_a_cluster() -> None:
    starting = Activity("starting", detail="2 workers", where="ray")
    words = "Starting 2 workers on the Ray cluster"
    assert _elsewhere(0, starting, 0.4) == f"{words}."
    assert _elsewhere(0, starting, 12.3) == f"{words}: 12 s so far."
    lacking = starting._replace(problem="1 of 2 CPU")
    said = f"{words}: 12 s so far. It has 1 of 2 CPU."
    assert _elsewhere(0, lacking, 12.3) == said
    running = Activity("running", where="ray")
    assert _elsewhere(2, running).startswith("Running: step 2 of 9. Loss 1.5 ")
    stopping = Activity("stopping", where="ray")
    assert _elsewhere(2, stopping) == "Stopping. Running: step 2 of 9."


def test_stopping() -> None:
    stopping = Activity("stopping")
    said = "Stopping after this step ... (step 2 of 9)"
    assert _elsewhere(2, stopping) == said


def test_an_error_of_the_fields_is_told_by_their_names() -> None:
    error = ValueError("num_it=1 must be at least 2")
    job = job_with(_history(0), error=error)
    said = "Failed before the first step. ValueError: "
    assert _status(job, problem=str(error)) == f"{said}Steps = 1 must be at least 2"
    assert _status(job) == f"{said}num_it=1 must be at least 2"


def test_the_next_run() -> None:
    said = "Next run: 100 steps, 1.0e-7 to 10, exponential"
    assert outlook.next_run(IDLE) == said
    job = job_with(_history(100), seconds=3.0)  # 33 steps a second
    known = replace(IDLE, job=job, config=TestConfig(num_it=330, step_mode="linear"))
    said = "Next run: 330 steps, 1.0e-7 to 10, linear, about 10 s"
    assert outlook.next_run(known) == said


def test_the_button_of_a_check_tells_its_time() -> None:
    assert outlook.check_button(IDLE) == "Check by training"
    job = job_with(_history(100), seconds=3.0)
    known = replace(IDLE, verifiable=True, total_steps=600, job=job)
    assert outlook.check_button(known) == "Check by training · 9 s"


def test_announcements() -> None:
    assert messages.announcement(IDLE) == ""
    for kind, said in (("race", "Training started."), ("test", "Range test started.")):
        job = job_with(_history(3), kind=kind, running=True)
        assert messages.announcement(snapshot_with(job=job)) == said
    ended = snapshot_with(job=job_with(_history(2)), curve=_curve("stopped"))
    assert messages.announcement(ended) == messages.sentence(ended)
