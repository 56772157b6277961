"""Tests that several ranks run together find what one process would."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import pytest
from torch import nn
from torch.utils.data import DataLoader

from lrwidget import LRCurve, RangeTest, race, verify
from tests.engine.distributed import scenes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.distributed.conftest import Pools
    from tests.engine.distributed.pool import Pool


def _joined(size: int, optimizer: str = "sgd", **settings: Any) -> dict[str, Any]:
    """Return what one process finds with the batches of all ranks joined."""
    model = scenes.layers()
    batches = scenes.data(settings.pop("batches", scenes.STEPS), size)
    loader = DataLoader(batches, size * scenes.BATCH)
    if settings.get("val_loader") is True:
        settings["val_loader"] = scenes.held_out(share=False)
    every = {**scenes.SETTINGS, **settings}
    trained = scenes.optimizer_of(model, optimizer)
    return scenes.found(RangeTest(model, trained, loader, nn.MSELoss(), **every))


def _same(found: list[Any], expected: dict[str, Any]) -> None:
    """Assert that every rank has found the very same, and that it is as expected."""
    for rank in found:
        assert rank == found[0]
    assert found[0]["stop_reason"] == expected["stop_reason"]
    assert found[0]["lrs"] == expected["lrs"]
    assert found[0]["losses"] == pytest.approx(expected["losses"], rel=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("kind", ["ddp", "fsdp", "hsdp"])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_the_curve_is_that_of_the_joined_batches(
    pools: Pools, size: int, kind: str, optimizer: str
) -> None:
    if kind == "hsdp" and size < 4:
        return  # which needs two by two
    settings: dict[str, Any] = {"optimizer": optimizer, "stop_div": False}
    found = pools.of(size).play("curve", kind=kind, **settings)
    assert len(found[0]["lrs"]) == scenes.STEPS
    _same(found, _joined(size, **settings))


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
@pytest.mark.parametrize(
    "settings",
    [
        {"accumulate": 2, "batches": 80},
        {"steps_per_lr": 2, "batches": 80},
        {"clip_grad_norm": 0.1},
        {"val_loader": True},
        {"step_mode": "linear", "isolation": "restore"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_however_it_is_trained(two: Pool, kind: str, settings: dict[str, Any]) -> None:
    found = two.play("curve", kind=kind, stop_div=False, **settings)
    _same(found, _joined(2, stop_div=False, **settings))


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
@pytest.mark.parametrize("counts", [[3, 3, 3, 3, 3], [1, 4, 2, 5, 2]])
def test_a_validation_agrees_once(two: Pool, kind: str, counts: list[int]) -> None:
    # The second rank has one sample less, but where there is only one.
    fewer = [max(count - 1, 1) for count in counts]
    found = two.play("agreements", kind=kind, counts=[counts, fewer])
    until = [rank.pop("agreed") for rank in found]
    assert until[0] == until[1]
    every = [count + less for count, less in zip(counts, fewer, strict=True)]
    loader = scenes.Varying(every, slice(None))
    _same(found, _joined(2, num_it=len(counts), val_loader=loader))
    # once at the start, once for each step, once for its validation, and once more
    # for each batch by which that is longer than all before, the first than one batch
    assert until[0][0] == 1 + 1 + 1 + (counts[0] - 1)
    taken = [after - before for before, after in pairwise(until[0])]
    longer = [after - before for before, after in pairwise(accumulate(counts, max))]
    assert taken == [2 + more for more in longer]


def test_the_stop_is_agreed(two: Pool) -> None:
    settings: dict[str, Any] = {"end_lr": 1e4, "num_it": 100}
    expected = _joined(2, **settings)
    assert expected["stop_reason"] == "diverged"
    _same(two.play("curve", kind="ddp", **settings), expected)


def test_a_loss_that_is_not_finite_on_one_rank(two: Pool) -> None:
    for rank in two.play("not_finite_somewhere"):
        assert rank["as before"]
        assert len(rank["steps"]) == 5


def test_replicas_that_a_hook_averages(two: Pool) -> None:
    _same(two.play("averaged_by_hand"), _joined(2))


def test_the_loss_is_weighted_by_the_samples(two: Pool) -> None:
    found = two.play("unequal_batches", sizes=[3, 5])
    own = [rank.pop("own") for rank in found]
    assert own[0] != pytest.approx(own[1])
    assert found[0]["losses"][0] == pytest.approx((3 * own[0] + 5 * own[1]) / 8)
    assert found[1] == found[0]


@pytest.mark.parametrize("kind", ["plain", "ddp", "fsdp"])
def test_uneven_loaders_end_together(two: Pool, kind: str) -> None:
    for rank in two.play("unequal_streams", kind=kind, counts=[7, 4]):
        assert rank["as before"]
        assert "error" not in rank
        assert len(rank["steps"]) == 4


def test_the_original_is_put_back_where_there_is_no_copy(two: Pool) -> None:
    for on_copy, on_original in two.play("restored_original"):
        assert on_copy["steps"] == on_original["steps"]
        assert on_copy["as before"]
        assert on_original["as before"]


def test_the_first_rank_alone_records(two: Pool, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    losses = two.play("recorded", path=str(path))
    assert LRCurve.load(path).losses.tolist() == losses[0] == losses[1]
    assert path.read_text().count("lrwidget.record") == 1


def test_a_request_in_the_record_stops_all_ranks(two: Pool, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    for rank in two.play("asked_to_stop", path=str(path)):
        assert "error" not in rank
        assert len(rank["steps"]) == 5
        assert rank["as before"]
    assert LRCurve.load(path).stop_reason == "stopped"


def test_a_race(two: Pool) -> None:
    model = scenes.layers()
    curves = race(
        *(model, scenes.optimizer_of(model)),
        DataLoader(scenes.data(scenes.STEPS, 2), 2 * scenes.BATCH),
        nn.MSELoss(),
        rates=[0.01, 0.1],
        steps=5,
    )
    for rank in two.play("raced"):
        for found, expected in zip(rank, curves, strict=True):
            assert found == pytest.approx(expected.losses.tolist(), rel=1e-6)


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_a_verification(two: Pool, kind: str) -> None:
    model = scenes.layers()
    expected = verify(
        *(model, scenes.optimizer_of(model)),
        DataLoader(scenes.data(scenes.STEPS, 2), 2 * scenes.BATCH),
        nn.MSELoss(),
        **scenes.SETTINGS,
        val_loader=scenes.held_out(share=False),
        total_steps=30,
    )
    found = two.play("verified", kind=kind)
    assert found[0] == found[1]
    assert found[0]["as before"]
    assert len(expected.lanes) == 5
    for (lr, losses, val_loss), lane in zip(
        found[0]["lanes"], expected.lanes, strict=True
    ):
        assert lr == pytest.approx(lane.lr)
        assert losses == pytest.approx(lane.losses.tolist(), rel=1e-6)
        assert val_loss == pytest.approx(lane.val_loss, rel=1e-6, nan_ok=True)
    # The first ranks' batches of 3, 3 and 1 samples, and one of 3 of the second rank.
    assert found[0]["samples"][:3] == [[6, 3, 1]] * 3


@pytest.mark.parametrize("hook", ["none", "group", "power", "local"])
def test_the_hooks_of_a_replicated_model(two: Pool, hook: str) -> None:
    found = two.play("with_a_hook", name=hook)
    for rank in found:
        assert len(rank["losses"]) == scenes.STEPS
        assert rank["losses"] == rank["again"]
        assert rank["as before"]
        assert rank["rounds"] == 0
        assert rank["trained"][:3] == rank["losses"][:3]
        if hook != "power":  # which averages approximately
            assert rank["losses"] == pytest.approx(_joined(2)["losses"], rel=1e-6)
    assert [rank["error"] for rank in found] == ["RankError", "ValueError"]
