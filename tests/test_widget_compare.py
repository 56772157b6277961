from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from torch import nn
from torch.optim import SGD

from lrwidget import LRWidget, range_test
from tests.engine.training_parts import state
from tests.widget_parts import BATCHES, Gate, display_of, parts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


@pytest.fixture
def gated() -> Iterator[tuple[LRWidget, Gate]]:
    gate = Gate()
    widget = LRWidget(*parts(), gate, nn.MSELoss(), num_it=4)
    yield widget, gate
    gate.let(1000)
    widget.close()


def test_the_curves_are_those_of_each_test_alone() -> None:
    model, optimizer = parts()
    other = SGD(model.parameters(), lr=0.1, momentum=0.9)
    before = state(model, optimizer)
    changes: dict[str, Any] = {
        "plain": {},
        "momentum": {"optimizer": other, "num_it": 30},
        "short": {"num_it": 10, "end_lr": 0.1},
    }
    widget = LRWidget(model, optimizer, BATCHES, nn.MSELoss(), num_it=20)
    widget.compare(changes)
    latest = widget.wait()
    arguments = {"optimizer": optimizer, "num_it": 20}
    for label, change in changes.items():
        every = {**arguments, **change}
        expected = range_test(model, dataloader=BATCHES, loss_fn=nn.MSELoss(), **every)
        assert widget.curves[label].to_dict() == expected.to_dict()
    assert list(widget.curves) == list(changes)
    assert latest.to_dict() == widget.curves["short"].to_dict()
    assert widget.status.startswith("3 tests done. Shown: short. ")
    assert state(model, optimizer) == before
    widget.close()


def test_it_tells_how_far_all_of_them_are(gated: tuple[LRWidget, Gate]) -> None:
    widget, gate = gated
    widget.compare({"one": {}, "two": {"num_it": 6}})
    assert widget.status == "Running 2 tests: step 0 of 10."
    assert (widget.progress, widget.running) == (0, True)
    with pytest.raises(RuntimeError, match="a test is running already"):
        widget.compare({"three": {}})
    gate.let(10)
    widget.wait(60)
    assert widget.progress == 1
    first, second = display_of(widget).runs_table.rows
    assert (first["name"], first["latest"], second["name"]) == ("two", True, "one")


def test_stopped_half_way(gated: tuple[LRWidget, Gate]) -> None:
    widget, gate = gated
    widget.compare({"one": {}, "two": {}, "three": {}})
    gate.let(4)
    widget.stop()
    gate.let(1)
    widget.wait(60)
    # What has not begun is no run.
    reasons = {name: curve.stop_reason for name, curve in widget.curves.items()}
    assert set(reasons) <= {"one", "two"}
    assert set(reasons.values()) <= {"completed", "stopped"}
    gate.let(4)
    widget.run("after")
    widget.wait(60)
    assert list(widget.curves)[-1] == "after"


def test_a_failure_keeps_what_was_found(gated: tuple[LRWidget, Gate]) -> None:
    widget, gate = gated

    def broken(_outputs: object, _targets: object) -> Tensor:
        raise ZeroDivisionError

    gate.let(8)
    widget.compare({"one": {}, "two": {"loss_fn": broken}, "three": {}})
    with pytest.raises(ZeroDivisionError):
        widget.wait(60)
    assert list(widget.curves) == ["one"]
    assert widget.status.startswith("Failed after 4 steps. ZeroDivisionError")


@pytest.mark.parametrize(
    ("runs", "error", "message"),
    [
        ([], TypeError, r"runs=\[\] must be a dict of dicts; pass for example"),
        ({"a": 1}, TypeError, "must be a dict of dicts"),
        ({}, ValueError, "is empty; pass for example"),
        ({None: {}}, TypeError, "has None for a label"),
        ({1: {}}, TypeError, "label=1 must be some text"),
        ({"a": {}, "b": {"num_it": 1}}, ValueError, "num_it=1 must be at least 2"),
        ({"a": {"lr": 1}}, TypeError, "'lr'"),
    ],
)
def test_bad_runs(runs: Any, error: Any, message: str) -> None:
    widget = LRWidget(*parts(), BATCHES, nn.MSELoss())
    with pytest.raises(error, match=message):
        widget.compare(runs)
    assert not widget.running
    assert widget.curves == {}
    widget.close()
