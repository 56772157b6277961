"""A widget that eight threads use at once, with very frequent thread switches."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.scene import Scene
from tests.ui.front_end import drag
from tests.widget_parts import SECONDS, display_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lrwidget import LRWidget

_STEPS = 300


@pytest.fixture
def _changing_places() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


class _Users:
    """
    Threads that repeat their actions on a widget until the end.

    Attributes
    ----------
    errors:
        Errors of the threads.
    seen:
        Values that the widget has had.
    """

    def __init__(
        self, widget: LRWidget, actions: list[Callable[[int], object]]
    ) -> None:
        self.errors: list[BaseException] = []
        self.seen: set[float] = set()
        self._widget = widget
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._use, args=(action,)) for action in actions
        ]
        for thread in self._threads:
            thread.start()

    @property
    def over(self) -> bool:
        return self._over.is_set()

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(SECONDS)

    def _use(self, action: Callable[[int], object]) -> None:
        low, high = self._widget._controller.state.shown.bounds
        turn = 0
        try:
            while not self._over.is_set():
                action(turn)
                turn += 1
                value = self._widget.value
                if value is not None:
                    assert low <= value <= high
                    self.seen.add(value)
        except BaseException as error:  # noqa: BLE001 (looked at by the test)
            self.errors.append(error)
            self._over.set()


def _actions(widget: LRWidget) -> list[Callable[[int], object]]:
    """Return the actions of eight users."""
    display = display_of(widget)
    handle, smoothing = display.chart.handle, display.view_bar.smoothing
    pause = threading.Event()

    def rate(turn: int) -> float:
        return float(10.0 ** (-6 + turn % 6))

    def slide(turn: int) -> None:
        smoothing.index = 3 * (turn % 2)

    def read(_turn: int) -> None:
        assert widget.status
        assert 0 <= widget.progress <= 1
        assert len(widget.curve) <= _STEPS
        assert set(widget.suggestions)

    def stop(_turn: int) -> None:
        pause.wait(0.5)
        widget.stop()

    # The messages of one page arrive one after the other.
    page = threading.Lock()

    def take(turn: int) -> None:
        with page:
            drag(handle, rate(turn), rate(turn + 3))

    def type_in(turn: int) -> None:
        with page:
            display.pick_bar.field.set_state({"value": rate(turn + 2)})
            smoothing.set_state({"index": 5})

    def choose(turn: int) -> None:
        widget.value = rate(turn + 1)

    return [take, take, type_in, choose, choose, slide, read, stop]


def _run(widget: LRWidget) -> Any:
    """Run a test, check that all points are drawn, and return why the test ended."""
    widget.run("stressed", num_it=_STEPS, stop_div=False)
    curve = widget.wait(SECONDS)
    assert len(curve) == len(widget._controller.state.runs.all[-1].history)
    raw = display_of(widget).chart.latest.raw
    # The thread that moves the slider also draws, and may not have finished.
    deadline = time.monotonic() + SECONDS
    while len(curve) and raw.x[-1] != curve.lrs[-1]:
        assert time.monotonic() < deadline, "the last point is not drawn"
    return curve.stop_reason


@pytest.mark.parametrize("period", [5, pytest.param(20, marks=pytest.mark.exhaustive)])
@pytest.mark.usefixtures("_changing_places")
def test_eight_threads_use_it_while_it_runs(period: float) -> None:
    scene = Scene()
    scene.widget.value = 1e-3  # so that the handle is there to be dragged
    users = _Users(scene.widget, _actions(scene.widget))
    deadline = time.monotonic() + period
    ends: set[Any] = set()
    try:
        while time.monotonic() < deadline and not users.over:
            ends.add(_run(scene.widget))
    finally:
        users.end()
    for error in users.errors:
        raise error
    assert ends <= {"completed", "stopped"}
    assert ends
    assert len(users.seen) > 1
    scene.check_usable(scene.widget)
    assert scene.state() == scene.before
    scene.widget.close()
