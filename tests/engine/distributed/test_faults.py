"""Whatever ends a test on one rank ends it on all, and all is as before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.distributed import scenes
from tests.engine.distributed.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engine.distributed.conftest import Pools

_ERRORS = {
    "forward": ("ValueError", "no loss today"),
    "connection": ("RuntimeError", "Connection to the database lost (gloo, NCCL)"),
    "backward": ("ValueError", "no backward today"),
    "modified": ("RuntimeError", "modified by an inplace operation"),
    "loader": ("ValueError", "no batch today"),
    "lost batch": ("RuntimeError", "Connection to the disk lost"),
    "interrupt": ("KeyboardInterrupt", ""),
    "start": ("ValueError", "isolation='copy' cannot copy the model"),
    "record": ("FileNotFoundError", "No such file or directory"),
}


def _check(found: list[Any], at: int, error: str, words: str) -> None:
    """Assert that one rank has raised its own error, and the others name it."""
    assert found[at]["error"] == error
    assert words in found[at]["words"]
    for number, rank in enumerate(found):
        assert rank["as before"]
        # Who waits for no gradients may have done the step in which another one fails.
        assert len(rank["steps"]) - len(found[at]["steps"]) in {0, 1}
        if number != at:
            assert (rank["error"], rank["rank"]) == ("RankError", at)
            told = rank["words"].partition("\n")[0]
            assert told.startswith(f"rank {at} of {len(found)}: {error}")
            assert words in told


@pytest.mark.parametrize("fault", _ERRORS)
@pytest.mark.parametrize("kind", ["plain", "ddp", "fsdp"])
def test_an_error_on_one_rank(two: Pool, kind: str, fault: str) -> None:
    if (kind, fault) == ("fsdp", "start"):
        return  # which is never copied
    at = 0 if fault == "record" else 1
    never = two.play("never_failed", kind=kind)
    found = two.play("fault", kind=kind, rank=at, call=5, fault=fault)
    _check(found, at, *_ERRORS[fault])
    assert [rank["again"] for rank in found] == never


@pytest.mark.parametrize("kind", ["plain", "ddp"])
def test_an_error_of_a_batch_after_the_last_step(two: Pool, kind: str) -> None:
    found = two.play("fault", kind=kind, rank=1, call=5, fault="loader", num_it=4)
    _check(found, 1, *_ERRORS["loader"])
    assert len(found[1]["steps"]) == 4


@pytest.mark.parametrize("kind", ["ddp", "hsdp"])
def test_an_error_on_one_of_four(pools: Pools, kind: str) -> None:
    four = pools.of(4)
    never = four.play("never_failed", kind=kind)
    found = four.play("fault", kind=kind, rank=2, call=5, fault="forward")
    _check(found, 2, *_ERRORS["forward"])
    assert [rank["again"] for rank in found] == never


@pytest.mark.parametrize("fault", ["connection", "modified"])
def test_the_same_error_on_all_ranks(two: Pool, fault: str) -> None:
    never = two.play("never_failed", kind="ddp")
    found = two.play("fault_on_all", kind="ddp", fault=fault)
    first = [rank["error"] for rank in found].index("RuntimeError")
    _check(found, first, *_ERRORS[fault])
    assert [rank["again"] for rank in found] == never


@pytest.mark.parametrize("kind", ["plain", "ddp", "fsdp"])
@pytest.mark.parametrize("at", [0, 1])
def test_a_stop_on_one_rank(two: Pool, kind: str, at: int) -> None:
    never = two.play("never_failed", kind=kind)
    found = two.play("stopped", kind=kind, rank=at, steps=6)
    for rank, expected in zip(found, never, strict=True):
        assert "error" not in rank
        assert len(rank["steps"]) == 6
        assert rank["stop_reason"] == "stopped"
        assert rank["as before"]
        assert rank["again"] == expected


@pytest.mark.parametrize("at", [0, 1])
def test_a_test_that_is_dropped_before_its_first_step(minute: Pool, at: int) -> None:
    never = minute.play("never_failed", kind="ddp")
    found = minute.play("stopped", kind="ddp", rank=at, steps=0)
    assert found[1 - at]["stop_reason"] == "stopped"
    for rank, expected in zip(found, never, strict=True):
        assert "error" not in rank
        assert rank["steps"] == []
        assert rank["as before"]
        assert rank["again"] == expected


def test_a_slow_rank_is_waited_for(two: Pool) -> None:
    slow = two.play("fault", kind="ddp", rank=1, call=5, fault="slow")
    for rank in slow:
        assert len(rank["steps"]) == 40
        assert rank["stop_reason"] == "completed"
        assert rank["as before"]


@pytest.mark.parametrize(
    ("name", "values"), [("num_it", [30, 31]), ("step_mode", ["exp", "linear"])]
)
def test_other_settings_on_one_rank(two: Pool, name: str, values: list[Any]) -> None:
    found = two.play("other_settings", kind="ddp", name=name, values=values)
    at = [rank["error"] for rank in found].index("ValueError")
    words = f"{name}={values[at]!r} on rank {at}, and {values[1 - at]!r} on another"
    assert words in found[at]["words"]
    assert found[1 - at]["rank"] == at


@pytest.mark.parametrize("other", [[0.1, 0.3], [0.1, 0.2, 0.3]])
def test_other_rates_of_a_race_on_one_rank(minute: Pool, other: list[float]) -> None:
    rates = [[0.1, 0.2], other]
    found = minute.play("other_rates", rates=rates)
    at = [rank["error"] for rank in found].index("ValueError")
    assert f"rates={rates[at]} on rank {at}, and {rates[1 - at]}" in found[at]["words"]
    assert found[1 - at]["rank"] == at
    assert all(rank["as before"] and not rank["steps"] for rank in found)
    assert [x["again"] for x in found] == minute.play("never_failed", kind="ddp")


@pytest.mark.parametrize("kind", ["plain", "ddp"])
def test_an_error_after_the_last_agreement(two: Pool, kind: str) -> None:
    found = two.play("failing_last_step", kind=kind)
    _check(found, 1, "ValueError", "no last step")


def test_an_interrupt_before_the_first_step(two: Pool, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    found = two.play("interrupted_before_the_first_step", rank=0, path=str(path))
    _check(found, 0, "KeyboardInterrupt", "")


@pytest.fixture
def minute(pools: Pools) -> Pool:
    """Two ranks that wait for each other for a minute, if one does not tell."""
    return pools.of(2, timeout=60)


@pytest.fixture
def patient() -> Iterator[Pool]:
    """Yield two ranks that wait for each other for three seconds."""
    pool = Pool(2, timeout=3)
    yield pool
    pool.close()


@pytest.mark.parametrize(
    ("what", "bad", "words"),
    [
        ("range_test", {"num_it": 0}, "num_it=0"),
        ("RangeTest", {"num_it": 0}, "num_it=0"),
        ("race", {"num_it": 0}, "num_it=0"),
        ("race", {"steps": 0}, "steps=0"),
        ("race", {"rates": [0.0]}, "rates[0]=0.0"),
        ("verify", {"total_steps": 0}, "total_steps=0"),
    ],
)
def test_an_argument_that_one_rank_refuses(
    minute: Pool, what: str, bad: dict[str, Any], words: str
) -> None:
    found = minute.play("refused_on", rank=1, what=what, **bad)
    _check(found, 1, "ValueError", words)
    assert [x["again"] for x in found] == minute.play("never_failed", kind="ddp")


def test_an_argument_that_all_ranks_refuse(minute: Pool) -> None:
    found = minute.play("refused_on", rank=None, what="RangeTest", num_it=0)
    for rank in found:
        assert rank["error"] == "ValueError"
        assert "num_it=0" in rank["words"]
    assert [x["again"] for x in found] == minute.play("never_failed", kind="ddp")


def test_a_validation_before_the_first_lane_fails_on_one_rank(minute: Pool) -> None:
    loader = scenes.FaultyLoader(1, 2, ValueError("no batch today"))
    found = minute.play("refused_on", rank=None, what="verify", val_loader=loader)
    _check(found, 1, "ValueError", "no batch today")
    assert [x["again"] for x in found] == minute.play("never_failed", kind="ddp")


def test_settings_that_a_widget_refuses_do_not_reach_other_ranks(minute: Pool) -> None:
    found = minute.play("refused_settings", rank=1)
    assert found == minute.play("never_failed", kind="ddp")


@pytest.mark.parametrize("late", [False, True])
def test_a_model_that_is_in_use_on_one_rank(minute: Pool, *, late: bool) -> None:
    found = minute.play("in_use_on", rank=1, late=late)
    words = "training this model itself at the moment"
    assert found[1]["error"] == "RuntimeError"
    assert words in found[1]["words"]
    assert (found[0]["error"], found[0]["rank"]) == ("RankError", 1)
    assert words in found[0]["words"]
    assert [x["again"] for x in found] == minute.play("never_failed", kind="plain")


def test_a_race_whose_loader_is_an_iterator_on_one_rank(minute: Pool) -> None:
    found = minute.play("raced_on", fault="iterator", at=[1])
    assert "error" not in found[1]
    assert found[1]["ends"] == [[0, "completed"], [1, "exhausted"], [2, "exhausted"]]
    assert (found[0]["error"], found[0]["rank"]) == ("RankError", 1)
    assert "dataloader is an iterator" in found[0]["words"]
    assert [x["again"] for x in found] == minute.play("never_failed", kind="ddp")


@pytest.mark.parametrize("at", [[1], [0, 1]])
def test_a_race_whose_loader_has_no_batch_again(minute: Pool, at: list[int]) -> None:
    found = minute.play("raced_on", fault="empty", at=at)
    first = [rank["error"] for rank in found].index("EmptyLoaderError")
    assert (found[1 - first]["error"], found[1 - first]["rank"]) == ("RankError", first)
    assert "is empty" in found[1 - first]["words"]
    assert [x["again"] for x in found] == minute.play("never_failed", kind="ddp")


@pytest.mark.parametrize("fault", ["left", "comparison"])
def test_one_rank_leaves_between_two_trainings(minute: Pool, fault: str) -> None:
    other, left = minute.play("raced_on", fault=fault, at=[1])
    first = [0, "completed"]
    assert left["ends"] == [first]
    assert other["ends"] == [first, [1, "stopped"]]
    for rank in (other, left):
        assert "error" not in rank
        assert rank["as before"]
    again = [other["again"], left["again"]]
    assert again == minute.play("never_failed", kind="ddp")


def test_one_rank_leaves_a_race_in_a_training(minute: Pool) -> None:
    found = minute.play("left_in_a_race", rank=1)
    assert found[0]["last"] == "stopped"
    assert [x["again"] for x in found] == minute.play("never_failed", kind="ddp")


def test_a_test_that_not_all_begin(patient: Pool) -> None:
    alone, absent = patient.play("begun_by", ranks=[0])
    assert absent is None
    assert alone["error"] == "TimeoutError"
    assert "1 of 2 ranks have begun the test within 3 s" in alone["words"]
    assert alone["as before"]


@pytest.mark.parametrize("kind", ["plain", "ddp", "fsdp"])
def test_a_rank_is_killed(kind: str) -> None:
    pool = Pool(3)
    try:
        pool.begin("fault", kind=kind, rank=1, call=5, fault="kill", train_on=False)
        for number in (0, 2):
            rank = pool.result(number)
            assert (rank["error"], rank["rank"]) == ("RankError", 1)
            assert "rank 1 does not answer any more" in rank["words"]
            assert len(rank["steps"]) == 4
            assert rank["as before"]
    finally:
        pool.close()


def test_the_store_is_gone() -> None:
    pool = Pool(2)
    try:
        pool.begin("without_a_store")
        assert pool.result(0) == pool.result(1) == "ready"
        pool.close_store()
        other, failed = pool.result(0), pool.result(1)
        assert failed["error"] == "ValueError"
        assert (other["error"], other["rank"]) == ("RankError", None)
        assert "keeps the store of the process group has gone" in other["words"]
        assert other["as before"]
        assert failed["as before"]
    finally:
        pool.close()
