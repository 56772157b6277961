from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from lrwidget.curve.lr_curve import Recording
from lrwidget.curve.runs import NewRun
from lrwidget.engine.race import Race
from lrwidget.engine.range_test import RangeTest
from lrwidget.session import Session
from tests.curves import repeat_key_of
from tests.widget_parts import BATCHES, Gate, parts


def _session() -> tuple[Session, RangeTest, Gate, list[Any]]:
    gate = Gate()
    ended: list[Any] = []
    test = RangeTest(*parts(), gate, nn.MSELoss(), num_it=4)
    return Session(lambda: None, ended.append), test, gate, ended


def test_before_there_is_anything() -> None:
    session, _, _, _ = _session()
    session.check_idle()
    session.stop()
    session.abandon()
    assert {session.running, session.racing} == {False}
    assert session.error is None
    assert (session.seconds, len(session.curve), len(session.latest)) == (0, 0, 0)
    with pytest.raises(RuntimeError, match="no test to wait for; call run"):
        session.wait(1)


def test_a_race_and_a_test_keep_what_they_found_apart() -> None:
    session, test, gate, ended = _session()
    session.run(test, NewRun("a", repeat_key_of("a"), Recording(4)))
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
    gate.let(4)
    session.run(test, NewRun("a", repeat_key_of("a"), Recording(4)))
    session.wait(60)
    assert not session.racing
    assert len(session.raced.curves()) == 2
    assert len(ended) == 3
    assert ended[-1] is session.follower


def test_each_run_is_kept() -> None:
    session, test, gate, _ = _session()
    gate.let(8)
    for _ in range(2):
        session.run(test, NewRun("a", repeat_key_of("a"), Recording(4)))
        session.wait(60)
    curves = session.runs.curves()
    assert list(curves) == ["a", "a (2)"]
    assert curves["a (2)"].to_dict() == session.curve.to_dict()
    assert [run.setting for run in session.runs.all] == [repeat_key_of("a")] * 2


def test_what_cannot_start_is_no_run() -> None:
    session, test, gate, _ = _session()
    gate.let(4)
    session.run(test, NewRun("a", repeat_key_of("a"), Recording(4)))
    session.wait(60)
    trained = *parts(), BATCHES, nn.MSELoss()
    other = iter(RangeTest(*trained, isolation="restore"))
    next(other)
    in_its_way = RangeTest(*trained, isolation="restore")
    with pytest.raises(RuntimeError, match="training this model itself") as raised:
        session.run(in_its_way, NewRun("b", repeat_key_of("b"), Recording(4)))
    other.close()
    with pytest.raises(RuntimeError, match="training this model itself"):
        session.wait(60)
    assert not session.running
    assert session.error is raised.value
    assert len(session.latest) == 0
    assert list(session.runs.curves()) == ["a"]
    assert len(session.curve) == 4


def test_what_keeps_a_test_from_starting_is_raised_until_the_next_one() -> None:
    session, test, gate, _ = _session()
    gate.let(8)
    session.run(test, NewRun("a", repeat_key_of("a"), Recording(4)))
    session.wait(60)
    session.refuse(ZeroDivisionError("no"), Recording(0))
    assert isinstance(session.error, ZeroDivisionError)
    assert len(session.latest) == 0  # of what has not run
    assert len(session.curve) == 4
    for _ in range(2):
        with pytest.raises(ZeroDivisionError, match="no"):
            session.wait(60)
    assert list(session.runs.curves()) == ["a"]
    session.run(test, NewRun("b", repeat_key_of("b"), Recording(4)))
    session.wait(60)
    assert session.error is None
