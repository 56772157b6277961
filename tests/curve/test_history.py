from __future__ import annotations

import threading
from itertools import pairwise

from lrwidget.curve.history import (
    Ended,
    JobHistory,
    Plan,
    RunHistory,
    Started,
    Stepped,
)
from lrwidget.curve.lr_curve import Step


def _plan(num_it: int) -> Plan:
    return Plan(0.1, 0.5, num_it)


def test_events_in_any_order_add_up_to_the_histories_of_their_runs() -> None:
    history = JobHistory([_plan(2), _plan(3), _plan(4)])
    one, other, never = history.runs
    for event in (
        Started(1, _plan(3)),
        Stepped(1, Step(0, 0.1, 5.0)),
        Started(0, _plan(2)),
        Stepped(0, Step(0, 0.1, 3.0)),
        Stepped(1, Step(1, 0.2, 4.0)),
        Ended(0, "diverged"),
    ):
        history.apply(event)
    assert one.curve().losses.tolist() == [3.0]
    assert other.curve().losses.tolist() == [5.0, 4.0]
    assert other.curve().lrs.tolist() == [0.1, 0.2]
    assert (len(history), history.num_it) == (3, 1 + 3 + 4)
    history.finish("stopped")
    assert history.stop_reason == "stopped"
    reasons = [x.stop_reason for x in (one, other, never)]
    assert reasons == ["diverged", "stopped", None]


def test_a_job_whose_runs_have_all_ended_is_completed() -> None:
    history = JobHistory([_plan(2), _plan(2)])
    history.apply(Ended(0, "diverged"))
    history.apply(Ended(1, "completed"))
    history.finish("stopped")
    assert history.stop_reason == "completed"
    assert [run.stop_reason for run in history.runs] == ["diverged", "completed"]


def test_a_run_with_all_steps_is_completed_though_its_end_is_to_come() -> None:
    history = JobHistory([_plan(2), _plan(2)])
    for number in range(2):
        history.apply(Stepped(0, Step(number, 0.1 + number, 1.0)))
    history.apply(Stepped(1, Step(0, 0.1, 1.0)))
    history.finish("stopped")
    assert [run.stop_reason for run in history.runs] == ["completed", "stopped"]


def test_the_only_run_is_stopped_even_before_its_first_step() -> None:
    history = JobHistory([_plan(2)])
    history.finish("stopped")
    assert history.runs[0].stop_reason == "stopped"
    assert history.num_it == 2


def test_a_run_that_goes_on_elsewhere_has_no_reason() -> None:
    history = JobHistory([None])
    assert history.num_it == 0
    history.apply(Started(0, _plan(3)))
    history.apply(Stepped(0, Step(0, 0.1, 1.0)))
    history.finish(None)
    assert history.stop_reason is None
    assert history.runs[0].stop_reason is None
    assert history.num_it == 3


def test_a_start_in_place_of_an_earlier_one_begins_without_steps() -> None:
    history = JobHistory([None])
    history.apply(Started(0, _plan(3)))
    history.apply(Stepped(0, Step(0, 0.1, 1.0)))
    before = history.runs[0].curve()
    history.apply(Started(0, Plan(0.2, 0.4, 5)))
    history.apply(Stepped(0, Step(0, 0.2, 2.0)))
    curve = history.runs[0].curve()
    assert (curve.lrs.tolist(), curve.num_it) == ([0.2], 5)
    assert before.lrs.tolist() == [0.1]


def test_a_reader_during_a_start_sees_the_old_test_or_the_new_one() -> None:
    seen: list[tuple[int, int]] = []

    class Watched(RunHistory):
        """A history that is read after each assignment, as on another thread."""

        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, value)
            if watching:
                curve = self.curve()
                seen.append((len(curve), curve.num_it))

    watching = False
    run = Watched(None)
    run.start(_plan(3))
    for number in range(3):
        run.append(Step(number, 0.1 + number, 1.0))
    watching = True
    run.start(_plan(2))
    assert seen[-1] == (0, 2)
    assert set(seen) <= {(3, 3), (0, 2)}


def test_the_curve_after_a_start_has_nothing_of_the_earlier_test() -> None:
    run = RunHistory(None)
    for loss in (3.0, 5.0):  # with the same settings, and as many steps
        run.start(_plan(3))
        run.append(Step(0, 0.1, loss))
        assert run.curve().losses.tolist() == [loss]


def test_the_curve_is_one_object_while_nothing_is_new() -> None:
    run = RunHistory(_plan(3))
    assert run.curve() is run.curve()
    run.append(Step(0, 0.1, 1.0))
    first = run.curve()
    assert first is run.curve()
    run.append(Step(1, 0.2, 1.0))
    assert len(run.curve()) == 2
    run.stop_reason = "stopped"
    last = run.curve()
    assert (last.stop_reason, last is run.curve()) == ("stopped", True)
    assert len(first) == 1


def test_a_thread_may_read_while_another_one_appends() -> None:
    run = RunHistory(Plan(1.0, 1e6, 20_000))
    lengths: list[int] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            curve = run.curve()
            assert curve.losses.tolist() == curve.lrs.tolist()
            lengths.append(len(curve))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(20_000):
        run.append(Step(number, 1.0 + number, 1.0 + number))
    done.set()
    reader.join()
    assert all(one <= other for one, other in pairwise(lengths))
    assert len(run.curve()) == 20_000
