from __future__ import annotations

import contextvars
import threading

from lrwidget.ticker import Ticker

_SECONDS = 60


def _threads() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def test_news_are_told_at_once() -> None:
    told = threading.Event()
    ticker = Ticker(_SECONDS, told.set, _SECONDS)
    ticker.start()
    ticker.tell()
    assert told.wait(_SECONDS)
    assert ticker.stop() is None


def test_without_news_nothing_is_told() -> None:
    calls: list[int] = []
    ticker = Ticker(0.001, lambda: calls.append(1), _SECONDS)
    ticker.start()
    ticker.stop()
    assert not calls


def test_silence_is_told_again_and_again() -> None:
    calls: list[int] = []
    third = threading.Event()

    def call() -> None:
        calls.append(1)
        if len(calls) == 3:
            third.set()

    ticker = Ticker(0.001, call, 0.001)
    ticker.start()
    assert third.wait(_SECONDS)
    assert ticker.stop() is None


def test_many_news_are_told_once_until_the_time_is_over() -> None:
    calls: list[int] = []
    first, second = threading.Event(), threading.Event()
    told = 0

    def call() -> None:
        calls.append(told)
        (second if first.is_set() else first).set()

    ticker = Ticker(0.01, call, _SECONDS)
    ticker.start()
    ticker.tell()
    assert first.wait(_SECONDS)
    for told in range(1, 1001):  # noqa: B007 (the call sees it)
        ticker.tell()
    assert second.wait(_SECONDS)
    ticker.stop()
    # The last news is never kept back, and most had no call of their own.
    assert calls[-1] > 0
    assert len(calls) < 100


def test_stopping_ends_a_rest_and_leaves_no_thread() -> None:
    told = threading.Event()
    before = _threads()
    ticker = Ticker(10 * _SECONDS, told.set, _SECONDS)
    ticker.start()
    ticker.tell()
    assert told.wait(_SECONDS)
    ticker.stop()
    assert _threads() == before
    ticker.tell()  # for nobody
    ticker.stop()


def test_what_a_call_raises_is_returned() -> None:
    called = threading.Event()

    def call() -> None:
        called.set()
        raise ZeroDivisionError

    ticker = Ticker(0.001, call, _SECONDS)
    ticker.start()
    ticker.tell()
    assert called.wait(_SECONDS)
    assert isinstance(ticker.stop(), ZeroDivisionError)


def test_a_call_may_stop_it() -> None:
    stopped = threading.Event()

    def call() -> None:
        ticker.stop()
        stopped.set()

    ticker = Ticker(0.001, call, _SECONDS)
    ticker.start()
    ticker.tell()
    assert stopped.wait(_SECONDS)
    assert ticker.stop() is None


def test_calls_are_in_the_context_of_who_started_it() -> None:
    variable = contextvars.ContextVar("variable", default="")
    seen: list[str] = []
    told = threading.Event()

    def call() -> None:
        seen.append(variable.get())
        told.set()

    token = variable.set("cell")
    ticker = Ticker(0.001, call, _SECONDS)
    ticker.start()
    variable.reset(token)
    ticker.tell()
    assert told.wait(_SECONDS)
    ticker.stop()
    assert seen == ["cell"]
