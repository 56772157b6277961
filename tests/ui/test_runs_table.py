from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lrwidget.curve.history import Plan, RunHistory
from lrwidget.curve.lr_curve import Step
from lrwidget.ui.marks import look_of_former
from lrwidget.ui.messages import same_batches
from lrwidget.ui.runs_table import RunsTable, rows_of
from lrwidget.ui.widgets import close_with_parts
from tests.curves import LRS, run_of, sweep
from tests.ui.front_end import tell
from tests.ui.snapshots import snapshot_with

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lrwidget.curve.runs import Run

_A, _B, _C = (
    run_of([3.0 + number, 2.0, 1.0], name, number) for number, name in enumerate("abc")
)


class _Refusing:
    """Commands that refuse a rename."""

    def rename(self, name: str, new: str) -> None:
        msg = f"{name} cannot be {new}"
        raise ValueError(msg)


@pytest.fixture
def table() -> Iterator[RunsTable]:
    commands: Any = _Refusing()
    table = RunsTable(commands, lambda: None)
    yield table
    close_with_parts(table)


def _seen(*runs: Run, **changes: Any) -> list[tuple[Any, ...]]:
    rows = rows_of(snapshot_with(*runs, **changes))
    return [(row["name"], row["latest"], row["opened"]) for row in rows]


def test_a_single_run_needs_no_table(table: RunsTable) -> None:
    for runs, count in (([], 0), ([_A], 0), ([_A, _B], 2), ([_B], 0)):
        table.show(snapshot_with(*runs), [])
        assert len(table.rows) == count
        assert (table.layout.display == "none") == (count == 0)


def test_the_newest_run_is_first_after_the_pinned_ones() -> None:
    pinned = _A._replace(pinned=True)
    assert _seen(pinned, _B, _C, opened=_B) == [
        *(("a", False, False), ("c", True, False), ("b", False, True)),
    ]


def test_a_row_has_the_look_of_its_line() -> None:
    opened, former = rows_of(snapshot_with(_A, _B))
    assert "--lrwidget-curve" in opened["colour"]
    assert opened["style"] == "solid"
    assert (former["colour"], former["style"]) == look_of_former(_A.number)
    nine = [run_of([1.0], f"{number}", number) for number in range(9)]
    rows = rows_of(snapshot_with(*nine, _A))
    assert len({(row["colour"], row["style"]) for row in rows}) == 10


def test_a_row_has_the_results_of_its_run() -> None:
    curve, run = sweep(), run_of(sweep().losses, "swept")
    suggestion = curve.suggestion()
    assert suggestion.low is not None
    row, _ = rows_of(snapshot_with(_A, run, suggestion=suggestion))
    fit = run.history.curve().fit()
    for key, number in (
        ("suggested", suggestion.lr),
        ("lowest", fit.losses[np.argmin(fit.losses + fit.errors)]),
        ("unstable", curve.unstable_from),
    ):
        assert float(row[key]) == pytest.approx(number, rel=0.05)
    low, _, high = row["range"].partition(" to ")
    assert float(low) == pytest.approx(suggestion.low, rel=0.05)
    assert float(high) == pytest.approx(suggestion.high, rel=0.05)
    assert row["steps"] == "100"


def test_what_a_run_does_not_have_is_not_told() -> None:
    nothing = run_of([float("nan")] * 3, "nothing")
    row, _ = rows_of(snapshot_with(_A, nothing))
    told = [row[key] for key in ("suggested", "range", "lowest", "unstable", "steps")]
    assert told == ["none", "", "", "", "3 of 100"]


def test_a_run_that_grows_changes_no_row(table: RunsTable) -> None:
    history = RunHistory(Plan(1e-7, 10.0, 100))
    growing = _B._replace(history=history)
    sent: list[Any] = []
    table.observe(sent.append, "rows")
    for iteration in range(3):
        history.append(Step(iteration, float(LRS[iteration]), 1.0))
        table.show(snapshot_with(_A, growing, testing=True), [])
    assert len(sent) == 1
    assert (table.rows[0]["steps"], table.rows[0]["lowest"]) == ("running", "")


def test_the_same_batches_are_told_with_the_way_to_others() -> None:
    again = run_of([3.0, 2.0, 1.0], "again")._replace(settings={"seed": "1"})
    for settings, advice in (({"seed": "1"}, "give another seed"), ({}, "shuffle")):
        former = _A._replace(settings=settings)
        snapshot = snapshot_with(former, _B, again)
        assert "Same batches" in same_batches(snapshot)
        assert advice in same_batches(snapshot)
        assert [row["note"] for row in rows_of(snapshot)] == [
            *(same_batches(snapshot), "", ""),
        ]
    assert same_batches(snapshot_with(_A, _B)) == ""
    assert same_batches(snapshot_with(_A, again, testing=True)) == ""
    assert same_batches(snapshot_with()) == ""


def test_what_is_refused_is_told_and_anything_else_is_no_command(
    table: RunsTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(table, "send", told.append)
    tell(table, do="rename", name="a", new="b")
    assert told == [{"problem": "a cannot be b"}]
    for message in ({"do": "rename", "name": 1, "new": "b"}, {"do": "other"}, {}):
        tell(table, **message)
    assert len(told) == 1
