"""What can be undone: picks, zooms, Apply and changes of runs, in any order."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lrwidget import RangeTest
from lrwidget.state.undo import Undo
from tests.curves import picked
from tests.ui.front_end import click, click_suggestion, drag, move, start_drag, tell
from tests.widget_parts import Gate, arguments_of, display_of, optimizer_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from lrwidget import LRWidget

_rates = st.floats(-7, 1).map(lambda exponent: 10.0**exponent)
_numbers = st.integers(0, 3)  # of a run
_ranges = st.lists(_rates, min_size=2, max_size=2, unique=True).map(sorted)


def _drag(widget: LRWidget, rates: list[float]) -> None:
    if widget.value is not None:
        drag(display_of(widget).chart.handle, *rates)


def _zoom(widget: LRWidget, rates: list[float]) -> None:
    widget._controller.end_zoom()
    widget._controller.zoom(*rates)


def _remove(widget: LRWidget, number: int) -> None:
    names = list(widget.curves)[:-1]
    if names:
        widget.remove(names[number % len(names)])


def _name(widget: LRWidget, number: int) -> str:
    names = list(widget.curves)
    return names[number % len(names)]


def _rename(widget: LRWidget, what: tuple[int, str]) -> None:
    number, new = what
    # Of the other runs, no one may have the new name.
    if new not in {*widget.curves} - {_name(widget, number)}:
        widget._controller.rename(_name(widget, number), new)


def _mark(field: str) -> Callable[[LRWidget, tuple[int, bool]], None]:
    def mark(widget: LRWidget, what: tuple[int, bool]) -> None:
        number, on = what
        widget._controller.mark(_name(widget, number), **{field: on})

    return mark


# For each command, what it may be given, and how it is given.
_COMMANDS: dict[str, tuple[Any, Callable[[LRWidget, Any], object]]] = {
    "pick": (_rates, lambda widget, rate: widget._controller.pick(rate)),
    "drag": (st.lists(_rates, min_size=1, max_size=4), _drag),
    "zoom": (_ranges, _zoom),
    "all": (st.none(), lambda widget, _: widget._controller.show_all()),
    "step": (st.integers(-5, 5), lambda widget, n: widget._controller.step(n)),
    "home": (st.none(), lambda widget, _: widget._controller.home()),
    "apply": (st.none(), lambda widget, _: widget.apply()),
    "remove": (st.integers(0, 2), _remove),
    "open": (_numbers, lambda widget, n: widget._controller.open(_name(widget, n))),
    "rename": (st.tuples(_numbers, st.sampled_from("abcxy")), _rename),
    "pin": (st.tuples(_numbers, st.booleans()), _mark("pinned")),
    "hide": (st.tuples(_numbers, st.booleans()), _mark("hidden")),
}
_command = st.sampled_from([*_COMMANDS]).flatmap(
    lambda name: st.tuples(st.just(name), _COMMANDS[name][0])
)


@pytest.fixture
def widget(make: Callable[..., LRWidget]) -> LRWidget:
    """Return a widget with four runs, of which "b" is too short to suggest a rate."""
    widget = make(num_it=40)
    other: dict[str, Any] = {
        "a": {"end_lr": 1.0},
        "b": {"num_it": 5},
        "c": {"end_lr": 0.4},
        "d": {},
    }
    for label, changes in other.items():
        widget.run(label, **changes)
        widget.wait()
    return widget


def _state(widget: LRWidget) -> Any:
    """Return all that a command changes."""
    controller = widget._controller
    rates = [group["lr"] for group in optimizer_of(widget).param_groups]
    shown = controller.state.shown
    runs = [(x.name, x.number, x.pinned, x.hidden) for x in shown.runs]
    return widget.choice, shown.window, rates, runs, _opened(widget)


def _opened(widget: LRWidget) -> str:
    opened = widget._controller.state.shown.opened
    assert opened is not None
    return opened.name


def _undo_all(widget: LRWidget) -> None:
    while widget._controller.state.shown.undoable:
        widget.undo()


# ---- one of each kind


def test_a_drag_is_one_pick(widget: LRWidget) -> None:
    suggestion, handle = widget.value, display_of(widget).chart.handle
    button = display_of(widget).undo_button
    assert button.disabled
    drag(handle, 1e-3, 2e-3, 3e-3)
    assert widget.value == 3e-3
    assert button.tooltip.startswith("Undo the choice of a rate")
    drag(handle, 4e-3, 5e-3)
    click(handle, 0.02)
    click_suggestion(display_of(widget).chart.suggestion)
    assert widget.value == suggestion
    for rate in (0.02, 5e-3, 3e-3, suggestion):
        button.click()
        assert widget.value == rate
    assert button.disabled
    # It follows the suggestions again.
    widget.rule = "minimum"
    assert widget.value == picked(widget.suggestions["minimum"])


def test_a_drag_stays_in_the_chart_and_keys_leave_it(widget: LRWidget) -> None:
    handle, controller = display_of(widget).chart.handle, widget._controller
    controller.zoom(1e-3, 0.5)
    drag(handle, 0.1, 1e-6)
    assert widget.value == 1e-3
    assert controller.state.shown.window == (1e-3, 0.5)
    move(handle, 1e-6)  # the last place of the drag arrives late
    assert widget.value == 1e-3
    start_drag(handle)
    move(handle, 9.0)
    assert widget.value == 0.5
    click(handle, 0.4)
    move(handle, 2e-4)  # by a key
    assert widget.value == 2e-4
    assert controller.state.shown.window[0] < 2e-4


def test_a_removed_run_comes_back_to_its_place(widget: LRWidget) -> None:
    curves = widget.curves
    widget.remove("b")
    widget.remove("a")
    widget.undo()
    assert list(widget.curves) == ["a", "c", "d"]
    widget.run("b")  # the name is taken meanwhile
    widget.wait()
    widget.undo()
    assert list(widget.curves) == ["a", "b (2)", "c", "d", "b"]
    assert widget.curves["b (2)"] is curves["b"]
    runs = widget._controller.state.shown.runs
    assert len({run.number for run in runs}) == len(runs)


def test_an_opened_run_is_closed_and_its_suggestion_with_it(widget: LRWidget) -> None:
    controller, curves = widget._controller, widget.curves
    suggested = {name: curve.suggest() for name, curve in curves.items()}
    assert suggested.pop("b") is None
    assert len({*map(picked, suggested.values())}) == 3
    for name in "acb":
        controller.open(name)
        assert widget.value == picked(suggested.get(name, suggested["c"]))
    widget.undo()
    widget.rule = "minimum"
    for name in "ca":
        assert _opened(widget) == name
        assert widget.value == picked(curves[name].suggest("minimum"))
        if name == "c":
            widget.undo()
    widget.value = 0.5  # a rate that does not follow stays
    widget.undo()
    assert (_opened(widget), widget.value) == ("d", 0.5)
    assert controller.state.shown.undoable == ""
    controller.open("d")  # as it is
    assert controller.state.shown.undoable == ""
    widget.value = None
    controller.open("a")
    assert widget.value == picked(curves["a"].suggest("minimum"))
    widget.undo()
    assert widget.value is None


def test_an_opened_run_cannot_be_closed_after_a_further_test(widget: LRWidget) -> None:
    controller = widget._controller
    controller.open("a")
    controller.mark("c", hidden=True)
    widget.run("e")
    widget.wait()
    widget.undo()
    assert not any(run.hidden for run in controller.state.shown.runs)
    assert _opened(widget) == "e"
    assert controller.state.shown.undoable == ""


def test_a_former_name_comes_back_unless_it_is_taken(widget: LRWidget) -> None:
    controller, curves = widget._controller, widget.curves
    controller.mark("a", pinned=True)
    controller.rename("a", "first")
    controller.rename("c", "third")
    controller.rename("third", " third ")  # as it is
    widget.run("a")
    widget.wait()
    widget.undo()
    assert list(widget.curves) == ["first", *"bcda"]
    widget.undo()
    assert list(widget.curves) == ["a (2)", *"bcda"]
    assert widget.curves["a (2)"] is curves["a"]
    widget.undo()
    assert not any(run.pinned for run in controller.state.shown.runs)
    assert controller.state.shown.undoable == ""


def test_apply_is_undone_unless_a_test_trains_the_original(widget: LRWidget) -> None:
    optimizer, bar = optimizer_of(widget), display_of(widget).next_bar
    widget.value = 0.3
    widget.apply()
    widget.value = 0.4
    widget.apply()
    test = iter(RangeTest(**{**arguments_of(widget), "isolation": "restore"}))
    next(test)
    rate = optimizer.param_groups[0]["lr"]
    display_of(widget).undo_button.click()
    assert "training this model itself" in bar.said.value
    with pytest.raises(RuntimeError, match="training this model itself"):
        widget.undo()
    assert optimizer.param_groups[0]["lr"] == rate
    test.close()
    display_of(widget).undo_button.click()
    assert bar.said.value == "Undone: Apply."
    assert optimizer.param_groups[0]["lr"] == 0.3
    widget.undo()
    assert optimizer.param_groups[0]["lr"] == 0.1
    widget.undo()  # nothing


def test_a_zoom_is_undone_until_another_test_starts(widget: LRWidget) -> None:
    controller, page = widget._controller, display_of(widget).strip.page
    first = controller.state.shown.window
    for low in (1e-3, 2e-3, 3e-3):  # one drag
        controller.zoom(low, 1.0)
    tell(page, do="begin")
    controller.zoom(0.1, 1.0)
    tell(page, do="undo")
    assert controller.state.shown.window == (3e-3, 1.0)
    tell(page, do="undo")
    assert controller.state.shown.window == first
    assert controller.state.shown.undoable == ""
    controller.zoom(0.1, 1.0)
    controller.pick(0.2)
    widget.run()
    widget.wait()
    assert controller.state.shown.undoable == "the choice of a rate"
    widget.undo()
    assert controller.state.shown.undoable == ""


def test_a_double_click_shows_all_and_picks_nothing(widget: LRWidget) -> None:
    controller, display = widget._controller, display_of(widget)
    suggestion = widget.value
    click(display.chart.handle, 1e-2)
    tell(display.strip.page, do="undo pick")
    tell(display.strip.page, do="all")
    assert widget.value == suggestion
    assert controller.state.shown.window == controller.state.shown.bounds
    tell(display.strip.page, do="undo pick")  # the latest command is no pick
    assert controller.state.shown.undoable == "the zoom"
    tell(display.strip.page, do="no such command")


def test_undo_leaves_a_running_test_alone(widget: LRWidget) -> None:
    gate = Gate()
    widget.remove("a")
    widget.run("e", dataloader=gate)
    gate.let(5)
    gate.await_asked(6)
    widget.undo()
    assert list(widget.curves) == [*"abcde"]
    assert widget.running
    gate.let(35)
    assert len(widget.wait()) == 40


# ---- any order


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(commands=st.lists(_command, max_size=12))
def test_as_many_undos_give_the_first_state(
    widget: LRWidget, commands: list[tuple[str, Any]]
) -> None:
    # All examples use one widget, which each of them leaves as it was.
    first = _state(widget)
    states = [first]
    for command, what in commands:
        before = len(widget._controller.state.undo)
        _COMMANDS[command][1](widget, what)
        if len(widget._controller.state.undo) > before:
            states.append(_state(widget))
        assert _state(widget) == states[-1]
    while widget._controller.state.shown.undoable:
        assert _state(widget) == states.pop()
        widget.undo()
    assert states == [_state(widget)] == [first]


def test_threads_undo_each_command_once(widget: LRWidget) -> None:
    first = _state(widget)
    errors: list[BaseException] = []

    def use(number: int) -> None:
        try:
            for turn in range(6):  # fewer commands than are kept
                controller = widget._controller
                controller.pick(10.0 ** -(number + turn % 3 + 1))
                controller.zoom(10.0 ** -(5 + number), 10.0 ** (turn % 2 - 1))
                if number == 0:
                    widget.apply()
                if turn % 2:
                    widget.undo()
        except BaseException as error:  # noqa: BLE001 (raised below)
            errors.append(error)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    _undo_all(widget)
    assert _state(widget)[2:] == first[2:]
    assert widget._controller.state.shown.undoable == ""


# ---- the list


def _taken(undo: Undo) -> list[str]:
    names = []
    while inverse := undo.take(undo.name):
        names.append(inverse.name)
    return names


def test_the_latest_fifty_are_kept() -> None:
    undo, undone = Undo(), list[int]()
    for number in range(60):
        undo.add(f"number {number}", partial(undone.append, number))
    while inverse := undo.take(undo.name):
        inverse.undo()
    assert undone == list(range(59, 9, -1))
    assert (undo.name, undo.take("")) == ("", None)


def test_what_goes_on_is_one_command() -> None:
    undo = Undo()
    for name, goes_on in (("a", True), ("a", True), ("b", True), ("a", False)):
        undo.add(name, print, goes_on=goes_on)
    undo.add("a", print, goes_on=True)
    undo.add("a", print)  # its end
    undo.close()
    undo.add("a", print)
    assert _taken(undo) == ["a", "a", "a", "b", "a"]


def test_what_cannot_be_undone_any_more_is_forgotten() -> None:
    undo = Undo()
    for name in "abab":
        undo.add(name, print)
    undo.forget("b")
    assert undo.take("b") is None
    assert _taken(undo) == ["a", "a"]
