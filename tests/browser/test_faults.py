"""Faults of the page, the network and the kernel while a test runs."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from playwright.sync_api import expect

from tests.browser.cells import QUICK, SETUP
from tests.browser.faulty import STEPS, RunningTest
from tests.browser.finder import Finder
from tests.browser.waiting import await_result

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Locator, Page, Route

    from tests.browser.lab import Lab

_QUICKLY = 10  # seconds; JupyterLab gives a kernel five of them to end by itself
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
    # A page that waits for a synchronous request does nothing else.
    assert test.page.evaluate(_BLOCKED) == "at last"
    test.await_drawing()


def _slow_down(test: RunningTest) -> None:
    session = test.page.context.new_cdp_session(test.page)
    session.send("Emulation.setCPUThrottlingRate", {"rate": _SLOWER})
    _finish_unseen(test)
    session.send("Emulation.setCPUThrottlingRate", {"rate": 1})


def _lose_network(test: RunningTest) -> None:
    # A page reports an error when it loses the network. The fixture `context` does not
    # collect the errors of this other context.
    browser = test.page.context.browser
    assert browser is not None
    context = browser.new_context()
    test.look_again(context.new_page())
    # JupyterLab may show a dialog about the lost server, and a person closes it.
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
    test.page.locator(".jp-Dialog .jp-mod-accept").click()  # JupyterLab reports the end
    test.execute_again()
    assert test.losses() == []


def _check_gone(processes: list[int]) -> None:
    """Check that a kernel and the process that loads its batches end soon."""
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
    # A process that has ended is a zombie until its parent reads its exit status.
    return said.rpartition(")")[2].split()[0] != "Z"


def _interrupt(test: RunningTest) -> None:
    test.wait_in_a_cell()
    _interrupt_cell(test)


def _interrupt_cell(test: RunningTest) -> None:
    test.book.interrupt()
    test.await_cell_interrupted()


class _Fault(NamedTuple):
    """A fault while a test runs, and why the test ends; None if the kernel is lost."""

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
    # An interrupt of the kernel also reaches a process that the running cell started.
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


def test_a_page_without_the_scripts(browser: Browser, lab: Lab) -> None:
    # The page reports errors, which the fixture `context` does not collect of this one.
    with closing(browser.new_context()) as context:
        page = context.new_page()
        page.route("**/anywidget/static/**", lambda route: route.abort())
        book = lab.open(page, [SETUP, QUICK])
        book.execute_all()
        finder = Finder(page)
        finder.button.click()
        expect(finder.button).to_have_text("Run again")
        suggestion = book.value("w.wait() and w.value")
        sentence = finder.status.inner_text().strip()
        assert sentence in book.value("w.status")
        same = finder.root.get_by_text(sentence).locator("visible=true")
        expect(same).to_have_count(1)
        _check_inside(finder.button, finder.root)
        _drag(finder.handle, 80)
        book.await_value("w.value", suggestion.__lt__)
        finder.root.get_by_role("button", name="Apply").click()
        book.await_value("optimizer.param_groups[0]['lr']", suggestion.__lt__)
        # Nothing asks for a click that no script hears.
        book.value("setattr(w, 'value', None)")
        expect(finder.root.get_by_label("Learning rate")).to_be_hidden()
        expect(finder.hint).to_be_hidden()
        lab.take_back(book)


def _check_inside(part: Locator, whole: Locator) -> None:
    """Check that a part is not cut off at the right."""
    inner, outer = part.bounding_box(), whole.bounding_box()
    assert inner is not None
    assert outer is not None
    assert inner["x"] + inner["width"] <= outer["x"] + outer["width"]


def _drag(part: Locator, pixels: float) -> None:
    """Drag a part to the right, and release it."""
    part.scroll_into_view_if_needed()
    box, mouse = part.bounding_box(), part.page.mouse
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    mouse.move(x, y)
    mouse.down()
    mouse.move(x + pixels, y, steps=8)
    mouse.up()
