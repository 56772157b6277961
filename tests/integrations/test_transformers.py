from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainingArguments,
)

from lrwidget import LRWidget, range_test, verify
from tests.engine.training_parts import state
from tests.integrations.quiet import lightning_trainer
from tests.widget_parts import display_of

if TYPE_CHECKING:
    from pathlib import Path

_CONFIG = BertConfig(  # whose labels are two, if nothing is said
    vocab_size=40,
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=16,
)


def _samples() -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    words = torch.randint(40, (48, 6), generator=generator)
    return [{"input_ids": row, "labels": row[0] % 2} for row in words]


def _trainer(folder: Path, **arguments: Any) -> Trainer:
    torch.manual_seed(1)
    arguments = {"per_device_train_batch_size": 8, "use_cpu": True, **arguments}
    return Trainer(
        BertForSequenceClassification(_CONFIG),
        TrainingArguments(str(folder), report_to="none", **arguments),
        train_dataset=_samples(),
    )


def _curve(trainer: Trainer, **options: Any) -> Any:
    widget = LRWidget.from_trainer(trainer, num_it=15, end_lr=0.1, **options)
    widget.run()
    curve = widget.wait()
    widget.close()
    return curve


@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_the_trainer_stays_as_it_is(tmp_path: Path, isolation: Any) -> None:
    trainer = _trainer(tmp_path)
    accelerator = trainer.accelerator
    before = state(trainer.model), dict(vars(trainer)), dict(vars(accelerator))
    prepared = list(accelerator._dataloaders)
    _curve(trainer, isolation=isolation)
    assert state(trainer.model) == before[0]
    assert (vars(trainer), vars(accelerator)) == before[1:]
    assert accelerator._dataloaders == prepared
    assert not accelerator.gradient_state.in_dataloader
    assert trainer.optimizer is None


def test_training_goes_on_as_if_there_had_been_no_test(tmp_path: Path) -> None:
    def weights(*, tested: bool) -> list[torch.Tensor]:
        trainer = _trainer(
            *(tmp_path,),
            max_steps=4,
            save_strategy="no",
            disable_tqdm=True,
            gradient_accumulation_steps=2,
        )
        if tested:
            _curve(trainer)
        trainer.train()
        if tested:  # warm, and with the trainer's optimizer
            _curve(trainer)
        trainer.train()
        assert trainer.model is not None
        return [value.clone() for value in trainer.model.state_dict().values()]

    for tested, bare in zip(weights(tested=True), weights(tested=False), strict=True):
        assert torch.equal(tested, bare)


def test_a_seed_is_that_of_the_dropout(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path)
    first = _curve(trainer, seed=5).losses.tolist()
    torch.rand(())
    assert _curve(trainer, seed=5).losses.tolist() == first
    assert _curve(trainer, seed=6).losses.tolist() != first


def test_it_accumulates_clips_and_casts_as_the_trainer(tmp_path: Path) -> None:
    dtypes: list[torch.dtype] = []

    def note_dtype(*_args: Any) -> None:
        if torch.is_autocast_enabled("cpu"):
            dtypes.append(torch.get_autocast_dtype("cpu"))

    moved: list[float] = []

    def note(optimizer: Any, *_args: Any) -> None:
        grads = [p.grad for group in optimizer.param_groups for p in group["params"]]
        moved.append(torch.nn.utils.get_total_norm(grads).item())

    trainer = _trainer(
        tmp_path, gradient_accumulation_steps=2, max_grad_norm=0.01, bf16=True
    )
    assert trainer.model is not None
    trainer.model.get_submodule("bert.embeddings").register_forward_hook(note_dtype)
    trainer.create_optimizer().register_step_pre_hook(note)
    assert len(_curve(trainer)) == 15
    assert dtypes == [torch.bfloat16] * 30
    assert moved == pytest.approx([0.01] * 15, rel=1e-3)
    _curve(trainer, accumulate=3)
    assert len(dtypes) == 30 + 45


def test_the_loss_is_that_of_compute_loss(tmp_path: Path) -> None:
    class Doubling(Trainer):
        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            return 2 * super().compute_loss(*args, **kwargs)

    trainer = _trainer(tmp_path, max_grad_norm=0.0, label_smoothing_factor=0.1)
    plain = _curve(trainer)
    trainer.__class__ = Doubling
    assert _curve(trainer).losses[0] == pytest.approx(2 * plain.losses[0])
    without = _curve(_trainer(tmp_path))
    assert without.losses[0] != plain.losses[0]


def test_apply_writes_to_the_arguments_and_the_optimizer(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path)
    widget = LRWidget.from_trainer(trainer, value=0.02)
    display = display_of(widget)
    display.answer.apply.click()
    said = "Applied: trainer.args.learning_rate is now 2.0e-2."
    assert display.next_bar.said.value == said
    assert trainer.args.learning_rate == 0.02
    assert trainer.optimizer is None
    optimizer = trainer.create_optimizer()
    assert {group["lr"] for group in optimizer.param_groups} == {0.02}
    widget.value = 0.03
    display.answer.apply.click()
    places = "trainer.args.learning_rate and trainer.optimizer"
    assert display.next_bar.said.value == f"Applied: {places} is now 3.0e-2."
    assert {group["lr"] for group in optimizer.param_groups} == {0.03}
    widget.undo()
    assert trainer.args.learning_rate == 0.02
    assert {group["lr"] for group in optimizer.param_groups} == {0.02}
    widget.close()


def test_a_model_and_a_loader_need_no_trainer() -> None:
    torch.manual_seed(1)
    model = BertForSequenceClassification(_CONFIG)
    optimizer = torch.optim.AdamW(model.parameters())
    batches = torch.utils.data.DataLoader[Any](_samples(), 8)  # type: ignore[arg-type]  # any sequence
    before = state(model, optimizer)
    curve = range_test(model, optimizer, batches, num_it=15)
    assert np.isfinite(curve.losses).all()
    assert state(model, optimizer) == before


def test_bad_trainers(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="trainer=<Linear> must be a Trainer"):
        LRWidget.from_trainer(nn.Linear(2, 2))
    of_lightning = lightning_trainer(tmp_path)
    with pytest.raises(TypeError, match="trainer=<Trainer> is no transformers"):
        LRWidget.from_trainer(of_lightning)


@pytest.mark.parametrize(
    "arguments",
    [
        {"gradient_accumulation_steps": 4, "num_train_epochs": 2},
        {"max_steps": 5},
        {"num_train_epochs": 0.5},
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_a_verification_knows_the_steps_of_the_trainer(
    tmp_path: Path, arguments: Any
) -> None:
    trainer = _trainer(
        tmp_path, save_strategy="no", disable_tqdm=True, seed=1, **arguments
    )
    samples: Any = _samples()[:20]  # a list is a data set
    held_out = list(trainer.get_eval_dataloader(samples))
    before = state(trainer.model), dict(vars(trainer))
    found = verify.from_trainer(trainer, num_it=20, val_loader=held_out)
    assert (state(trainer.model), vars(trainer)) == before
    other = verify.from_trainer(trainer, curve=found.curve, total_steps=31)
    assert other.total_steps == 31
    with closing(LRWidget.from_trainer(trainer)) as widget:
        assert widget._controller.state.shown.total_steps == found.total_steps
    trainer.train()
    steps = trainer.state.global_step
    assert found.total_steps == steps
    assert [lane.num_it for lane in found.lanes] == [steps] * 5
    assert [x.val_samples.tolist() for x in found.lanes[:2]] == [[8, 8, 4]] * 2
