"""Trainings by other frameworks that write nothing and say nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lightning

if TYPE_CHECKING:
    from pathlib import Path


def lightning_trainer(
    folder: Path,
    max_epochs: int = 1,
    kind: type[lightning.Trainer] = lightning.Trainer,
    **settings: Any,
) -> lightning.Trainer:
    return kind(
        **settings,
        max_epochs=max_epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
