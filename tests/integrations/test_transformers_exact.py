"""Tests of a Trainer's loss: it is that of its own training at the same rates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

from tests.integrations.hugging_face import arguments, is_exact

if TYPE_CHECKING:
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


def _trainer(folder: Path, kind: type[Trainer] = Trainer, **more: Any) -> Trainer:
    torch.manual_seed(1)
    config = GPT2Config(
        vocab_size=50, n_positions=16, n_embd=16, n_layer=1, n_head=2,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    function = more.pop("compute_loss_func", None)
    return kind(
        GPT2LMHeadModel(config),
        TrainingArguments(**arguments(folder, **more)),
        train_dataset=_rows(),
        compute_loss_func=function,
    )


def _squared(outputs: Any, labels: Any, num_items_in_batch: Any) -> Any:
    return (outputs["logits"] ** 2).sum() / num_items_in_batch + labels.sum() * 0


@pytest.mark.parametrize("isolation", ["copy", "restore"])
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
    ],
    ids=lambda settings: "-".join(settings) or "plain",
)
def test_the_losses_are_those_of_the_training(
    tmp_path: Path, settings: dict[str, Any], isolation: Any
) -> None:
    is_exact(lambda: _trainer(tmp_path, **settings), isolation=isolation)
