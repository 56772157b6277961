from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from lrwidget.curve.history import Ended, Stepped
from lrwidget.curve.lr_curve import Step
from lrwidget.curve.race_history import RaceHistory
from lrwidget.ui.trainings import _so_far, _title, _verdict, _with_margin, _words
from tests.ui.snapshots import snapshot_with

if TYPE_CHECKING:
    from collections.abc import Sequence

_RATES = [0.01, 0.1, 1.0]


def _race(ends: Sequence[tuple[float, Any]]) -> RaceHistory:
    """Return a race of sixty steps, whose lanes fall from 2 to an end."""
    race = RaceHistory(_RATES, 60)
    for run, (end, reason) in enumerate(ends):
        for i in range(60 if reason == "completed" else 5):
            loss = 2.0 if i < 3 else end + 0.01 * (i % 2) * run
            race.apply(Stepped(run, Step(i, _RATES[run], loss)))
        race.apply(Ended(run, reason))
    race.finish("completed")
    return race


def test_the_words_of_each_end() -> None:
    race = _race([(1.0, "completed"), (3.0, "completed"), (2.0, "diverged")])
    outcomes = race.outcomes(race.curves()).values()
    assert [_words(x) for x in outcomes] == ["1", "3, learned nothing", "unstable"]
    others = _race([(1.0, "stopped"), (1.0, "exhausted"), (1.0, "non_finite")])
    outcomes = others.outcomes(others.curves()).values()
    assert [_words(x) for x in outcomes] == [
        *("stopped", "no batches left", "infinite or NaN"),
    ]


def test_the_verdict_tells_the_differences() -> None:
    race = _race([(1.0, "completed"), (0.5, "completed"), (2.0, "diverged")])
    html = _verdict(race, race.outcomes(race.curves()), snapshot_with(race=race))
    words = re.sub("<.*?>", "", html)
    assert "0.1 has the lowest loss after 60 steps; 1.0e-2 is worse; 1 became" in words
    assert "Lowest loss: 0.51 at 0.1. Higher by 0.495 ± " in words
    none = RaceHistory(_RATES, 60)
    assert "No training has begun." in _verdict(none, {}, snapshot_with(race=none))


def test_a_race_is_named_so() -> None:
    race = _race([(1.0, "completed")] * 3)
    assert "<b>Trainings of 60 steps, each at one rate</b>" in _title(
        race, running=True
    )
    assert "2 of 3 trainings done." in _so_far(2, 3)


@pytest.mark.parametrize(
    ("number", "margin", "said"),
    [
        (0.0446, 0.0213, "0.04 ± 0.02"),
        (12.3, 3.21, "12 ± 3"),
        (1.5, 0.0, "1.5 ± 0"),
        (1e-7, 2e-8, "1e-7 ± 2e-8"),
        (1e9, 2e8, "1e9 ± 2e8"),
    ],
)
def test_a_margin_has_one_digit(number: float, margin: float, said: str) -> None:
    assert _with_margin(number, margin) == said
