from __future__ import annotations

import contextvars
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from lrwidget import worker as worker_module
from lrwidget.worker import Worker, stop_all

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


class _Log:
    """What a worker called, and a gate that holds its source."""

    def __init__(self) -> None:
        self.items: list[int] = []
        self.ends: list[tuple[Any, BaseException | None]] = []
        self.threads: set[threading.Thread] = set()
        self.gate = threading.Semaphore(0)
        self.closed = threading.Event()

    def on_item(self, item: int) -> None:
        self.threads.add(threading.current_thread())
        self.items.append(item)

    def on_end(self, result: Any, error: BaseException | None) -> None:
        self.ends.append((result, error))

    def source(self, count: int = 10**9) -> Generator[int, None, str]:
        """Give an item each time that the gate lets one through."""
        try:
            for item in range(count):
                assert self.gate.acquire(timeout=60)
                yield item
        finally:
            self.closed.set()
        return "through"

    def worker(self, items: Any) -> Worker[int, str]:
        return Worker(items, self.on_item, self.on_end)


def test_takes_all_items_in_another_thread() -> None:
    log = _Log()
    worker = log.worker([1, 2, 3])
    assert not worker.running
    worker.start()
    worker.join()
    assert log.items == [1, 2, 3]
    assert log.ends == [(None, None)]
    assert threading.current_thread() not in log.threads
    assert not worker.running


def test_passes_on_what_a_generator_returns() -> None:
    log = _Log()
    log.gate.release(3)
    worker = log.worker(log.source(3))
    worker.start()
    worker.join()
    assert log.ends == [("through", None)]


def test_stops_after_the_present_item_and_closes_the_generator() -> None:
    log = _Log()
    worker = log.worker(log.source())
    worker.start()
    assert worker.running
    worker.stop()
    log.gate.release()
    worker.join()
    assert len(log.items) <= 1
    assert log.closed.is_set()
    assert log.ends == [(None, None)]


def test_the_thread_does_not_keep_the_interpreter() -> None:
    log = _Log()
    worker = log.worker(log.source())
    worker.start()
    thread = worker._thread
    assert thread is not None
    assert thread.daemon
    worker.stop()
    log.gate.release()
    worker.join()


def test_waiting_has_a_limit() -> None:
    log = _Log()
    worker = log.worker(log.source())
    worker.start()
    with pytest.raises(TimeoutError, match=r"still running after timeout=0\.01 s"):
        worker.join(0.01)
    worker.stop()
    log.gate.release()
    worker.join()


@pytest.mark.parametrize("timeout", [-1, float("nan"), 1e12])
def test_waiting_for_no_number_of_seconds(timeout: float) -> None:
    log = _Log()
    worker = log.worker(log.source())
    worker.start()
    with pytest.raises(
        ValueError, match=r"timeout=.* must be a number of seconds; pass"
    ):
        worker.join(timeout)
    worker.stop()
    log.gate.release()
    worker.join()
    assert log.closed.is_set()


def test_an_interrupted_wait_can_be_taken_up_again() -> None:
    log = _Log()
    worker = log.worker(log.source())
    worker.start()
    main = threading.get_ident()
    interrupt = threading.Timer(0.1, signal.pthread_kill, [main, signal.SIGINT])
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        worker.join()
    interrupt.join()
    assert worker.running
    with pytest.raises(TimeoutError):
        worker.join(0.01)
    worker.stop()
    log.gate.release()
    worker.join()
    assert log.closed.is_set()
    assert not worker.running


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit])
def test_raises_what_the_source_raised(error: type[BaseException]) -> None:
    def source() -> Iterator[int]:
        yield 1
        raise error

    log = _Log()
    worker = log.worker(source())
    worker.start()
    for _ in range(2):
        with pytest.raises(error):
            worker.join()
    assert log.items == [1]
    ((result, raised),) = log.ends
    assert result is None
    assert isinstance(raised, error)


def test_raises_what_a_callback_raised() -> None:
    log = _Log()
    log.gate.release()

    def fail(*_args: object) -> None:
        raise ZeroDivisionError

    worker = Worker(log.source(), fail, log.on_end)
    worker.start()
    with pytest.raises(ZeroDivisionError):
        worker.join()
    assert log.closed.is_set()

    at_end: Worker[int, None] = Worker([], log.on_item, fail)
    at_end.start()
    with pytest.raises(ZeroDivisionError):
        at_end.join()


def test_what_cannot_be_iterated_fails_at_the_start() -> None:
    worker = _Log().worker(3)
    with pytest.raises(TypeError, match="not iterable"):
        worker.start()
    assert not worker.running
    worker.join()


def test_the_iterator_is_made_in_the_callers_thread() -> None:
    class Source:
        def __iter__(self) -> Iterator[int]:
            assert threading.current_thread() is threading.main_thread()
            return iter([1])

    worker = _Log().worker(Source())
    worker.start()
    worker.join()


def test_runs_in_a_copy_of_the_callers_context() -> None:
    variable = contextvars.ContextVar("variable", default="outside")
    seen: list[str] = []

    def see(_item: int) -> None:
        seen.append(variable.get())
        variable.set("changed")

    variable.set("inside")
    worker: Worker[int, None] = Worker([1], see, lambda *_: None)
    worker.start()
    worker.join()
    assert seen == ["inside"]
    assert variable.get() == "inside"


def test_abandoning_from_the_thread_itself_does_not_wait() -> None:
    worker: Worker[int, None] = Worker(
        iter(int, 1), lambda _: worker.abandon(), lambda *_: None
    )
    worker.start()
    worker.join()


def test_abandoning_what_hangs_waits_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "_LAST_SECONDS", 2)
    log = _Log()
    worker = log.worker(log.source())
    worker.start()
    began = time.monotonic()
    worker.abandon()
    assert 2 <= time.monotonic() - began < 4
    assert worker.running
    log.gate.release()
    worker.join()


def test_all_that_hang_at_the_exit_share_one_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_module, "_LAST_SECONDS", 1)
    log = _Log()
    workers = [log.worker(log.source()) for _ in range(20)]
    for worker in workers:
        worker.start()
    began = time.monotonic()
    stop_all()
    stop_all()  # as where it is registered twice
    assert time.monotonic() - began < 10
    log.gate.release(len(workers))
    for worker in workers:
        worker.join()
    assert len(log.ends) == len(workers)


@pytest.mark.slow
def test_leaving_the_interpreter_in_mid_backward_is_no_abort() -> None:
    code = """
import torch
from torch import nn
from lrwidget.engine.range_test import RangeTest
from lrwidget.worker import Worker
import threading
model = nn.Sequential(*[nn.Linear(256, 256) for _ in range(8)])
batch = torch.randn(256, 256), torch.randn(256, 256)
test = RangeTest(
    model, torch.optim.SGD(model.parameters(), lr=1), [batch], nn.MSELoss(),
    num_it=100_000, end_lr=1e-6
)
started = threading.Event()
Worker(test, lambda step: started.set(), lambda *_: None).start()
assert started.wait(60)
"""
    for _ in range(3):
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert (run.returncode, run.stderr) == (0, "")
