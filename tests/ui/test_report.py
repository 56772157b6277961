from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from lrwidget.curve.lr_curve import Recording
from lrwidget.curve.runs import NewRun
from lrwidget.curve.suggestion import NO_SUGGESTION, Suggestion
from lrwidget.engine.comparison import Comparison
from lrwidget.engine.race import Race
from lrwidget.engine.range_test import RangeTest
from lrwidget.session import Session
from lrwidget.ui.report import in_detail, in_words
from tests.curves import repeat_key_of
from tests.widget_parts import BATCHES, Gate, parts


def _failing(output: torch.Tensor, _target: torch.Tensor) -> torch.Tensor:
    msg = f"sizes do\nnot match: <b>{len(output)}</b>\n\nand more"
    raise ArithmeticError(msg)


def _session() -> Session:
    return Session(lambda: None, lambda _: None)


def _test(loss_fn: Any = None, dataloader: Any = BATCHES) -> RangeTest:
    return RangeTest(*parts(), dataloader, loss_fn or nn.MSELoss(), num_it=4)


def test_a_test() -> None:
    session, gate = _session(), Gate()
    session.run(_test(dataloader=gate), NewRun("a", repeat_key_of("a"), Recording(4)))
    said = in_words(session, NO_SUGGESTION, running=True)
    assert said == "Running: waiting for the first step."
    gate.let(1)
    gate.await_asked(2)
    said = in_words(session, NO_SUGGESTION, running=True)
    assert said.startswith("Running: step 1 of 4. Loss ")
    gate.let(3)
    session.wait(60)
    said = in_words(session, Suggestion(0.01, reason="why"), running=False)
    assert said == "Done: all 4 steps, up to 10. Suggested: 1e-2, why."


def test_a_race() -> None:
    session, gate = _session(), Gate()
    session.race(Race(_test(dataloader=gate), [0.01, 0.1], 3))
    said = in_words(session, NO_SUGGESTION, running=True)
    assert said == "Race of 2 rates: waiting for the first step."
    gate.let(6)
    session.wait(60)
    said = in_words(session, NO_SUGGESTION, running=False)
    assert said.startswith("Race done: lowest loss ")


def test_several_tests() -> None:
    session, gate = _session(), Gate()
    tests = [_test(dataloader=gate), _test(dataloader=gate)]
    begun = [NewRun(label, repeat_key_of(label), Recording(4)) for label in ("a", "b")]
    session.compare(Comparison(tests), begun)
    said = in_words(session, NO_SUGGESTION, running=True)
    assert said == "Running 2 tests: step 0 of 8."
    gate.let(8)
    session.wait(60)
    said = in_words(session, Suggestion(0.01, reason="why"), running=False)
    assert said == "2 tests; b: Done: all 4 steps, up to 10. Suggested: 1e-2, why."


def test_a_failure() -> None:
    session = _session()
    session.run(_test(_failing), NewRun("a", repeat_key_of("a"), Recording(4)))
    with pytest.raises(ArithmeticError):
        session.wait(60)
    said = in_words(session, NO_SUGGESTION, running=False)
    assert said == "Failed after 0 steps. ArithmeticError: sizes do not match: <b>4</b>"
    session.race(Race(_test(_failing), [0.01, 0.1], 3))
    with pytest.raises(ArithmeticError):
        session.wait(60)
    assert in_words(session, NO_SUGGESTION, running=False) == f"Race f{said[1:]}"


def test_the_details_are_the_traceback_with_all_causes() -> None:
    def fail() -> None:
        try:
            _failing(*BATCHES[0])
        except ArithmeticError as error:
            raise ValueError from error

    with pytest.raises(ValueError, match=r"^$") as caught:
        fail()
    details = in_detail(caught.value)
    assert details.startswith("Traceback (most recent call last)")
    assert details.endswith("ValueError")
    for part in ("in _failing", "and more", "direct cause", "in fail"):
        assert part in details
