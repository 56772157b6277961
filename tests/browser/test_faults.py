"""What becomes of a test when something happens to what is in front of it."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.browser.faulty import STEPS, RunningTest
from tests.browser.waiting import await_result

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page, Route

    from tests.browser.lab import Lab

_QUICKLY = 10  # seconds, of which JupyterLab gives a kernel five to end by itself
_SLOWER = 8  # times
_BLOCKED = """() => {
  const request = new XMLHttpRequest();
  request.open("GET", "/blocked", false);
  request.send();
  return request.responseText;
}"""
_CLOSED = """function() {
  for (const socket of this) socket.close();
  return this.map(({ url }) => url);
}"""


def _reload(test: RunningTest) -> None:
    test.look_again()
    test.await_drawing()


def _close(test: RunningTest) -> None:
    context = test.page.context
    test.page.close()
    _finish_unseen(test)
    test.look_again(context.new_page())


def _finish_unseen(test: RunningTest) -> None:
    test.await_steps()
    test.book.value("quick.set()")
    assert test.book.value("w.wait().stop_reason") == "completed"


def _block(test: RunningTest) -> None:
    def hold(route: Route) -> None:
        test.await_steps()
        route.fulfill(body="at last")

    test.page.route("**/blocked", hold)
    # Nothing else happens in a page that waits so for an answer.
    assert test.page.evaluate(_BLOCKED) == "at last"
    test.await_drawing()


def _slow_down(test: RunningTest) -> None:
    session = test.page.context.new_cdp_session(test.page)
    session.send("Emulation.setCPUThrottlingRate", {"rate": _SLOWER})
    _finish_unseen(test)
    session.send("Emulation.setCPUThrottlingRate", {"rate": 1})


def _lose_network(test: RunningTest) -> None:
    # What it says of that is no error of ours, and nobody listens there.
    browser = test.page.context.browser
    assert browser is not None
    context = browser.new_context()
    test.look_again(context.new_page())
    # JupyterLab may say that it has lost its server, and a person closes that.
    dialog = test.page.get_by_role("dialog", name="Server Connection Error")
    test.page.add_locator_handler(dialog, lambda said: said.press("Escape"))
    context.set_offline(True)
    _close_sockets(test.page)
    drawn = test.finder.points()
    _finish_unseen(test)
    assert test.finder.points() == drawn
    context.set_offline(False)
    test.await_all_drawn(STEPS)


def _close_sockets(page: Page) -> None:
    """Close the connections of a page to its kernels, as a lost network does."""
    session = page.context.new_cdp_session(page)
    kind = session.send("Runtime.evaluate", {"expression": "WebSocket.prototype"})
    found = session.send(
        "Runtime.queryObjects", {"prototypeObjectId": kind["result"]["objectId"]}
    )
    closed = session.send(
        "Runtime.callFunctionOn",
        {
            "objectId": found["objects"]["objectId"],
            "functionDeclaration": _CLOSED,
            "returnByValue": True,
        },
    )
    assert any("/channels" in url for url in closed["result"]["value"])


def _restart(test: RunningTest) -> None:
    processes = test.processes()
    test.book.restart()
    _check_gone(processes)
    test.execute_again()
    assert test.losses() == []


def _kill(test: RunningTest) -> None:
    processes = test.processes()
    os.kill(processes[0], signal.SIGKILL)
    _check_gone(processes)
    test.page.locator(".jp-Dialog .jp-mod-accept").click()  # it says so
    test.execute_again()
    assert test.losses() == []


def _check_gone(processes: list[int]) -> None:
    """Check that a kernel is gone soon, with the process that loads its batches."""
    assert len(processes) == 2
    start = time.monotonic()
    await_result(
        lambda: [pid for pid in processes if _is_at_work(pid)],
        lambda left: not left,
        lambda left: f"of {processes}, {left} go on",
    )
    assert time.monotonic() - start < _QUICKLY


def _is_at_work(pid: int) -> bool:
    try:
        said = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    # One that has ended may stay for whoever wants to know how.
    return said.rpartition(")")[2].split()[0] != "Z"


def _interrupt(test: RunningTest) -> None:
    test.wait_in_a_cell()
    _interrupt_cell(test)


def _interrupt_cell(test: RunningTest) -> None:
    test.book.interrupt()
    test.await_cell_interrupted()


class _Fault(NamedTuple):
    """Something that happens while a test runs, and how that ends, if it does."""

    strike: Callable[[RunningTest], None]
    reason: str | None
    workers: int = 0
    start: Callable[[RunningTest], list[float]] = RunningTest.run


_FAULTS = [
    pytest.param(_Fault(_reload, "completed"), id="reload"),
    pytest.param(_Fault(_close, "completed"), id="closed"),
    pytest.param(_Fault(_block, "completed"), id="blocked"),
    pytest.param(_Fault(_slow_down, "completed"), id="slow"),
    pytest.param(_Fault(_lose_network, "completed"), id="no-network"),
    pytest.param(_Fault(_restart, None, workers=1), id="restart"),
    pytest.param(_Fault(_kill, None, workers=1), id="killed"),
    pytest.param(_Fault(_interrupt, "stopped"), id="interrupt"),
    # A process that is started while a cell is executed is interrupted with the kernel.
    pytest.param(
        _Fault(_interrupt_cell, "stopped", 1, RunningTest.run_in_a_cell),
        id="interrupt-worker",
    ),
]


@pytest.mark.parametrize("fault", _FAULTS)
def test_a_fault_before_the_widget(fault: _Fault, lab: Lab, page: Page) -> None:
    with closing(RunningTest(lab, page, fault.workers)) as test:
        losses = fault.start(test)
        fault.strike(test)
        if fault.reason is not None:
            test.check_end(fault.reason, losses)
        test.check_nothing_left()
        test.check_usable()
        test.check_nothing_left()
