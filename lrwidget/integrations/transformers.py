"""The parts of a training in a Hugging Face Trainer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from lrwidget.engine.optimizers import apply_rate
from lrwidget.integrations import Parts, aside, check_kind

if TYPE_CHECKING:
    from torch import nn


def parts_of(trainer: Any) -> Parts:  # noqa: ANN401 (transformers is not imported)
    """
    Return the parts of a training in a Hugging Face ``Trainer``.

    The parts are its model, its optimizer or the one that it would make, its training
    loader, its ``compute_loss``, and its accumulation, clipping and precision.
    """
    check_kind("trainer", trainer, "Trainer", "that of transformers, or one like it")
    # To make an optimizer and a loader changes a trainer and its accelerator.
    twin = aside(trainer)
    twin.accelerator = aside(trainer.accelerator)
    twin.accelerator._dataloaders = []  # noqa: SLF001 (the list of the loaders that it has prepared)

    def training_step(model: nn.Module, batch: Any) -> Any:  # noqa: ANN401 (any batch)
        inputs = twin._prepare_inputs(batch)  # noqa: SLF001 (subclasses override it)
        with twin.compute_loss_context_manager():
            return twin.compute_loss(model, inputs)

    def write_rate(lr: float) -> str:
        trainer.args.learning_rate = lr
        if trainer.optimizer is None:
            return "trainer.args.learning_rate"
        apply_rate(trainer.optimizer, lr)
        return "trainer.args.learning_rate and trainer.optimizer"

    optimizer = twin.create_optimizer()  # or the existing one
    dataloader = twin.get_train_dataloader()
    settings = {"training_step": training_step, **_settings(trainer.args)}
    return Parts(trainer.model, optimizer, dataloader, settings, write_rate)


def _settings(args: Any) -> dict[str, Any]:  # noqa: ANN401 (as above)
    settings = {
        "accumulate": args.gradient_accumulation_steps,
        "clip_grad_norm": args.max_grad_norm or None,
    }
    if args.bf16:
        settings["autocast"] = torch.bfloat16
    elif args.fp16:
        settings["autocast"] = torch.float16
        settings["grad_scaler"] = torch.amp.GradScaler(args.device.type)
    return settings
