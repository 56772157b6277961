from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as ipw
import pytest

from lrwidget.backends.base import Capabilities
from lrwidget.ui.answer import Answer
from lrwidget.ui.widgets import close_with_parts

if TYPE_CHECKING:
    from collections.abc import Iterator


def _answer(done: list[Any], can: Capabilities) -> Answer:
    return Answer(
        on_toggle=lambda: done.append("run"),
        on_check=lambda: done.append("check"),
        on_apply=lambda: done.append("apply"),
        on_next=lambda: done.append("next"),
        copy=ipw.Label(),
        can=can,
    )


@pytest.fixture
def done() -> list[Any]:
    """Return where the answer is to note what it was told to do."""
    return []


@pytest.fixture
def answer(done: list[Any]) -> Iterator[Answer]:
    made = _answer(done, Capabilities(optimizer="Adam"))
    yield made
    close_with_parts(made)


def test_each_button_has_its_command(answer: Answer, done: list[Any]) -> None:
    for button in (answer.button, answer.check, answer.apply, answer.next):
        button.click()
    assert done == ["run", "check", "apply", "next"]
    assert answer.apply.description == "Apply to Adam"


def test_the_button_says_what_it_does_next(answer: Answer) -> None:
    for running, begun, said, style in (
        (False, False, "Run", "primary"),
        (True, True, "Stop", ""),
        (False, True, "Run again", ""),
    ):
        answer.show_running(running=running, begun=begun, again=begun)
        assert (answer.button.description, answer.button.button_style) == (said, style)
        assert answer.check.disabled == running
        shown = "visible" if running else "hidden"
        assert answer.progress.layout.visibility == shown


def test_a_rate_makes_apply_the_primary_action(answer: Answer) -> None:
    for rate, style in ((None, ""), (0.01, "primary"), (None, "")):
        answer.show_rate(rate)
        assert answer.apply.disabled == (rate is None)
        assert answer.apply.button_style == style
        assert (answer.next.button_style == "primary") == (rate is None)


def test_a_check_tells_its_time_and_cost(answer: Answer) -> None:
    answer.show_check("Check by training · 9 s", "5 trainings of 60 steps")
    assert answer.check.description == "Check by training · 9 s"
    assert answer.check.tooltip == "5 trainings of 60 steps"


def test_a_next_step_is_there_if_there_is_one(answer: Answer) -> None:
    for words, display in (("Run up to 100", None), ("", "none")):
        answer.show_next(words)
        assert answer.next.layout.display == display


def test_shows_how_it_goes(answer: Answer) -> None:
    answer.show(42, 100, "Running: <b>&")
    assert "Running: &lt;b&gt;&amp;<" in answer.status.value
    for done, total in ((42, 100), (300, 500), (5, 60), (0, 0)):
        answer.show(done, total, "")
        assert (answer.progress.value, answer.progress.max) == (done, total)


def test_the_latest_sentence_keeps_its_room(answer: Answer) -> None:
    answer.keep_room("A long sentence <of> a test.")
    answer.show(1, 100, "Running")
    assert "A long sentence &lt;of&gt; a test." in answer.room.value
    assert "long" not in answer.status.value


def test_the_headline_before_a_job_keeps_its_room(answer: Answer) -> None:
    for headline, running, room in (
        ("long", False, ""),
        ("short", True, "long"),
        ("other", True, "long"),
        ("new", False, ""),
    ):
        answer.show_headline(headline, running=running)
        assert answer.headline.value == headline
        assert answer.headline_room.value == room


def test_shows_a_failure_with_its_traceback_folded_away(answer: Answer) -> None:
    answer.show(42, 100, "Failed: <img src=x>", "line 1\n<script>")
    said, details = answer.status.value.split("<details>")
    assert "lrwidget-failed" in said
    assert "Failed: &lt;img src=x&gt;" in said
    assert "line 1\n&lt;script&gt;" in details
    assert "<img" not in answer.status.value
    assert "<script" not in answer.status.value
    answer.show(1, 100, "Running")
    assert "details" not in answer.status.value


def test_actions_that_make_no_sense_are_not_there(done: list[Any]) -> None:
    answer = _answer(done, Capabilities(run=False, apply=False))
    for running in (True, False):
        answer.show_running(running=running, begun=True, again=True)
        hidden = [x.layout.display for x in (answer.check, answer.apply)]
        assert hidden == ["none"] * 2
        assert answer.button.layout.display == (None if running else "none")
    close_with_parts(answer)
