"""The parts of a training in a Lightning module."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from lrwidget.integrations import Parts, check_kind

if TYPE_CHECKING:
    from torch.optim import Optimizer

_RATES = ("lr", "learning_rate")


def parts_of(module: Any, data: Any, optimizer: Optimizer | None) -> Parts:  # noqa: ANN401 (Lightning is not imported)
    """
    Return the parts of a training in a ``LightningModule``.

    Its ``training_step`` gives the loss. The loader is ``data``, or that of the data
    module or of the module itself, whose ``prepare_data`` and ``setup`` are called. The
    only optimizer of ``configure_optimizers`` is used if none is given.
    """
    example = "one, with configure_optimizers and training_step"
    check_kind("module", module, "LightningModule", example)
    write_rate = partial(_write_rate, module)
    if optimizer is None:
        optimizer = _only_optimizer(module.configure_optimizers())
    if data is None or hasattr(data, "train_dataloader"):
        source = module if data is None else data
        source.prepare_data()
        source.setup("fit")
        data = source.train_dataloader()
    return Parts(module, optimizer, data, {}, write_rate)


def _only_optimizer(configured: Any) -> Optimizer:  # noqa: ANN401 (of many forms)
    """Return the optimizer in what ``configure_optimizers`` returned."""
    found = configured
    if isinstance(found, tuple) and found and isinstance(found[0], list | tuple):
        found = found[0]  # the second are the schedulers
    if not isinstance(found, list | tuple):
        found = [found]
    optimizers = [x["optimizer"] if isinstance(x, dict) else x for x in found]
    if len(optimizers) == 1 and optimizers[0] is not None:
        only: Optimizer = optimizers[0]
        return only
    msg = (
        f"configure_optimizers returned {configured!r}, but a range test trains with "
        "one optimizer; pass it as optimizer=..."
    )
    raise ValueError(msg)


def _write_rate(module: Any, lr: float) -> str:  # noqa: ANN401 (as above)
    """Write a rate to the attributes to which Lightning's own finder writes it."""
    for name in _RATES:
        own, hyper = hasattr(module, name), name in module.hparams
        if own:
            setattr(module, name, lr)
        if hyper:
            module.hparams[name] = lr
        if own or hyper:
            return f"module.{name}" if own else f"module.hparams.{name}"
    msg = (
        "the module has no lr or learning_rate, nor in its hparams, to write to; "
        "use widget.value in its configure_optimizers"
    )
    raise RuntimeError(msg)
