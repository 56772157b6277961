"""The widget while a cell is busy, with each version of ipykernel."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.kernels.kernel import BusyCell

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kernels.conftest import Way
    from tests.kernels.finder import Finder
    from tests.kernels.front_end import FrontEnd
    from tests.kernels.kernel import Kernel

    Show = Callable[[str], Finder]

_RUNNING = "w = shown(value=1e-3)\nw.run()"


def _takes_effect(
    page: FrontEnd, busy: BusyCell, seen: Callable[[], Any], wanted: Any, *, live: bool
) -> None:
    """Check that an action takes effect at once if `live`, else at the cell's end."""
    if live:
        page.kernel.await_true(lambda: seen() == wanted)
        assert busy.running
    else:
        before = seen()
        page.await_subshell()
        assert seen() == before != wanted
        busy.end()
        page.kernel.await_true(lambda: seen() != before or not busy.running)
        assert not busy.running
        page.kernel.await_true(lambda: seen() == wanted)
    busy.end()
    page.await_done()


def _start(by: str, page: FrontEnd, finder: Finder) -> None:
    if by == "page":
        _press(page, finder, "Stop")
    else:
        page.kernel.execute("w.run()")


def _press(page: FrontEnd, finder: Finder, then: str) -> None:
    """Press the button, and wait until its label is `then`."""
    finder.press()
    page.await_done()
    page.kernel.await_true(lambda: finder.says() == then)


def test_the_kernel_is_the_one_that_was_asked_for(way: Way, kernel: Kernel) -> None:
    assert kernel.value("__import__('ipykernel').__version__") == way.version
    has_subshells = "kernel subshells" in kernel.features()
    assert has_subshells == (not way.version.startswith("6."))


@pytest.mark.parametrize("by", ["cell", "page"])
def test_the_curve_is_drawn(by: str, page: FrontEnd, show: Show) -> None:
    finder = show("w = shown()")
    _start(by, page, finder)
    with BusyCell(page.kernel) as busy:
        for _ in range(3):
            finder.await_points(1)
        assert busy.running


@pytest.mark.parametrize("before", ["made by a cell", "dragged", "written by a cell"])
def test_drag(before: str, way: Way, page: FrontEnd, show: Show) -> None:
    finder = show(_RUNNING)
    if before != "made by a cell":
        finder.drag(0.5)
        page.await_done()
        assert finder.rate() == 0.5
    if before == "written by a cell":
        page.kernel.execute("w.value = 0.4")
    live = way.is_live("page" if before == "dragged" else "cell")
    with BusyCell(page.kernel) as busy:
        finder.drag(0.1, 0.03)
        finder.drag(0.02, 0.005)
        _takes_effect(page, busy, finder.rate, 0.005, live=live)
    # of the second drag, only the last move was sent
    assert {0.1, 0.03, 0.005} <= set(finder.rates())
    assert finder.rates()[-1] == 0.005
    assert finder.shown_rates() == [0.005, 0.005]
    assert page.kernel.value("w.value") == 0.005


@pytest.mark.parametrize("before", ["made by a cell", "moved"])
@pytest.mark.parametrize("ended", [False, True], ids=["running", "ended"])
def test_smooth(
    before: str, way: Way, page: FrontEnd, show: Show, *, ended: bool
) -> None:
    # Steps that are far enough apart for another width to give another fit.
    finder = show(_RUNNING.replace("shown(", "shown(2000, "))
    finder.await_points(3)
    if ended:
        page.kernel.execute("w.stop()\nw.wait()")
    if before == "moved":
        finder.slide(9)
        page.await_done()
    live = way.is_live("page" if before == "moved" else "cell")
    with BusyCell(page.kernel) as busy:
        finder.slide(3, 1)
        narrowest = partial(finder.is_fitted, 0.05)
        _takes_effect(page, busy, narrowest, wanted=True, live=live)
    page.kernel.await_true(narrowest)


@pytest.mark.parametrize("by", ["cell", "page"])
def test_stop(by: str, way: Way, page: FrontEnd, show: Show) -> None:
    finder = show("w = shown()")
    _start(by, page, finder)
    with BusyCell(page.kernel) as busy:
        finder.press()
        _takes_effect(page, busy, finder.says, "Run", live=way.is_live(by))
    assert page.kernel.value("len(w.wait())") == finder.points()
    assert page.kernel.value("w.curve.stop_reason") == "stopped"


@pytest.mark.parametrize("before", ["made by a cell", "pressed"])
def test_run(before: str, way: Way, page: FrontEnd, show: Show) -> None:
    finder = show("w = shown()")
    if before == "pressed":
        _press(page, finder, "Stop")
        _press(page, finder, "Run")
        page.kernel.execute("w.wait()")
    live = way.is_live("page" if before == "pressed" else "cell")
    with BusyCell(page.kernel) as busy:
        finder.press()
        _takes_effect(page, busy, finder.says, "Stop", live=live)
        finder.await_points(3)
    assert page.kernel.value("w.running")


@pytest.mark.parametrize("by", ["cell", "page"])
def test_use_it_after_a_test_has_ended(
    by: str, way: Way, page: FrontEnd, show: Show
) -> None:
    finder = show("w = shown(num_it=40)\ngoing.clear()")
    _start(by, page, finder)
    with BusyCell(page.kernel, "going.set()") as busy:
        # At its end, the test moves the handle to the suggestion, and shows Run.
        page.kernel.await_true(finder.rate)
        assert busy.running
        finder.drag(0.005)
        finder.press()
        _takes_effect(
            page,
            busy,
            lambda: (finder.rate(), finder.says()),
            (0.005, "Stop"),
            live=way.is_live(by),
        )


def test_stop_while_no_cell_is_busy(page: FrontEnd, show: Show) -> None:
    finder = show("w = shown()\nw.run()")
    finder.await_points(1)
    _press(page, finder, "Run")
    assert page.kernel.value("len(w.wait())") == finder.points()
    assert not page.kernel.value("w.running")
