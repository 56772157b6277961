from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from lrwidget.curve.suggestion import NO_SUGGESTION
from lrwidget.engine.race import Race
from lrwidget.engine.range_test import RangeTest
from lrwidget.session import Session
from tests.widget_parts import Gate, parts


def _session() -> tuple[Session, RangeTest, Gate, list[Any]]:
    gate = Gate()
    ended: list[Any] = []
    test = RangeTest(*parts(), gate, nn.MSELoss(), num_it=4)
    return Session(test, lambda: None, ended.append), test, gate, ended


def test_before_there_is_anything() -> None:
    session, _, _, _ = _session()
    session.check_idle()
    session.stop()
    session.abandon()
    assert {session.running, session.racing, session.failed} == {False}
    assert (session.seconds, len(session.curve)) == (0, 0)
    assert session.in_words(NO_SUGGESTION, running=False).startswith(
        "Ready: Run tries 4 rates"
    )
    with pytest.raises(RuntimeError, match="no test to wait for; call run"):
        session.wait(1)


def test_a_race_and_a_test_keep_what_they_found_apart() -> None:
    session, test, gate, ended = _session()
    session.run()
    with pytest.raises(RuntimeError, match="a test is running already"):
        session.check_idle()
    gate.let(4)
    session.wait(60)
    curve = session.curve
    assert len(curve) == 4
    session.race(Race(test, [0.01, 0.1], 3))
    with pytest.raises(RuntimeError, match="a race is running already"):
        session.check_idle()
    gate.let(6)
    session.wait(60)
    assert session.curve.to_dict() == curve.to_dict()
    assert [len(raced) for raced in session.raced.curves()] == [3, 3]
    assert session.in_words(NO_SUGGESTION, running=False).startswith(
        "Race done: lowest loss"
    )
    gate.let(4)
    session.run()
    session.wait(60)
    assert not session.racing
    assert len(session.raced.curves()) == 2
    assert len(ended) == 3
    assert ended[-1] is session.follower
