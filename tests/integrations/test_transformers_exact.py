"""Tests of a Trainer's loss: it is that of its own training at the same rates."""

from __future__ import annotations

import copy
from collections import Counter, deque
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.utils.data import IterableDataset
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from lrwidget import LRWidget
from lrwidget.config import TestConfig
from lrwidget.engine.framework import Trained
from lrwidget.engine.stepping import Stepper
from lrwidget.integrations.transformers import parts_of
from tests.integrations.hugging_face import (
    STEPS,
    arguments,
    curve_of,
    is_exact,
    trained,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_CHECKPOINTING = next(
    name
    for name in ("activation_checkpointing", "gradient_checkpointing")
    if hasattr(TrainingArguments, name)
)


def _rows() -> list[dict[str, torch.Tensor]]:
    """Return the words of 43 texts, of which some are no targets."""
    generator = torch.Generator().manual_seed(1)
    rows = []
    for number in range(43):
        words = torch.randint(1, 50, (8,), generator=generator)
        labels = words.where(torch.arange(8) >= number % 6, -100)
        rows.append({"input_ids": words, "labels": labels})
    return rows


class _Stream(IterableDataset[dict[str, torch.Tensor]]):
    """Rows whose length raises an error, as that of some data sets of Ray does."""

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        return iter(_rows())

    def __len__(self) -> int:
        raise AttributeError


def _trainer(folder: Path, kind: type[Trainer] = Trainer, **more: Any) -> Trainer:
    torch.manual_seed(1)
    config = GPT2Config(
        vocab_size=50, n_positions=16, n_embd=16, n_layer=1, n_head=2,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    function = more.pop("compute_loss_func", None)
    data = more.pop("train_dataset", _rows)()
    return kind(
        GPT2LMHeadModel(config),
        TrainingArguments(**arguments(folder, **more)),
        train_dataset=data,
        compute_loss_func=function,
    )


def _squared(outputs: Any, labels: Any, num_items_in_batch: Any) -> Any:
    return (outputs["logits"] ** 2).sum() / num_items_in_batch + labels.sum() * 0


@pytest.mark.parametrize(
    "isolation", ["copy", pytest.param("restore", marks=pytest.mark.exhaustive)]
)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"gradient_accumulation_steps": 3},
        {"max_grad_norm": 0.0, "label_smoothing_factor": 0.1},
        {"neftune_noise_alpha": 5.0, "max_grad_norm": 0.1},
        {_CHECKPOINTING: True},
        {"bf16": True, "label_smoothing_factor": 0.1},
        {"compute_loss_func": _squared, "gradient_accumulation_steps": 2},
        {"train_dataset": _Stream},
    ],
    ids=lambda settings: "-".join(settings) or "plain",
)
def test_the_losses_are_those_of_the_training(
    tmp_path: Path, settings: dict[str, Any], isolation: Any
) -> None:
    is_exact(lambda: _trainer(tmp_path, **settings), isolation=isolation)


@pytest.mark.parametrize("settings", [{}, {"bf16": True}, {"neftune_noise_alpha": 5.0}])
def test_a_test_after_a_training(tmp_path: Path, settings: dict[str, Any]) -> None:
    def make() -> Trainer:
        trainer = _trainer(tmp_path, **settings)
        trained(trainer, [1e-3] * STEPS)
        return trainer

    is_exact(make)


class _Meter:
    def __init__(self) -> None:
        self.count = 0


class _Noting(Trainer):
    """A trainer that notes the state in which each of its steps is done."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.seen: list[Any] = []
        self.latest: deque[Any] = deque(maxlen=2)
        self.counts: Counter[str] = Counter()
        self.nested: dict[str, list[int]] = {"steps": []}
        self.meter = _Meter()
        self.teacher: Any = copy.deepcopy(self.model)
        self.noise = torch.Generator().manual_seed(4)

    def training_step(self, model: Any, inputs: Any, *more: Any) -> Any:
        state, accumulated = self.state, self.current_gradient_accumulation_steps
        now = (state.global_step, state.epoch, state.max_steps, accumulated)
        self.seen.append((*now, self.is_in_train, self.accelerator.sync_gradients))
        self.latest.append(now)
        self.counts["steps"] += 1
        self.nested["steps"].append(state.global_step)
        self.meter.count += 1
        assert self.model is model is self.model_wrapped
        loss = super().training_step(model, inputs, *more)
        with torch.no_grad():
            for old, new in zip(
                self.teacher.parameters(), model.parameters(), strict=True
            ):
                old.lerp_(new, 0.1)
        _SEEN.append((*self.seen[-1], torch.rand((), generator=self.noise).item()))
        return loss


_SEEN: list[Any] = []  # by all trainers


@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_the_own_training_step_of_a_trainer(tmp_path: Path, isolation: Any) -> None:
    def make() -> Any:
        return _trainer(tmp_path, _Noting, gradient_accumulation_steps=3)

    trainer = make()
    before = [value.clone() for value in trainer.teacher.parameters()]
    torch.manual_seed(3)
    _SEEN.clear()
    curve = curve_of(trainer, isolation=isolation)
    assert trainer.seen == []
    assert list(trainer.latest) == []
    assert trainer.counts == {}
    assert trainer.nested == {"steps": []}
    assert trainer.noise.initial_seed() == 4
    assert trainer.meter.count == 0
    for value, old in zip(trainer.teacher.parameters(), before, strict=True):
        assert torch.equal(value, old)
    seen = _SEEN.copy()
    _SEEN.clear()
    trained(make(), curve.lrs)
    assert seen == _SEEN


def test_the_modes_of_the_training(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path)
    assert isinstance(trainer.model, nn.Module)
    seen: list[bool] = []
    part = trainer.model.get_submodule("transformer.h.0").eval()
    part.register_forward_hook(lambda part, *_: seen.append(part.training))
    curve_of(trainer, num_it=3)
    assert seen == [True] * 3
    assert not part.training


def test_the_loss_of_a_validation_is_that_of_evaluate(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path, bf16=True, label_smoothing_factor=0.1)
    held_out = trainer.get_eval_dataloader(trainer.train_dataset)
    curve = curve_of(trainer, val_loader=held_out, num_it=2, start_lr=1e-30)
    expected = trainer.evaluate(trainer.train_dataset)["eval_loss"]
    assert curve.losses[0] == pytest.approx(expected, rel=1e-6)


def test_a_callback_that_acts_on_steps_is_named(tmp_path: Path) -> None:
    class Decaying(TrainerCallback):
        def on_step_end(self, *_args: Any, **_parts: Any) -> None: ...

    class Reporting(TrainerCallback):
        def on_log(self, *_args: Any, **_parts: Any) -> None: ...

    trainer = _trainer(tmp_path)
    step = parts_of(trainer).settings["training_step"]
    assert step.notices == []
    trainer.add_callback(Reporting)
    trainer.add_callback(Decaying)
    assert step.notices == ["In the test, the callback Decaying is not called."]


@pytest.mark.parametrize("method", ["_inner_training_loop", "_run_epoch"])
def test_a_trainer_with_its_own_loop_is_refused(tmp_path: Path, method: str) -> None:
    kind = type("Own", (Trainer,), {method: lambda *_args, **_options: None})
    trainer = _trainer(tmp_path, kind)
    with pytest.raises(TypeError, match=f"trainer=<Own> has its own {method}"):
        LRWidget.from_trainer(trainer)


def test_another_device_than_that_of_the_trainer(tmp_path: Path) -> None:
    parts = parts_of(_trainer(tmp_path))
    there = Trained(
        model=parts.model,
        optimizer=parts.optimizer,
        grad_scaler=None,
        device=torch.device("cuda"),
        precision=nullcontext,
        stepper=Stepper(parts.optimizer),
        config=TestConfig(),
    )
    with pytest.raises(ValueError, match="device='cuda' is not 'cpu'"):
        parts.settings["training_step"].start(there)
