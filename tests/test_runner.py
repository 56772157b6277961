from __future__ import annotations

import contextvars
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from lrwidget import runner as runner_module
from lrwidget.backends.base import Activity
from lrwidget.curve.history import Ended, JobHistory, Plan, Started, Stepped
from lrwidget.curve.lr_curve import Step
from lrwidget.curve.race_history import RaceHistory
from lrwidget.runner import Runner, abandon_running
from tests.widget_parts import SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from lrwidget.curve.history import Event

_PLAN = Plan(0.1, 1.0, 5)


def _step(iteration: int, run: int = 0) -> Stepped:
    return Stepped(run, Step(iteration, 0.1 * (iteration + 1), 5.0 - iteration))


class _Job:
    """A job of given events that can be held before each of them."""

    goes_on = False

    def __init__(self, events: Iterable[Event] = (), *, held: bool = False) -> None:
        self.plans: Sequence[Plan] = [_PLAN]
        self.gate = threading.Semaphore(0)
        self.asked = threading.Semaphore(0)
        self.closed = threading.Event()
        self.stopping = False
        self._events = events
        self._held = held

    notices = ()

    def events(self) -> Generator[Event, None, None]:
        try:
            for event in self._events:
                if self._held:
                    self.asked.release()
                    assert self.gate.acquire(timeout=SECONDS)
                yield event
                if self.stopping:
                    return
        finally:
            self.closed.set()

    def stop(self) -> None:
        self.stopping = True

    abandon = stop

    def activity(self) -> Activity:
        return Activity("running")


def _endless() -> Iterator[Event]:
    yield Started(0, _PLAN)
    for iteration in range(10**9):
        yield _step(iteration)


class _Run:
    """The runner of a job, and all calls of it."""

    def __init__(
        self,
        job: _Job,
        events: Iterator[Event] | None = None,
        refresh: Callable[[], object] = lambda: None,
        history: JobHistory | None = None,
    ) -> None:
        self.job = job
        self.history = JobHistory(job.plans) if history is None else history
        self.refreshes: list[int] = []
        self.ends: list[BaseException | None] = []
        self.threads: set[threading.Thread] = set()
        self._refresh = refresh
        events = job.events() if events is None else events
        self.runner = Runner(
            job, events, self.history, self._note_refresh, self._note_end
        )

    def _note_refresh(self) -> None:
        self.threads.add(threading.current_thread())
        self.refreshes.append(len(self.history))
        self._refresh()

    def _note_end(self, error: BaseException | None) -> None:
        self.threads.add(threading.current_thread())
        self.ends.append(error)

    def finish(self) -> None:
        self.runner.start()
        self.runner.wait(SECONDS)


@pytest.fixture
def endless() -> Iterator[_Run]:
    """Return a runner of a job that is held, and let that end after the test."""
    run = _Run(_Job(_endless(), held=True))
    yield run
    run.job.stop()
    run.job.gate.release(10)
    run.runner.wait(SECONDS)


# ---- the events


def test_the_events_become_the_history() -> None:
    steps = _step(0), _step(1), _step(2)
    run = _Run(_Job([Started(0, _PLAN), *steps, Ended(0, "diverged")]))
    run.finish()
    curve = run.history.runs[0].curve()
    assert curve.losses.tolist() == [5, 4, 3]
    assert (curve.stop_reason, curve.num_it) == ("diverged", 5)
    assert run.history.stop_reason == "completed"
    assert run.refreshes == sorted(run.refreshes)
    assert run.ends == [None]
    assert run.job.closed.is_set()
    assert threading.current_thread() not in run.threads


def test_any_iterator_gives_events() -> None:
    events: list[Event] = [_step(0), _step(1), Ended(0, "completed")]
    run = _Run(_Job(), iter(events))
    run.finish()
    assert len(run.history) == 2
    assert run.ends == [None]


def test_the_events_of_a_race() -> None:
    job = _Job([_step(0), _step(1), Ended(0, "completed"), _step(0, 1)])
    history = RaceHistory([0.1, 0.2], 2)
    run = _Run(job, history=history)
    run.finish()
    reasons = [curve.stop_reason for curve in history.curves().values()]
    assert reasons == ["completed", "stopped"]


def test_the_time_is_that_between_the_first_step_and_the_last_event() -> None:
    times: list[float] = []

    def events() -> Iterator[Event]:
        yield _step(0)
        times.append(time.monotonic())
        threading.Event().wait(0.05)
        times.append(time.monotonic())
        yield Ended(0, "completed")

    began = time.monotonic()
    run = _Run(_Job(events()))
    assert run.runner.seconds == 0
    run.finish()
    within, around = times[1] - times[0], time.monotonic() - began
    assert within <= run.runner.seconds <= around
    assert times[1] <= run.runner.last_event <= time.monotonic()


def test_stops_after_the_present_event_and_closes_the_events(endless: _Run) -> None:
    endless.runner.start()
    assert endless.job.asked.acquire(timeout=SECONDS)
    endless.job.stop()
    endless.job.gate.release()
    endless.runner.wait(SECONDS)
    assert len(endless.history) == 0
    assert endless.job.closed.is_set()
    assert endless.ends == [None]
    assert endless.history.stop_reason == "stopped"


def test_a_job_that_goes_on_elsewhere_has_no_reason() -> None:
    job = _Job([Started(0, _PLAN), _step(0)])
    job.goes_on = True
    run = _Run(job)
    run.finish()
    assert len(run.history) == 1
    assert run.history.runs[0].stop_reason is run.history.stop_reason is None


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit])
def test_a_failure_keeps_the_points(error: type[BaseException]) -> None:
    def events() -> Iterator[Event]:
        yield from (Started(0, _PLAN), _step(0), _step(1))
        raise error

    run = _Run(_Job(events()))
    run.finish()
    assert len(run.history) == 2
    assert run.history.runs[0].stop_reason is run.history.stop_reason is None
    (raised,) = run.ends
    assert isinstance(raised, error)


def test_an_event_that_is_none_closes_the_events() -> None:
    run = _Run(_Job(iter([_step(0), _step(0, run=5), _step(1)])))
    run.finish()
    (raised,) = run.ends
    assert isinstance(raised, IndexError)
    assert run.job.closed.is_set()
    assert len(run.history) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_wait_ends_though_the_end_fails() -> None:
    def fail(_error: BaseException | None) -> None:
        raise ZeroDivisionError

    job = _Job()
    runner = Runner(job, job.events(), JobHistory([_PLAN]), lambda: None, fail)
    runner.start()
    runner.wait(SECONDS)
    assert runner not in runner_module._running


# ---- the threads


def test_the_threads_do_not_keep_the_interpreter(endless: _Run) -> None:
    before = set(threading.enumerate())
    endless.runner.start()
    threads = set(threading.enumerate()) - before
    assert len(threads) == 2
    assert all(thread.daemon for thread in threads)


@pytest.mark.parametrize("place", ["events", "refresh", "finish"])
def test_all_runs_in_a_copy_of_the_callers_context(place: str) -> None:
    variable = contextvars.ContextVar("variable", default="outside")
    seen: dict[str, str] = {}
    refreshed = threading.Event()

    def see(where: str) -> None:
        seen.setdefault(where, variable.get())
        variable.set("changed")

    def events() -> Iterator[Event]:
        see("events")
        yield _step(0)
        assert refreshed.wait(SECONDS)

    def refresh() -> None:
        see("refresh")
        refreshed.set()

    token = variable.set("cell")
    job = _Job(events())
    runner = Runner(
        job, job.events(), JobHistory([_PLAN]), refresh, lambda _: see("finish")
    )
    runner.start()
    variable.reset(token)
    runner.wait(SECONDS)
    assert variable.get() == "outside"
    # The events and the end have one thread.
    assert seen[place] == ("changed" if place == "finish" else "cell")


def test_without_threads_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = threading.Thread.start

    def refused(thread: threading.Thread) -> None:
        if thread.name == "lrwidget":
            msg = "can't start new thread"
            raise RuntimeError(msg)
        start(thread)

    run = _Run(_Job([_step(0)]))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            run.runner.start()
    run.runner._threads[1].join(SECONDS)
    assert run.runner not in runner_module._running
    assert (run.ends, run.refreshes) == ([], [])


# ---- the wait


def test_waiting_has_a_limit(endless: _Run) -> None:
    endless.runner.start()
    with pytest.raises(TimeoutError, match=r"still running after timeout=0\.01 s"):
        endless.runner.wait(0.01)
    assert endless.ends == []


@pytest.mark.parametrize("timeout", [-1, float("nan"), 1e12])
def test_waiting_for_no_number_of_seconds(endless: _Run, timeout: float) -> None:
    endless.runner.start()
    with pytest.raises(
        ValueError, match=r"timeout=.* must be a number of seconds; pass"
    ):
        endless.runner.wait(timeout)


def test_an_interrupted_wait_can_be_taken_up_again(endless: _Run) -> None:
    endless.runner.start()
    main = threading.get_ident()
    interrupt = threading.Timer(0.1, signal.pthread_kill, [main, signal.SIGINT])
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        endless.runner.wait()
    interrupt.join()
    assert endless.ends == []
    with pytest.raises(TimeoutError):
        endless.runner.wait(0.01)
    endless.job.stop()
    endless.job.gate.release()
    endless.runner.wait(SECONDS)
    assert endless.job.closed.is_set()
    assert endless.ends == [None]


@pytest.mark.parametrize("call", ["wait", "abandon"])
def test_the_end_itself_does_not_wait_for_the_end(call: str) -> None:
    called: list[str] = []

    def finish(_error: BaseException | None) -> None:
        getattr(runner, call)()
        called.append(call)

    job = _Job([_step(0)])
    runner = Runner(job, job.events(), JobHistory([_PLAN]), lambda: None, finish)
    runner.start()
    runner.wait(SECONDS)
    assert called == [call]


# ---- the refreshes


def test_a_step_is_shown_while_the_job_waits() -> None:
    shown = threading.Event()

    def events() -> Iterator[Event]:
        for iteration in range(20):
            yield _step(iteration)
        # A loader that hangs: what came before it is to be seen meanwhile.
        assert shown.wait(SECONDS)
        yield Ended(0, "completed")

    def refresh() -> None:
        if len(run.history) == 20:
            shown.set()

    run = _Run(_Job(events()), refresh=refresh)
    run.finish()
    assert run.history.stop_reason == "completed"
    assert run.ends == [None]


def test_without_steps_there_is_no_refresh(endless: _Run) -> None:
    endless.job.gate.release()  # for the start, which is no step
    endless.runner.start()
    for _ in range(2):
        assert endless.job.asked.acquire(timeout=SECONDS)
    endless.job.stop()
    endless.job.gate.release()
    endless.runner.wait(SECONDS)
    assert endless.refreshes == []


def test_silence_is_shown_again_and_again(
    endless: _Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "_SECONDS_BETWEEN_REFRESHES", 0.001)
    monkeypatch.setattr(runner_module, "_SECONDS_BETWEEN_QUIET_REFRESHES", 0.001)
    third = threading.Event()

    def refresh() -> None:
        if len(endless.refreshes) == 3:
            third.set()

    endless._refresh = refresh
    endless.runner.start()
    assert third.wait(SECONDS)
    assert set(endless.refreshes) == {0}


def test_many_steps_have_one_refresh_until_the_time_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner_module, "_SECONDS_BETWEEN_REFRESHES", 0.01)
    monkeypatch.setattr(runner_module, "_SECONDS_BETWEEN_QUIET_REFRESHES", SECONDS)
    first, last = threading.Event(), threading.Event()

    def events() -> Iterator[Event]:
        yield _step(0)
        assert first.wait(SECONDS)
        for iteration in range(1, 1001):
            yield _step(iteration)
        # The last step is never kept back.
        assert last.wait(SECONDS)

    def refresh() -> None:
        first.set()
        if len(run.history) == 1001:
            last.set()

    run = _Run(_Job(events()), refresh=refresh)
    run.finish()
    assert run.refreshes[-1] == 1001
    assert len(run.refreshes) < 100
    assert run.ends == [None]


def test_the_end_ends_a_rest_and_leaves_no_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner_module, "_SECONDS_BETWEEN_REFRESHES", 10 * SECONDS)
    before = set(threading.enumerate())
    shown = threading.Event()

    def events() -> Iterator[Event]:
        yield _step(0)
        assert shown.wait(SECONDS)

    run = _Run(_Job(events()), refresh=shown.set)
    run.finish()
    assert set(threading.enumerate()) == before


def test_an_error_of_a_refresh_ends_the_job_and_keeps_the_points() -> None:
    shown, pause = threading.Event(), threading.Event()

    def events() -> Iterator[Event]:
        for iteration in range(100):
            yield _step(iteration)
            assert shown.wait(SECONDS)
            pause.wait(0.01)

    def refresh() -> None:
        shown.set()
        raise ZeroDivisionError

    run = _Run(_Job(events()), refresh=refresh)
    run.finish()
    # Nobody would see how it went on.
    assert 0 < len(run.history) < 100
    assert run.history.stop_reason == "stopped"
    (raised,) = run.ends
    assert isinstance(raised, ZeroDivisionError)
    assert len(run.refreshes) == 1


def test_an_error_of_the_job_comes_before_that_of_a_refresh() -> None:
    shown = threading.Event()

    def events() -> Iterator[Event]:
        yield _step(0)
        assert shown.wait(SECONDS)
        raise ArithmeticError

    def refresh() -> None:
        shown.set()
        raise LookupError

    run = _Run(_Job(events()), refresh=refresh)
    run.finish()
    (raised,) = run.ends
    assert type(raised) is ArithmeticError


def test_a_refresh_may_abandon_the_job(
    endless: _Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "_SECONDS_TO_END", 0.01)
    abandoned = threading.Event()

    def refresh() -> None:
        endless.runner.abandon()
        abandoned.set()

    endless._refresh = refresh
    endless.job.gate.release(3)
    endless.runner.start()
    assert abandoned.wait(SECONDS)
    endless.job.gate.release()
    endless.runner.wait(SECONDS)
    assert endless.ends == [None]
    assert endless.job.closed.is_set()


# ---- the end of what hangs


def test_abandoning_in_the_thread_of_the_job_does_not_wait() -> None:
    def events() -> Iterator[Event]:
        yield _step(0)
        run.runner.abandon()  # as a loss function that closes the widget
        yield _step(1)
        yield _step(2)

    began = time.monotonic()
    run = _Run(_Job(events()))
    run.finish()
    assert len(run.history) == 2
    assert run.ends == [None]
    assert time.monotonic() - began < runner_module._SECONDS_TO_END


def test_nothing_is_shown_after_it_was_abandoned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner_module, "_SECONDS_BETWEEN_REFRESHES", 0.001)
    hanging, go_on = threading.Event(), threading.Event()

    def events() -> Iterator[Event]:
        yield _step(0)
        hanging.set()
        assert go_on.wait(SECONDS)
        yield _step(1)

    run = _Run(_Job(events()))
    run.runner.start()
    assert hanging.wait(SECONDS)
    threading.Timer(0.2, go_on.set).start()
    run.runner.abandon()
    shown = len(run.refreshes)
    run.runner.wait(SECONDS)
    assert len(run.refreshes) == shown


def test_abandoning_what_hangs_waits_once(
    endless: _Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "_SECONDS_TO_END", 2)
    endless.runner.start()
    began = time.monotonic()
    endless.runner.abandon()
    endless.runner.abandon()
    abandon_running()  # as at an exit after close()
    assert 2 <= time.monotonic() - began < 4
    assert endless.ends == []


def test_a_job_and_a_refresh_that_hang_have_one_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner_module, "_SECONDS_TO_END", 2)
    hanging, released = threading.Event(), threading.Event()

    def events() -> Iterator[Event]:
        yield _step(0)
        assert released.wait(SECONDS)

    def refresh() -> None:
        hanging.set()
        assert released.wait(SECONDS)

    run = _Run(_Job(events()), refresh=refresh)
    run.runner.start()
    assert hanging.wait(SECONDS)
    began = time.monotonic()
    run.runner.abandon()
    assert 2 <= time.monotonic() - began < 4
    assert run.ends == []
    released.set()
    run.runner.wait(SECONDS)
    assert run.ends == [None]


def test_all_that_hang_at_the_exit_share_one_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner_module, "_SECONDS_TO_END", 1)
    runs = [_Run(_Job(_endless(), held=True)) for _ in range(20)]
    for run in runs:
        run.runner.start()
    began = time.monotonic()
    abandon_running()
    abandon_running()  # as where it is registered twice
    assert time.monotonic() - began < 10
    for run in runs:
        run.job.gate.release()
        run.runner.wait(SECONDS)
        assert run.ends == [None]
