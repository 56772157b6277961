from __future__ import annotations

import html
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lrwidget.curve.default_rule import MORE_STEPS
from lrwidget.curve.history import JobHistory
from lrwidget.curve.lr_curve import LRCurve
from lrwidget.curve.suggestion import NO_SUGGESTION, Suggestion
from lrwidget.ui import answer_text
from tests.curves import PLAN, run_of
from tests.ui.snapshots import IDLE, job_with, snapshot_with

_RUN = run_of([3.0, 2.0, 1.0])
_LRS = np.geomspace(1e-5, 1, 51)


def _headline(**changes: Any) -> str:
    shown = answer_text.headline(snapshot_with(_RUN, **changes))
    return " ".join(html.unescape(re.sub("<[^>]+>", "", shown)).split())


def test_the_headline() -> None:
    assert "Find a learning rate" in answer_text.headline(IDLE)
    found = Suggestion(0.0203, 0.0063, 0.032, "halfway down the slope")
    said = "2.0e-2 range to try 6.3e-3 to 3.2e-2 clear curve"
    assert _headline(suggestion=found) == said
    assert _headline(suggestion=found, choice=0.02) == said
    assert _headline(suggestion=found, choice=0.05) == (
        "5.0e-2 suggested 2.0e-2; yours is 2.5x higher your choice"
    )
    valley = Suggestion(0.02, reason="halfway down the longest valley")
    assert _headline(suggestion=valley) == "2.0e-2 suggested fastai's rule"
    assert _headline(choice=0.05, testing=True) == "5.0e-2"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("three quarters of the way down the slope", "clear curve"),
        (
            "halfway down the slope; more steps would make it surer (5 a decade)",
            "few steps",
        ),
        ("a tenth of the way down a noisy slope, and 1/20 of 0.14", "noisy curve"),
        ("Too noisy to see a slope. Rule of thumb: 1/20", "too noisy, rule of thumb"),
        ("checked by training", "checked by training"),
    ],
)
def test_how_sure_it_is(reason: str, words: str) -> None:
    shown = snapshot_with(_RUN, suggestion=Suggestion(0.02, reason=reason), choice=0.02)
    assert answer_text.badge(shown)[0] == words


def test_without_a_suggestion_or_after_an_error() -> None:
    assert answer_text.badge(IDLE)[0] == ""
    assert answer_text.badge(snapshot_with(_RUN))[0] == "no suggestion"
    assert answer_text.badge(snapshot_with(_RUN, choice=0.1))[0] == "your choice"
    job = job_with(JobHistory([PLAN]), error=ValueError())
    assert answer_text.badge(snapshot_with(_RUN, job=job))[0] == "failed"


def test_the_course_of_the_losses() -> None:
    # From 2.3, down to 0.5 and up again; the fit averages over a third of a decade.
    places = np.log10(_LRS)
    losses = 2.3 - 0.9 * (1 + np.tanh(3 * (places + 3))) + 10.0 ** (3 * (places + 0.8))
    found = Suggestion(3e-3, reason="halfway down the slope")
    for reason, end in (
        ("completed", r" and turns unstable at about 0\.\d+\."),
        ("diverged", r"\. Stopped at 1, where training became unstable, as expected\."),
    ):
        curve = LRCurve(_LRS, losses, reason)  # type: ignore[arg-type]  # a reason
        said = answer_text.conclusion(curve, found)
        start = r"The loss falls from 2\.(2|3)\d to 0\.5\d"
        assert re.fullmatch(f"{start}{end} 3.0e-3 is halfway down the slope.", said)


def test_what_may_do_better() -> None:
    falling = LRCurve(_LRS, np.linspace(3, 1, 51), "completed")
    low = LRCurve(_LRS, np.linspace(1, 3, 51), "completed")
    early = Suggestion(None, reason="the rise comes too early; begin at a lower rate")
    few = Suggestion(0.1, reason=f"halfway down the slope; {MORE_STEPS} (5 a decade)")
    noise = Suggestion(None, reason="the loss neither falls nor rises beyond its noise")
    for curve, suggestion, step in (
        (falling, NO_SUGGESTION, ("Run up to 10", {"end_lr": 10.0})),
        (low, early, ("Run from 1.0e-7", {"start_lr": 1e-7})),
        (low, noise, ("Run 153 steps", {"num_it": 153})),
        (low, Suggestion(0.1), None),
        (low, few, ("Run 153 steps", {"num_it": 153})),
    ):
        shown = replace(IDLE, curve=curve, suggestion=suggestion)
        assert answer_text.next_step(shown) == step
        assert answer_text.next_step(replace(shown, testing=True)) is None
