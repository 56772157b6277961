from __future__ import annotations

import math
import tempfile
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import lightning
import numpy as np
import pytest
from torch import nn
from torch.optim import SGD, Adam

from lrwidget import LRCurve, LRWidget, range_test
from lrwidget.curve.rules import RULES, min_grad, steep
from tests.curves import suggest, unsmoothed
from tests.engine.training_parts import loader, state, warm
from tests.integrations.quiet import lightning_trainer

if TYPE_CHECKING:
    from pathlib import Path

_LOSS = nn.CrossEntropyLoss()


class Module(lightning.LightningModule):
    """A module with dropout, which draws from the random state."""

    def __init__(self) -> None:
        super().__init__()
        self.learning_rate = 0.123
        self.net = nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.1), nn.Linear(16, 3))

    def training_step(self, batch: Any, batch_idx: int) -> Any:  # noqa: ARG002 (Lightning's)
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self) -> Any:
        return SGD(self.parameters(), lr=self.learning_rate)


def _tested(module: Module, optimizer: Any, batches: Any, **settings: Any) -> LRCurve:
    return range_test.from_lightning(module, batches, optimizer=optimizer, **settings)


@pytest.mark.parametrize("rule", [steep, min_grad])
def test_the_steepest_of_a_sine(rule: Any) -> None:
    """Case 12: sin(log10 lr) falls fastest where log10 lr is pi."""
    logs = np.linspace(0, 2 * math.pi, 1000)
    suggestion = rule(10**logs, np.sin(logs))
    assert math.log10(suggestion) == pytest.approx(math.pi, abs=1e-2)


@pytest.mark.parametrize(
    ("num_it", "count", "enough"),
    [
        (9, 0, False),  # skips the last 5
        (9, 6, False),
        (9, 7, True),
        (10, 7, False),  # skips the first and the last 5
        (10, 8, True),
        (100, 0, False),  # skips the first 10 and the last 5
        (100, 16, False),
        (100, 17, True),
    ],
)
@pytest.mark.parametrize("rule", ["valley", "steep", "min_grad"])
def test_enough_points(rule: str, num_it: int, count: int, enough: bool) -> None:  # noqa: FBT001 (a parameter of a test)
    """Case 13: two points with a fall are enough, besides the skipped points."""
    lrs = np.geomspace(1e-8, 1, 100)[:count]
    curve = LRCurve(lrs, np.linspace(2, 1, count), num_it=num_it)
    suggestion = curve.suggest(rule)
    if enough:
        assert suggestion in lrs[num_it // 10 : -5]
    else:
        assert suggestion is None


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # the 16th of the 34 points that fall, which begin at the 7th point
        ("valley", lambda lrs: lrs[6 + 15]),
        # the point before the one nearest to pi / 2, and the nearest point
        ("steep", lambda lrs: lrs[6 + 16]),
        ("min_grad", lambda lrs: lrs[6 + 17]),
        # the point nearest to pi
        ("minimum", lambda lrs: lrs[6 + 33] / 10),
    ],
)
def test_gaps(rule: str, expected: Any, broken: float) -> None:
    """Case 13: losses at both ends that are not finite do not change the suggestion."""
    lrs = np.geomspace(1e-8, 1, 60)
    losses = np.r_[np.zeros(6), np.cos(5 / 53 * np.arange(54))]
    losses[[0, 1, 3]] = broken
    losses[[45, 48, 50]] = broken
    found = suggest(rule, lrs, unsmoothed(losses), 60).lr
    assert found == pytest.approx(expected(lrs))


def test_a_last_loss_that_is_not_finite() -> None:
    """Case 14: a last loss that is not finite changes no suggestion."""
    model, optimizer = warm(Adam)
    curve = range_test(model, optimizer, loader(), _LOSS)
    assert list(curve.suggestions) == list(RULES)
    assert None not in curve.suggestions.values()
    for broken in (math.nan, math.inf, -math.inf):
        losses = np.r_[curve.losses[:-1], broken]
        broken_curve = replace(curve, losses=losses)
        assert broken_curve.suggestions == pytest.approx(curve.suggestions, rel=0.1)


@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_several_calls(isolation: Any) -> None:
    """Case 15: three tests of a module give the same rates and the same losses."""
    module = Module()
    optimizer, batches = module.configure_optimizers(), loader()
    first, *others = [
        _tested(module, optimizer, batches, isolation=isolation) for _ in range(3)
    ]
    assert len(first) > 10
    for other in others:
        assert other.lrs.tolist() == first.lrs.tolist()
        assert other.losses.tolist() == first.losses.tolist()


def test_accumulation_without_a_stop() -> None:
    """Case 16: 100 steps of 2 batches each give 100 points, and use 200 batches."""
    indices: list[int] = []

    class Counted(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            indices.append(batch_idx)
            return super().training_step(batch, batch_idx)

    module = Counted()
    optimizer = module.configure_optimizers()
    curve = _tested(module, optimizer, loader(), accumulate=2, stop_div=False)
    assert len(curve.lrs) == len(curve.losses) == 100
    assert indices == [number % len(loader()) for number in range(200)]


@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_an_error_at_the_second_step(
    isolation: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case 17: an error at the second step leaves no file and changes no state."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    class Failing(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if batch_idx == 1:
                raise ZeroDivisionError
            return super().training_step(batch, batch_idx)

    module, batches = Failing(), loader()
    optimizer = Adam(module.parameters())
    before = state(module, optimizer, batches)
    with pytest.raises(ZeroDivisionError):
        _tested(module, optimizer, batches, isolation=isolation)
    assert state(module, optimizer, batches) == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:`training_step` returned `None`:UserWarning")
def test_steps_without_a_loss() -> None:
    """Case 18: batches without a loss use no rate, and the suggestion is finite."""
    indices: list[int] = []

    class Skipping(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            indices.append(batch_idx)
            if len(indices) in (6, 13, 18):
                return None
            return super().training_step(batch, batch_idx)

    module = Skipping()
    optimizer = Adam(module.parameters())
    curve = _tested(
        *(module, optimizer, loader()),
        start_lr=1e-4,
        end_lr=0.1,
        num_it=20,
        stop_div=False,
    )
    assert len(indices) == 23
    np.testing.assert_allclose(curve.lrs, np.geomspace(1e-4, 0.1, 20))
    assert np.isfinite(curve.losses).all()
    suggestion = curve.suggest()
    assert suggestion is not None
    assert 1e-4 <= suggestion <= 0.1


@pytest.mark.filterwarnings("ignore")  # about the devices of the machine
@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_a_trainer(isolation: Any, tmp_path: Path) -> None:
    """Case 19: the attributes of a module and of its trainer are as before."""
    module, batches = Module(), loader()
    trainer = lightning_trainer(tmp_path)
    trainer.fit(module, batches)
    optimizer = module.configure_optimizers()

    def attributes() -> Any:
        names = (
            *("accumulate_grad_batches", "current_epoch", "global_step"),
            *("max_steps", "max_epochs", "should_stop", "train_dataloader"),
        )
        values = [getattr(trainer, name) for name in names]
        lists = [list(getattr(trainer, name)) for name in ("callbacks", "optimizers")]
        return values, lists, dict(vars(trainer)), trainer.fit_loop.state_dict()

    before, state_before = attributes(), state(module, optimizer, batches)
    curve = _tested(module, optimizer, batches, num_it=5, isolation=isolation)
    assert len(curve) == 5
    assert attributes() == before
    assert trainer.global_step == len(batches)
    assert module.trainer is trainer
    assert state(module, optimizer, batches) == state_before


def test_the_rate_without_a_suggestion() -> None:
    """Case 19: without a suggestion, the rate stays, and `apply` raises an error."""
    module = Module()
    optimizer = module.configure_optimizers()
    made = LRWidget.from_lightning(module, loader(), optimizer=optimizer, num_it=2)
    with closing(made) as widget:
        widget.run()
        assert len(widget.wait()) == 2
        assert set(widget.suggestions.values()) == {None}
        assert widget.value is None
        with pytest.raises(RuntimeError, match="choose a rate first"):
            widget.apply()
    assert optimizer.param_groups[0]["lr"] == 0.123
    assert module.learning_rate == 0.123


@pytest.mark.parametrize("num_it", [5, 20, 100])
def test_the_ladder_is_even(num_it: int) -> None:
    """Case 20: the rates in use have equal ratios, or equal differences if linear."""
    used: list[float] = []
    module = Module()
    optimizer = module.configure_optimizers()
    optimizer.register_step_pre_hook(
        lambda optimizer, *_: used.append(optimizer.param_groups[0]["lr"])
    )
    settings: Any = {"start_lr": 1e-8, "end_lr": 1, "num_it": num_it, "stop_div": False}
    _tested(module, optimizer, loader(), **settings)
    ratios = np.divide(used[1:], used[:-1])
    np.testing.assert_allclose(ratios, 1e8 ** (1 / (num_it - 1)), rtol=1e-9)
    used.clear()
    _tested(module, optimizer, loader(), step_mode="linear", **settings)
    np.testing.assert_allclose(np.diff(used), (1 - 1e-8) / (num_it - 1), rtol=1e-9)
