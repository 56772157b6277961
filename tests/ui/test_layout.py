from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw
import numpy as np
import pytest
import traitlets
from ipywidgets.widgets import widget

from lrwidget.backends.base import Capabilities
from lrwidget.config import FIELDS
from lrwidget.curve.history import Ended, JobHistory, Started, Stepped
from lrwidget.curve.lr_curve import LRCurve, Step
from lrwidget.curve.race_history import RaceHistory
from lrwidget.curve.suggestion import NO_SUGGESTION, Suggestion
from lrwidget.curve.ticks import rounded
from lrwidget.ui.layout import Layout
from lrwidget.ui.widgets import close_with_parts
from tests.curves import LRS, PLAN, run_of, trend_of
from tests.ui.front_end import (
    click,
    click_dot,
    click_lanes,
    click_suggestion,
    drag,
    tell,
)
from tests.ui.snapshots import IDLE, job_with, snapshot_with

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lrwidget.curve.runs import Run
    from lrwidget.ui.snapshot import Snapshot

_SETTINGS = {name: getattr(IDLE.config, name) for name in FIELDS}
_A, _B, _C, _D = (
    run_of([3.0, 2.0, 1.0], name, number) for number, name in enumerate("abcd")
)


class _Commands:
    """The receiver of what a hand does, which notes it."""

    def __init__(self, done: list[Any]) -> None:
        self._done = done

    def __getattr__(self, name: str) -> Callable[..., bytes | str]:
        def command(*what: object, **named: object) -> bytes | str:
            self._done.append((name, *what, named) if named else (name, *what))
            return b"" if name == "export" else ""

        return command


@pytest.fixture
def done() -> list[Any]:
    """Return the names of the commands that were given, with what each held."""
    return []


@pytest.fixture
def answers(display: Layout, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return what the page is told."""
    told: list[Any] = []
    monkeypatch.setattr(display.page, "send", lambda content, *_: told.append(content))
    return told


@pytest.fixture
def display(done: list[Any]) -> Iterator[Layout]:
    commands: Any = _Commands(done)
    display = Layout(commands, IDLE, "automatic", "descent")
    box = ipw.VBox(display.parts)
    display.show(IDLE)
    yield display
    close_with_parts(box)


# What is done in the page, and what is called for it.
_HANDS: dict[str, tuple[Callable[[Layout], object], tuple[Any, ...] | None]] = {
    "run": (lambda display: display.answer.button.click(), ("toggle",)),
    "check": (lambda display: display.answer.check.click(), ("start_check",)),
    "setting": (
        lambda display: display.settings.children[1].set_state({"value": 1e-6}),
        ("configure", {**_SETTINGS, "start_lr": 1e-6}, None),
    ),
    "click": (lambda display: click(display.chart.handle, 0.5), ("move", 0.5)),
    "click on the suggestion": (
        lambda display: click_suggestion(display.chart.suggestion),
        ("move", rounded(float(LRS[1]))),
    ),
    "drag": (lambda display: drag(display.chart.handle, 0.1), ("move", 0.1)),
    "press on the handle": (lambda display: drag(display.chart.handle, 1e-3), None),
    "field": (
        lambda display: display.pick_bar.field.set_state({"value": 0.2}),
        ("pick", 0.2),
    ),
    "left": (lambda display: display.pick_bar.lower.click(), ("step", -1)),
    "right": (lambda display: display.pick_bar.higher.click(), ("step", 1)),
    "home": (lambda display: display.pick_bar.home.click(), ("home",)),
    "smoothing": (
        lambda display: display.view_bar.smoothing.set_state({"index": 3}),
        ("refresh",),
    ),
    "fastai": (
        lambda display: display.view_bar.fastai.set_state({"value": True}),
        ("refresh",),
    ),
    "steps": (
        lambda display: display.view_bar.hide_first.set_state({"value": 2}),
        ("refresh",),
    ),
    "log": (
        lambda display: display.view_bar.logarithmic.set_state({"value": True}),
        ("refresh",),
    ),
    "all": (
        lambda display: display.view_bar.everything.set_state({"value": True}),
        ("refresh",),
    ),
    "open": (
        lambda display: tell(display.runs_table, do="open", name="a"),
        ("open", "a"),
    ),
    "rename": (
        lambda display: tell(display.runs_table, do="rename", name="a", new="z"),
        ("rename", "a", "z"),
    ),
    "hide": (
        lambda display: tell(display.runs_table, do="hide", name="a", on=True),
        ("mark", "a", {"hidden": True}),
    ),
    "pin": (
        lambda display: tell(display.runs_table, do="pin", name="a", on=False),
        ("mark", "a", {"pinned": False}),
    ),
    "remove": (
        lambda display: tell(display.runs_table, do="remove", name="a"),
        ("remove", "a"),
    ),
    "show all": (lambda display: display.strip.everything.click(), ("show_all",)),
    "undo": (lambda display: display.undo_button.click(), ("undo",)),
    "a run that may do better": (
        lambda display: display.answer.next.click(),
        ("start",),
    ),
    "apply": (lambda display: display.answer.apply.click(), ("apply",)),
    "home key": (lambda display: tell(display.page, do="home"), ("home",)),
    "export": (
        lambda display: tell(display.save, save="csv", view=1),
        ("export", "csv", "automatic"),
    ),
    "race's button": (lambda display: _race_button(display).click(), ("pick", 0.01)),
    "click on the lanes": (
        lambda display: click_lanes(_lanes(display), 1.0, 0.0),
        ("pick", 0.01),
    ),
    "click on a final loss": (
        lambda display: click_dot(_final(display), 0),
        ("pick", 0.01),
    ),
}


def _lanes(display: Layout) -> Any:
    assert display.trainings.lanes is not None
    return display.trainings.lanes


def _final(display: Layout) -> Any:
    assert display.trainings.final is not None
    return display.trainings.final


def _race_button(display: Layout) -> ipw.Button:
    return display.trainings.buttons[0]


def _shown(display: Layout) -> list[bool]:
    """Whether the final losses are shown, and the lanes."""
    boxes = display.trainings.below, display.trainings.beside
    return [box.layout.display != "none" for box in boxes]


def _race_of(*rates: float) -> RaceHistory:
    """Return a race that has ended, each of its two steps at a loss of its own."""
    race = RaceHistory(rates, 2)
    for run, lr in enumerate(rates):
        for iteration in range(2):
            race.apply(Stepped(run, Step(iteration, lr, 2.0 - iteration + run)))
        race.apply(Ended(run, "completed"))
    race.finish("completed")
    return race


def _raced(race: RaceHistory, **changes: Any) -> Snapshot:
    job = job_with(race, kind="race")
    return snapshot_with(race=race, job=job, **changes)


def _all_of_it() -> Snapshot:
    """Return a state with runs, a suggestion, a race and a choice."""
    race = _race_of(0.01)
    return snapshot_with(
        *(_A, _B),
        suggestion=Suggestion(float(LRS[1])),
        race=race,
        job=job_with(race, kind="race"),
        choice=1e-3,
    )


def _testing(*runs: Run, **changes: Any) -> Snapshot:
    """Return a state in which the latest of some runs goes on."""
    history = JobHistory([PLAN])
    history.runs[0] = runs[-1].history
    job = job_with(history, running=True)
    return snapshot_with(*runs, job=job, testing=True, **changes)


@pytest.mark.parametrize(("act", "called"), _HANDS.values(), ids=_HANDS)
def test_each_hand_is_heard_and_answered(
    display: Layout, done: list[Any], answers: list[Any], act: Any, called: Any
) -> None:
    display.show(_all_of_it())
    assert done == []
    assert answers == []
    act(display)
    assert {"answered": True} in answers
    # The end of a drag or click is a pick of its own, as nobody here shows the first.
    given = [each for each in done if each not in (("grab",), ("release",))]
    assert given in ([], [called], [called, called])
    assert bool(given) == bool(called)


def test_a_click_that_chooses_nothing_is_answered(
    display: Layout, done: list[Any], answers: list[Any]
) -> None:
    race = RaceHistory([0.01], 2)  # of which there is no line yet
    display.show(snapshot_with(race=race))
    click_lanes(_lanes(display), 1.0, 0.0)
    assert len(answers) == 1
    display.show(snapshot_with(race=race, choice=0.5))
    click(display.chart.handle, 0.5)  # where it is
    assert len(answers) == 2
    assert done == [("release",)]


def test_what_python_does_is_not_answered(
    display: Layout, done: list[Any], answers: list[Any]
) -> None:
    display.show(_all_of_it())
    display.show(replace(_all_of_it(), window=(1e-9, 1e3), choice=None))
    display.show(snapshot_with(run_of([3.0] * 40)))
    assert answers == []
    assert done == []


def test_a_rate_is_shown_everywhere(display: Layout) -> None:
    race = _race_of(0.01, 0.1)
    display.show(_raced(race, choice=0.01))
    assert display.chart.handle.dot.x.tolist() == [0.01]
    assert display.pick_bar.field.value == 0.01
    assert not display.answer.apply.disabled
    assert _race_button(display).icon == "check"
    assert display.copy.entries[0] == "lr=1.0e-2"
    display.show(_raced(race))
    assert len(display.chart.handle.dot.x) == 0
    assert display.answer.apply.disabled
    assert _race_button(display).icon == ""
    assert display.copy.entries == []


def test_the_code_is_what_is_copied(display: Layout) -> None:
    for rate, code in (
        (0.014, "lr=1.4e-2"),
        (0.5, "lr=0.5"),
        (1.23456e-5, "lr=1.23456e-5"),
    ):
        display.show(snapshot_with(choice=rate, total_steps=500))
        line, *others = display.copy.entries
        assert line == code
        lr = line.removeprefix("lr=")
        assert float(lr) == rate
        assert others[0] == f"OneCycleLR(optimizer, max_lr={lr}, total_steps=500)"
        assert all(lr in other for other in others)
        for each in display.copy.entries:
            compile(each, "copied", "exec")


def test_the_page_knows_the_edges(display: Layout) -> None:
    display.show(snapshot_with(bounds=(1e-10, 1e4), window=(1e-9, 1e3)))
    assert display.chart.axes.range == (1e-9, 1e3)
    assert display.page.bounds == (1e-10, 1e4)


def test_the_page_knows_where_keys_begin(display: Layout) -> None:
    for suggestion in (Suggestion(2e-7), NO_SUGGESTION):
        display.show(snapshot_with(_A, suggestion=suggestion))
        assert display.page.suggestion == suggestion.lr
        assert display.chart.overlay.suggestion == suggestion.lr


def test_the_page_tells_the_losses_of_what_is_drawn(display: Layout) -> None:
    display.show(snapshot_with(_A, _B, _C))
    overlay = display.chart.overlay
    assert [line.labels[0] for line in overlay.others] == ["a", "b", "trend, setting"]
    assert (overlay.raw.labels, overlay.latest.labels) == (["one batch"], ["c"] * 3)
    assert "repeated" in display.view_bar.key.value
    display.view_bar.logarithmic.value = True
    display.show(snapshot_with(_A, _B))
    assert "repeated" not in display.view_bar.key.value
    assert overlay.logarithmic
    assert [line.labels[0] for line in overlay.others] == ["a"]
    display.show(snapshot_with(_A))
    assert overlay.latest.labels == ["trend"] * 3  # alone, a run needs no name


def test_zones_are_shown_once_the_test_has_ended(display: Layout) -> None:
    run = run_of(np.linspace(3, 1, 50))
    for state, zones in ((_testing, 0), (snapshot_with, 2)):
        display.show(state(run))
        assert len(display.chart.overlay.zones) == zones


def test_a_run_that_goes_on_has_no_part_in_the_common_trend(display: Layout) -> None:
    for latest, running, trends in ((_C, True, 0), (_C, False, 1), (_D, True, 1)):
        former = [_A, _B] if latest is _C else [_A, _B, _C]
        state = _testing if running else snapshot_with
        display.show(state(*former, latest))
        labels = [line.labels[0] for line in display.chart.lines]
        assert sum("trend," in label for label in labels) == trends


def test_a_hidden_run_is_not_drawn_and_has_no_part_in_the_common_trend(
    display: Layout,
) -> None:
    display.show(snapshot_with(_A, _B, _C))
    assert len(display.chart.others.lines) == 3
    display.show(snapshot_with(_A._replace(hidden=True), _B, _C))
    (line,) = display.chart.others.lines
    assert line.labels == ["b"]


def test_the_opened_run_is_drawn_in_place_of_the_latest(display: Layout) -> None:
    hidden = _C._replace(hidden=True)  # as long as it is not opened
    runs = [_A, _B, hidden]
    for opened, others in ((hidden, ["a", "b"]), (_A, ["b"]), (_B, ["a"])):
        curve = opened.history.curve()
        display.show(snapshot_with(*runs, opened=opened, curve=curve))
        assert [line.labels[0] for line in display.chart.others.lines] == [
            *(name for name in others),
            *(["trend, setting"] if opened is hidden else []),
        ]
        np.testing.assert_array_equal(display.chart.latest.raw.y, curve.losses)


def test_all_looks_at_the_curves_by_the_same_view(display: Layout) -> None:
    display.view_bar.smoothing.value = 0.05  # on each loss
    display.view_bar.hide_first.value = 1
    display.show(snapshot_with(_A, _B))
    former, _, latest = display.chart.lines
    np.testing.assert_array_equal(former.y, trend_of(latest))
    np.testing.assert_allclose(former.y, [2, 1])


def test_a_race_takes_the_place_of_the_one_before(display: Layout) -> None:
    display.show(_raced(_race_of(0.01, 0.1), choice=0.01))
    assert _race_button(display).icon == "check"
    before = set(widget._instances)
    display.show(_raced(_race_of(0.02, 0.2), choice=0.01))
    assert len(widget._instances) == len(before)


def test_trainings_are_taken_away_when_another_run_begins(display: Layout) -> None:
    state = _raced(_race_of(0.01, 0.1))
    raced = {"race": state.race, "job": state.job}
    before = set(widget._instances)
    display.show(snapshot_with(_A, **raced))
    assert _shown(display) == [True, True]
    assert len(_final(display).dots.x) == 2
    display.show(snapshot_with(_A, _B, **raced))
    assert _shown(display) == [False, False]
    # the line of the run before is new
    former = display.chart.others.lines
    assert len(set(widget._instances) - before) < 30 + len(former)
    display.show(snapshot_with(_A, _B, race=state.race))
    assert _shown(display) == [False, False]


def test_a_check_that_begins_with_a_range_test_has_its_place(display: Layout) -> None:
    job = job_with(JobHistory([PLAN]), kind="verification", running=True)
    display.show(replace(_testing(_A), job=job))
    assert _shown(display) == [False, True]
    display.show(replace(_testing(_A), job=replace(job, running=False)))
    assert _shown(display) == [False, False]


def test_the_losses_of_both_charts_are_named() -> None:
    can = Capabilities(loss_name="validation loss")
    commands: Any = _Commands([])
    display = Layout(commands, replace(IDLE, capabilities=can), "automatic", "descent")
    box = ipw.VBox(display.parts)
    display.show(_raced(_race_of(0.01), capabilities=can))
    assert display.chart.figure.axes[1].label == "validation loss"
    assert _lanes(display).figure.axes[1].label == "validation loss"
    close_with_parts(box)


def test_nothing_is_drawn_before_there_is_something(display: Layout) -> None:
    assert display.trainings.lanes is None
    assert all(len(line.x) == 0 for line in display.chart.lines)
    display.show(replace(IDLE, config=replace(IDLE.config, num_it=50)))
    assert all(len(line.x) == 0 for line in display.chart.lines)


def _parts_of(display: Layout) -> dict[str, list[ipw.Widget]]:
    """Return the widgets that a hand moves or presses, by kind."""
    return {
        "handle": [display.chart.handle.line, display.chart.handle.dot],
        "sliders": [display.view_bar.smoothing],
        "buttons": [
            display.answer.button,
            display.answer.check,
            display.answer.apply,
            *(display.pick_bar.lower, display.pick_bar.higher, display.pick_bar.home),
            *display.trainings.buttons,
        ],
        "fields": [display.pick_bar.field, *display.settings.children[:-1]],
    }


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, str]]:
    """Return each write to a trait, also of the value that it has."""
    noted: list[tuple[Any, str]] = []
    write = traitlets.TraitType.__set__

    def noting(trait: Any, owner: Any, value: object) -> None:
        noted.append((owner, trait.name))
        write(trait, owner, value)

    monkeypatch.setattr(traitlets.TraitType, "__set__", noting)
    return noted


_STATES: dict[str, Callable[[], Snapshot]] = {
    "idle": lambda: IDLE,
    "testing": lambda: _testing(_A, _B, choice=1e-3),
    "ended": lambda: snapshot_with(
        *(_A, _B, _C),
        job=job_with(JobHistory([PLAN])),
        suggestion=Suggestion(float(LRS[1])),
        choice=1e-3,
    ),
    "raced": _all_of_it,
    "failed": lambda: snapshot_with(
        _A, job=job_with(JobHistory([PLAN]), error=ValueError("no"), traceback="no")
    ),
}


@pytest.mark.parametrize("state", _STATES.values(), ids=_STATES)
def test_what_is_shown_already_is_not_written_again(
    display: Layout, writes: list[Any], state: Callable[[], Snapshot]
) -> None:
    snapshot = state()
    display.show(snapshot)
    assert writes or snapshot is IDLE
    writes.clear()
    display.show(snapshot)
    display.show(replace(snapshot))
    assert writes == []


def _growing(kind: str) -> tuple[JobHistory, Callable[[], Snapshot]]:
    """Return the history of a job that runs, and its state at any time."""
    history: JobHistory
    if kind == "race":
        history = race = RaceHistory([0.01, 0.1], 9)
        shown = snapshot_with(*(_A, _B), race=race, suggestion=Suggestion(1e-3))
    else:
        history = JobHistory([PLAN] * (1 if kind == "test" else 2))
        begun = [
            _B._replace(name=f"new {number}", history=run)
            for number, run in enumerate(history.runs)
        ]
        shown = snapshot_with(_A, *begun, testing=True, growing=begun)
    shown = replace(shown, choice=0.01)

    def state() -> Snapshot:
        job = job_with(history, kind=kind, running=True)
        return replace(shown, job=job, curve=shown.runs[-1].history.curve())

    return history, state


@pytest.mark.parametrize("kind", ["test", "comparison", "race"])
def test_a_new_step_writes_to_nothing_that_a_hand_moves(
    display: Layout, writes: list[tuple[Any, str]], kind: str
) -> None:
    history, state = _growing(kind)
    run = len(history.runs) - 1
    history.apply(Started(run, PLAN))
    history.apply(Stepped(run, Step(0, float(LRS[0]), 3.0)))
    display.show(state())
    writes.clear()
    for iteration in range(1, 4):
        history.apply(Stepped(run, Step(iteration, float(LRS[iteration]), 3.0)))
        display.show(state())
    assert display.answer.progress.value == 4
    written = [owner for owner, _ in writes]
    assert display.answer.progress in written
    moved = {
        kind: [x for x in parts if x in written]
        for kind, parts in _parts_of(display).items()
    }
    assert moved == {"handle": [], "sliders": [], "buttons": [], "fields": []}


def test_a_choice_writes_to_no_slider_and_to_no_line(
    display: Layout, writes: list[tuple[Any, str]]
) -> None:
    before = snapshot_with(_A, _B, choice=0.1)
    display.show(before)
    writes.clear()
    display.show(replace(before, choice=1e-3))
    written = {owner for owner, _ in writes}
    sliders = _parts_of(display)["sliders"]
    assert display.chart.handle.dot in written
    assert written.isdisjoint(
        [*sliders, *display.chart.lines, *display.chart.axes.both]
    )


def test_a_state_that_could_not_be_shown_is_shown_with_the_next(
    display: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = snapshot_with(_A, _B, choice=1e-3, problem="bad")
    with monkeypatch.context() as patch:
        patch.setattr(display.chart, "draw", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            display.show(state)
    display.show(state)
    assert [len(line.x) for line in display.chart.lines] == [3, 3, 3]
    assert display.pick_bar.field.value == 1e-3
    assert display.settings.problem.value == "bad"


def test_the_buttons_say_what_they_do_next(display: Layout) -> None:
    bar = display.answer
    assert bar.button.description == "Run"
    display.show(_testing(_A, total_steps=500))
    assert (bar.button.description, bar.check.disabled) == ("Stop", True)
    assert "5 trainings of 100 steps" in bar.check.tooltip  # not written to meanwhile
    display.show(snapshot_with(_A, total_steps=500))
    assert (bar.button.description, bar.check.disabled) == ("Run again", False)
    assert "5 trainings of 60 steps" in bar.check.tooltip


def test_an_error_that_cannot_be_compared_is_shown(display: Layout) -> None:
    class OddError(Exception):
        __hash__ = None  # type: ignore[assignment]  # as of what compares in its own way

        def __eq__(self, other: object) -> bool:
            raise AssertionError

    for text in ("first", "second"):
        job = job_with(JobHistory([PLAN]), error=OddError(text), traceback=text)
        display.show(snapshot_with(job=job))
        assert f"OddError: {text}" in display.answer.status.value


def test_settings_that_cannot_be_compared_are_shown(display: Layout) -> None:
    class OddLoader(list[Any]):
        __hash__ = None

        def __eq__(self, other: object) -> bool:
            raise AssertionError

    for count in (20, 20, 30):
        config = replace(IDLE.config, num_it=count, val_loader=OddLoader([1]))
        display.show(replace(IDLE, config=config))
        assert f"{count} learning rates" in display.answer.status.value


def test_a_failure_is_shown_with_its_traceback(display: Layout) -> None:
    job = job_with(JobHistory([PLAN]), error=ValueError("<no>"), traceback="<all>")
    display.show(snapshot_with(job=job))
    status = display.answer.status.value
    assert "Failed before the first step. ValueError: &lt;no&gt;" in status
    assert "&lt;all&gt;" in status
    display.show(IDLE)
    assert "Failed" not in display.answer.status.value


def test_before_the_first_run_there_is_one_button_and_nothing_else(
    display: Layout,
) -> None:
    answer = display.answer
    actions = answer.apply, answer.copy, answer.check, answer.next
    results = display.results.layout
    for state, shown in ((IDLE, False), (_testing(_A), True), (IDLE, False)):
        display.show(state)
        assert (results.height, results.visibility) == (
            (None, None) if shown else ("0", "hidden")
        )
        hidden = [x.layout.display == "none" for x in actions[:-1]]
        assert hidden == [not shown] * 3
        assert answer.button.layout.display is None
        assert answer.progress.layout.visibility == ("visible" if shown else "hidden")
    display.show(snapshot_with(_A))
    assert answer.progress.layout.visibility == "hidden"


def test_starts_and_ends_are_announced_once(
    display: Layout, writes: list[tuple[Any, str]]
) -> None:
    assert display.page.said == ""
    for _ in range(3):
        display.show(_testing(_A))
    assert display.page.said == "Range test started."
    for _ in range(2):
        display.show(snapshot_with(_A, job=job_with(JobHistory([PLAN]))))
    assert display.page.said.endswith("No suggestion: .")
    assert writes.count((display.page, "said")) == 2


def test_a_dead_end_has_a_button_for_its_next_step(
    display: Layout, done: list[Any]
) -> None:
    falling = LRCurve(np.geomspace(1e-7, 10, 50), np.linspace(3, 1, 50), "completed")
    display.show(snapshot_with(_A, curve=falling, job=job_with(JobHistory([PLAN]))))
    assert display.answer.next.layout.display is None
    assert display.answer.next.description == "Run up to 100"
    display.answer.next.click()
    configured, started = done
    assert configured == ("configure", {**_SETTINGS, "end_lr": 100.0}, None)
    assert started == ("start",)
    display.show(_testing(_A))
    assert display.answer.next.layout.display == "none"
