"""The steps of a Hugging Face Trainer's own training, and those of a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast, TrainerCallback

from lrwidget import LRWidget
from lrwidget.integrations.transformers import parts_of
from tests.engine.training_parts import state

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

STEPS = 20


def arguments(folder: Path, **more: Any) -> dict[str, Any]:
    """Return training arguments that write and log nothing."""
    return {
        "output_dir": str(folder),
        "report_to": "none",
        "use_cpu": True,
        "dataloader_pin_memory": False,
        "disable_tqdm": True,
        "save_strategy": "no",
        "logging_strategy": "no",
        "max_steps": STEPS,
        "per_device_train_batch_size": 4,
        **more,
    }


def curve_of(trainer: Any, **options: Any) -> Any:
    """Return the curve of a test of a trainer."""
    options = {"num_it": STEPS, "start_lr": 1e-5, "end_lr": 1e-2, **options}
    widget = LRWidget.from_trainer(trainer, **options)
    try:
        widget.run()
        return widget.wait(120)
    finally:
        widget.close()


class _Rates(TrainerCallback):
    """Sets the rate of each optimizer step, as a test does."""

    def __init__(self, rates: Sequence[float]) -> None:
        self.rates = list(rates)

    def on_step_begin(self, args: Any, state: Any, control: Any, **parts: Any) -> None:  # noqa: ARG002 (their names)
        for group in parts["optimizer"].param_groups:
            group["lr"] = self.rates[state.global_step]


def trained(trainer: Any, rates: Sequence[float]) -> list[float]:
    """Return the losses of the training of a trainer at some rates."""
    trainer.add_callback(_Rates(rates))
    losses = [0.0] * len(rates)
    step = trainer.training_step

    def noting(*args: Any) -> Any:  # since some versions log rounded losses
        loss = step(*args)
        losses[trainer.state.global_step] += loss.item()
        return loss

    trainer.training_step = noting
    torch.manual_seed(3)
    trainer.train()
    del trainer.training_step
    return losses


def is_exact(make: Callable[[], Any], **options: Any) -> Any:
    """Assert that a test is the training of a trainer; return the trainer tested."""
    trainer = make()
    torch.manual_seed(3)  # as in `trained`
    model, attributes = state(trainer.model), dict(vars(trainer))
    curve = curve_of(trainer, **options)
    assert len(curve) == STEPS
    assert state(trainer.model) == model
    assert vars(trainer) == attributes
    ours = parts_of(trainer).settings["training_step"]
    # the callback is that of a training before
    named = {"In the test, the callback _Rates is not called."}
    assert set(ours.notices) <= named
    losses = trained(make(), curve.lrs)
    np.testing.assert_allclose(curve.losses, losses, rtol=0, atol=1e-6)
    return trainer


def tokenizer(folder: Path) -> Any:
    """Return a tokenizer of the words ``w0`` to ``w39``, stored in a folder."""
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "eos_token": "[EOS]"}
    words = {name: number for number, name in enumerate(special.values())}
    words |= {f"w{number}": number + 3 for number in range(40)}
    model = Tokenizer(WordLevel(words, unk_token="[UNK]"))  # noqa: S106 (of a word)
    model.pre_tokenizer = Whitespace()
    kind: Any = PreTrainedTokenizerFast  # it has no types
    made = kind(tokenizer_object=model, **special)
    made.save_pretrained(folder)
    return made


def text(number: int, words: int) -> str:
    """Return a text of some words; a number has one text of each length."""
    return " ".join(f"w{(number * 7 + k * k) % 40}" for k in range(words))
