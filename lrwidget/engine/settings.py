"""The keyword arguments of a range test, for those that pass them on."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    import torch
    from torch.amp import GradScaler

    from lrwidget.curve.schedule import StepMode
    from lrwidget.engine.isolation.components import Isolation
    from lrwidget.engine.losses import TrainingStep

F = TypeVar("F", bound="Callable[..., Any]")


class Settings(TypedDict, total=False):
    """The keyword arguments of `RangeTest`, for those that pass them on."""

    start_lr: float
    end_lr: float
    num_it: int
    step_mode: StepMode
    stop_div: bool
    training_step: TrainingStep | None
    val_loader: Iterable[Any] | None
    accumulate: int
    steps_per_lr: int
    autocast: torch.dtype | None
    grad_scaler: GradScaler | None
    clip_grad_norm: float | None
    seed: int | None
    isolation: Isolation
    device: torch.device | str | None
    record: str | os.PathLike[str] | None


def with_settings_of(taking: Callable[..., Any]) -> Callable[[F], F]:
    """Show the keywords of one callable in the signature of what passes them on."""
    every = inspect.signature(taking).parameters.values()
    settings = [p for p in every if p.kind is p.KEYWORD_ONLY]

    def shown(passing_on: F) -> F:
        signature = inspect.signature(passing_on)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        whole = signature.replace(parameters=[*own, *settings])
        passing_on.__signature__ = whole  # type: ignore[attr-defined]  # any function's
        return passing_on

    return shown
