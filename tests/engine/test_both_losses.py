"""The training losses beside those on a ``val_loader``, against a loop by hand."""

from __future__ import annotations

import csv
import json
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD

from lrwidget.backends.record import RecordBackend
from lrwidget.curve.history import JobHistory
from lrwidget.curve.lr_curve import LRCurve
from lrwidget.engine.range_test import RangeTest, range_test
from tests.engine.training_parts import data

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

_LOSS = nn.CrossEntropyLoss()
_SETTINGS: dict[str, Any] = {"num_it": 12, "start_lr": 1e-3, "end_lr": 1.0}


def _batches(count: int, first: int = 0) -> list[tuple[Tensor, ...]]:
    inputs, targets = data(first + count).tensors
    columns = inputs[first:].double(), targets[first:]
    return [*zip(*(column.split(16) for column in columns), strict=True)]


def _model() -> nn.Linear:
    model = nn.Linear(8, 3, dtype=torch.float64)
    torch.manual_seed(3)
    nn.init.normal_(model.weight)
    nn.init.zeros_(model.bias)
    return model


def _by_hand(steps_per_lr: int) -> tuple[list[float], list[float]]:
    """Return the mean training loss and the validation loss at each rate."""
    model, batches = _model(), cycle(_batches(80))
    optimizer = SGD(model.parameters(), lr=0.1)
    inputs, targets = map(torch.cat, zip(*_batches(40, 80), strict=True))
    trained, validated = [], []
    for lr in np.geomspace(1e-3, 1.0, 12).tolist():
        losses = []
        for _ in range(steps_per_lr):
            optimizer.param_groups[0]["lr"] = lr
            optimizer.zero_grad()
            x, y = next(batches)
            loss = _LOSS(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        trained.append(sum(losses) / steps_per_lr)
        with torch.no_grad():
            validated.append(_LOSS(model(inputs), targets).item())
    return trained, validated


def _test(**settings: Any) -> RangeTest:
    model = _model()
    optimizer = SGD(model.parameters(), lr=0.1)
    settings = {"val_loader": _batches(40, 80), **_SETTINGS, **settings}
    return RangeTest(model, optimizer, _batches(80), _LOSS, stop_div=False, **settings)


@pytest.mark.parametrize("steps_per_lr", [1, 2])
def test_both_losses_of_each_rate(steps_per_lr: int) -> None:
    test = _test(steps_per_lr=steps_per_lr)
    steps = list(test)
    expected = _by_hand(steps_per_lr)
    assert test.curve.train_losses is not None
    assert test.curve.train_losses.tolist() == [step.train_loss for step in steps]
    np.testing.assert_allclose(test.curve.train_losses, expected[0])
    np.testing.assert_allclose([step.loss for step in steps], expected[1])
    with pytest.raises(ValueError, match="read-only"):
        test.curve.train_losses[0] = 1


def test_without_a_val_loader_there_is_one_loss() -> None:
    for steps_per_lr in (1, 2):
        test = _test(val_loader=None, steps_per_lr=steps_per_lr)
        assert {step.train_loss for step in test} == {None}
        assert test.curve.train_losses is None
        np.testing.assert_allclose(test.curve.losses, _by_hand(steps_per_lr)[0])


def test_a_training_loss_that_is_not_finite_is_both() -> None:
    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        losses.append(_LOSS(outputs, targets))
        return losses[-1] * (torch.nan if len(losses) > 20 else 1)

    losses: list[Tensor] = []
    model = _model()
    optimizer = SGD(model.parameters(), lr=0.1)
    curve = range_test(
        *(model, optimizer, _batches(80), loss_fn),
        val_loader=_batches(40, 80),
        **_SETTINGS,
    )
    # Each rate takes one batch, and three for the validation.
    assert (len(curve), curve.stop_reason) == (6, "non_finite")
    assert curve.train_losses is not None
    np.testing.assert_array_equal(np.isnan(curve.train_losses), [*[False] * 5, True])
    np.testing.assert_array_equal(np.isnan(curve.losses), [*[False] * 5, True])


def _of_the_record(path: Path) -> LRCurve:
    return LRCurve.load(path)


def _of_the_followed_record(path: Path) -> LRCurve:
    history = JobHistory([None])
    for event in RecordBackend(path, None).job.events():
        history.apply(event)
    return history.runs[0].curve()


@pytest.mark.parametrize("read", [_of_the_record, _of_the_followed_record])
def test_a_record_has_both(tmp_path: Path, read: Callable[[Path], LRCurve]) -> None:
    path = tmp_path / "run.jsonl"
    for _ in _test(record=path):
        pass
    curve = read(path)
    trained, validated = _by_hand(1)
    assert curve.train_losses is not None
    np.testing.assert_allclose(curve.train_losses, trained)
    np.testing.assert_allclose(curve.losses, validated)


def test_a_record_without_a_val_loader_has_one_loss(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    for _ in _test(record=path, val_loader=None):
        pass
    assert "train_loss" not in path.read_text()
    for read in (_of_the_record, _of_the_followed_record):
        assert read(path).train_losses is None


def test_files_and_tables_have_both(tmp_path: Path) -> None:
    test = _test()
    for _ in test:
        pass
    curve, (trained, validated) = test.curve, _by_hand(1)
    again = LRCurve.from_dict(json.loads(json.dumps(curve.to_dict())))
    assert again.train_losses is not None
    np.testing.assert_allclose(again.train_losses, trained)
    frame = curve.to_pandas()
    assert list(frame.columns) == ["lr", "loss", "train_loss", "fit", "error"]
    np.testing.assert_allclose(frame["train_loss"], trained)
    np.testing.assert_allclose(frame["loss"], validated)
    curve.to_csv(tmp_path / "x.csv")
    with (tmp_path / "x.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == list(frame.columns)
    np.testing.assert_array_equal(np.array(rows, float), frame)


def test_nothing_is_computed_from_the_training_losses() -> None:
    test = _test()
    for _ in test:
        pass
    curve = test.curve
    alone = LRCurve(curve.lrs, curve.losses, curve.stop_reason)
    assert curve.suggestions == alone.suggestions
    np.testing.assert_array_equal(curve.fit().losses, alone.fit().losses)
