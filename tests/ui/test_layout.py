from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as ipw
import numpy as np
import pytest
from ipywidgets.widgets import widget

from lrwidget.curve.suggestion import NO_SUGGESTION, Suggestion
from lrwidget.curve.training_curve import TrainingCurve
from lrwidget.ui.closing import close_with_parts
from lrwidget.ui.layout import Display, Hands
from tests.curves import LRS, curve_of, run_of
from tests.ui.front_end import (
    click,
    click_race,
    click_suggestion,
    drag,
    tell,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SETTINGS: dict[str, Any] = {
    "start_lr": 1e-7,
    "end_lr": 10.0,
    "num_it": 100,
    "step_mode": "exp",
    "stop_div": True,
    "seed": None,
}
_A, _B, _C, _D = (
    run_of([3.0, 2.0, 1.0], name, number) for number, name in enumerate("abcd")
)


@pytest.fixture
def done() -> list[Any]:
    """Return where the names of the hands are noted, with what they held."""
    return []


@pytest.fixture
def answers(display: Display, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return where the page notes what it is told."""
    told: list[Any] = []
    monkeypatch.setattr(display.page, "send", lambda content, *_: told.append(content))
    return told


@pytest.fixture
def display(done: list[Any]) -> Iterator[Display]:
    def noting(name: str) -> Callable[..., Any]:
        def hand(*what: object) -> bytes | str:
            done.append((name, *what))
            return b"" if name == "export" else ""

        return hand

    hands = Hands(**{name: noting(name) for name in Hands._fields})
    display = Display(hands, _SETTINGS, 0.98, "descent", "loss")
    box = ipw.VBox(display.parts)
    yield display
    close_with_parts(box)


def _entry(display: Display, number: int) -> tuple[ipw.Checkbox, ipw.Button]:
    """Return the check box and the button of a former run in the legend."""
    boxes = [x for x in display.legend.children if isinstance(x, ipw.HBox)]
    shown, remove = boxes[number].children
    return shown, remove


# What is done in the page, and what is called for it.
_HANDS: dict[str, tuple[Callable[[Display], object], tuple[Any, ...] | None]] = {
    "run": (lambda display: display.run_bar.button.click(), ("toggle",)),
    "race": (lambda display: display.run_bar.race.click(), ("race",)),
    "setting": (
        lambda display: display.settings.children[0].set_state({"value": 1e-6}),
        ("settings",),
    ),
    "click": (lambda display: click(display.chart.handle, 0.5), ("pick", 0.5)),
    "click on the suggestion": (
        lambda display: click_suggestion(display.chart.suggestion),
        ("pick", float(LRS[1])),
    ),
    "drag": (lambda display: drag(display.chart.handle, 0.1), ("pick", 0.1)),
    "press on the handle": (lambda display: drag(display.chart.handle, 1e-3), None),
    "field": (
        lambda display: display.pick_bar.field.set_state({"value": 0.2}),
        ("pick", 0.2),
    ),
    "left": (lambda display: display.pick_bar.lower.click(), ("step", -1)),
    "right": (lambda display: display.pick_bar.higher.click(), ("step", 1)),
    "home": (lambda display: display.pick_bar.home.click(), ("home",)),
    "smoothing": (
        lambda display: display.view_bar.smoothing.set_state({"value": 0.5}),
        ("look",),
    ),
    "points": (
        lambda display: display.view_bar.points.set_state({"value": [2, 50]}),
        ("look",),
    ),
    "log": (
        lambda display: display.view_bar.logarithmic.set_state({"value": True}),
        ("look",),
    ),
    "all": (
        lambda display: display.view_bar.everything.set_state({"value": True}),
        ("look",),
    ),
    "hide": (
        lambda display: _entry(display, 0)[0].set_state({"value": False}),
        ("look",),
    ),
    "remove": (lambda display: _entry(display, 0)[1].click(), ("remove", "a")),
    "apply": (lambda display: display.apply_bar.button.click(), ("apply",)),
    "home key": (lambda display: tell(display.page, do="home"), ("home",)),
    "export": (
        lambda display: tell(display.page, do="export", format="csv", view=1),
        ("export", "csv"),
    ),
    "race's button": (lambda display: _race_button(display).click(), ("pick", 0.01)),
    "click in the race": (
        lambda display: click_race(_race(display), 1.0, 0.0),
        ("pick", 0.01),
    ),
}


def _race(display: Display) -> Any:
    assert display.race is not None
    return display.race


def _race_button(display: Display) -> ipw.Button:
    _, buttons = _race(display).children
    return buttons.children[1]


def _show_all(display: Display) -> None:
    """Show a run, its suggestion, a former run, a race and a choice."""
    display.show_runs([_A], _B, running=False)
    display.draw(_B.recording.curve(), Suggestion(float(LRS[1])))
    training = TrainingCurve(0.01, np.array([2.0, 1.0]), "completed", 2)
    display.show_race([0.01], 2).draw({0: training})
    display.show_rate(1e-3)


@pytest.mark.parametrize(("act", "called"), _HANDS.values(), ids=_HANDS)
def test_each_hand_is_heard_and_answered(
    display: Display, done: list[Any], answers: list[Any], act: Any, called: Any
) -> None:
    _show_all(display)
    assert done == []
    assert answers == []
    act(display)
    assert {"answered": True} in answers
    # The end of a drag or click is a pick of its own, as nobody here shows the first.
    assert done in ([], [called], [called, called])
    assert bool(done) == bool(called)


def test_a_click_that_chooses_nothing_is_answered(
    display: Display, done: list[Any], answers: list[Any]
) -> None:
    display.show_race([0.01], 2)  # of which there is no line yet
    click_race(_race(display), 1.0, 0.0)
    assert len(answers) == 1
    display.show_rate(0.5)
    click(display.chart.handle, 0.5)  # where it is
    assert len(answers) == 2
    assert done == []


def test_what_python_does_is_not_answered(
    display: Display, done: list[Any], answers: list[Any]
) -> None:
    _show_all(display)
    display.show_range(1e-9, 1e3)
    display.show_rate(None)
    display.view_bar.show_total(40)
    assert answers == []
    assert done == []


def test_a_rate_is_shown_everywhere(display: Display) -> None:
    display.show_race([0.01, 0.1], 2)
    display.show_rate(0.01)
    assert display.chart.handle.dot.x.tolist() == [0.01]
    assert display.pick_bar.field.value == 0.01
    assert not display.apply_bar.button.disabled
    assert _race_button(display).icon == "check"
    assert (display.page.rate, display.page.code) == (0.01, "lr=1e-2")
    display.show_rate(None)
    assert len(display.chart.handle.dot.x) == 0
    assert display.apply_bar.button.disabled
    assert _race_button(display).icon == ""
    assert (display.page.rate, display.page.code) == (None, "")


def test_the_code_is_what_is_copied(display: Display) -> None:
    for rate, code in (
        (0.014, "lr=1.4e-2"),
        (0.5, "lr=0.5"),
        (1.23456e-5, "lr=1.23e-5"),
    ):
        display.show_rate(rate)
        assert display.page.code == code
        copied: dict[str, float] = {}
        exec(code, {}, copied)  # noqa: S102 (the point)
        assert copied["lr"] == pytest.approx(rate, rel=5e-3)


def test_the_page_says_what_stands_beside_the_handle(display: Display) -> None:
    display.show_rate(1e-7)
    assert display.page.words == "1e-7"
    # also where it is the curve or the suggestion that changes
    for suggestion, words in (
        (NO_SUGGESTION, ["1e-7", "loss 3"]),
        (Suggestion(2e-7), ["1e-7", "loss 3", "0.5x the suggestion"]),
        (Suggestion(1e-7), ["1e-7", "loss 3", "as suggested"]),
    ):
        display.draw(_A.recording.curve(), suggestion)
        assert display.chart.words == words
        assert display.page.words == ", ".join(words)
        assert display.page.suggestion == suggestion.lr  # where keys begin
    display.show_rate(None)
    assert display.page.words == ""


def test_the_page_knows_the_edges(display: Display) -> None:
    display.show_range(1e-9, 1e3)
    assert display.chart.axes.range == display.page.range == (1e-9, 1e3)


def test_the_page_tells_the_points_of_what_is_drawn(display: Display) -> None:
    display.show_runs([_A, _B], _C, running=False)
    assert display.page.lines == display.chart.lines
    assert [line.labels[0] for line in display.page.lines] == [
        *("a", "b", "median, setting", "loss", "smoothed loss"),
    ]
    assert "median" in display.legend.children[0].value
    display.view_bar.logarithmic.value = True
    display.show_runs([_A], _B, running=False)
    assert "median" not in display.legend.children[0].value
    assert display.page.logarithmic
    assert len(display.page.lines) == 3


def test_a_run_that_goes_on_has_no_part_in_the_median(display: Display) -> None:
    for latest, running, medians in ((_C, True, 0), (_C, False, 1), (_D, True, 1)):
        former = [_A, _B] if latest is _C else [_A, _B, _C]
        display.show_runs(former, latest, running=running)
        labels = [line.labels[0] for line in display.chart.lines]
        assert sum("median" in label for label in labels) == medians


def test_a_hidden_run_is_not_drawn_and_has_no_part_in_the_median(
    display: Display,
) -> None:
    display.show_runs([_A, _B], _C, running=False)
    assert len(display.chart.others.lines) == 3
    _entry(display, 0)[0].value = False
    display.show_runs([_A, _B], _C, running=False)
    (line,) = display.chart.others.lines
    assert line.labels == ["b"]


def test_all_looks_at_the_curves_by_the_same_view(display: Display) -> None:
    display.view_bar.smoothing.value = 0.0
    display.view_bar.points.value = 2, 100
    display.show_runs([_A], _B, running=False)
    display.draw(_B.recording.curve(), NO_SUGGESTION)
    former, _, latest = display.chart.lines
    assert former.y.tolist() == latest.y.tolist() == [2, 1]


def test_a_race_takes_the_place_of_the_one_before(display: Display) -> None:
    display.show_rate(0.01)
    display.show_race([0.01, 0.1], 2)
    assert _race_button(display).icon == "check"
    before = set(widget._instances)
    display.show_race([0.02, 0.2], 2)
    assert len(widget._instances) == len(before)
    *_, box = display.parts
    assert box.children == (display.race,)


def test_the_losses_of_both_charts_are_named() -> None:
    nobody: Any = [lambda *_: None for _ in Hands._fields]
    hands = Hands(*nobody)
    display = Display(hands, _SETTINGS, 0.98, "descent", "validation loss")
    box = ipw.VBox(display.parts)
    display.show_race([0.01], 2)
    assert display.chart.figure.axes[1].label == "validation loss"
    figure, _ = _race(display).children
    assert figure.axes[1].label == "validation loss, smoothed"
    close_with_parts(box)


def test_nothing_is_drawn_before_there_is_something(display: Display) -> None:
    assert display.race is None
    assert all(len(line.x) == 0 for line in display.chart.lines)
    display.show_runs([], None, running=False)
    display.draw(curve_of(), NO_SUGGESTION)
    assert all(len(line.x) == 0 for line in display.chart.lines)
