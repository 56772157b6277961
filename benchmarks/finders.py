# ruff: noqa: PLC0415 (slow to import)
"""
A bare training loop, and the learning-rate finders, each with the same steps.

The other finders run with their default settings, except that they print nothing.
"""

from __future__ import annotations

import tempfile
import warnings
from contextlib import contextmanager
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import nn

from lrwidget import range_test
from lrwidget.curve.schedule import learning_rates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor
    from torch.optim import Optimizer
    from torch.utils.data import DataLoader

    from lrwidget import LRCurve

# With these rates no loss diverges, so that all finders have the same steps.
_START, _END = 1e-7, 1e-2


class Training(NamedTuple):
    """The model, optimizer, loader and loss function that each finder trains with."""

    model: nn.Module
    optimizer: Optimizer
    loader: DataLoader[Any]
    loss_fn: Callable[[Tensor, Tensor], Tensor]

    def noting(self, note: Callable[[], object]) -> Training:
        """Return the same training, with a function that is called before each loss."""
        return self._replace(loss_fn=_Noted(self.loss_fn, note))


class _Noted(nn.Module):
    """A loss function that calls another function first; a module, as most are."""

    def __init__(
        self, loss_fn: Callable[[Tensor, Tensor], Tensor], note: Callable[[], object]
    ) -> None:
        super().__init__()
        self._note = note
        self._loss_fn = loss_fn

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        self._note()
        return self._loss_fn(outputs, targets)


@contextmanager
def _quietly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def bare(training: Training, steps: int) -> list[float]:
    """Train by a bare loop with another rate at each step, and return the losses."""
    return trained(training, learning_rates(_START, _END, steps, "exp").tolist())


def trained(training: Training, rates: list[float]) -> list[float]:
    """Train by a bare loop at these rates, and return the losses."""
    model, optimizer, loader, loss_fn = training
    batches = chain.from_iterable(repeat(loader))
    losses = []
    model.train()
    for lr, (inputs, targets) in zip(rates, batches, strict=False):
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.zero_grad()
        loss = loss_fn(model(inputs), targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def lrwidget(training: Training, steps: int) -> LRCurve:
    """Run lrwidget's test without a notebook, with its stop rule."""
    curve = range_test(*training, start_lr=_START, end_lr=_END, num_it=steps)
    if len(curve) < steps:
        msg = f"the test stopped after {len(curve)} of {steps} steps"
        raise RuntimeError(msg)
    return curve


def torch_lr_finder(training: Training, steps: int) -> None:
    """Run torch-lr-finder's test, and reset the model and the optimizer."""
    from torch_lr_finder import LRFinder

    model, optimizer, loader, loss_fn = training
    finder = LRFinder(model, optimizer, loss_fn, device="cpu")
    optimizer.param_groups[0]["lr"] = _START
    finder.range_test(loader, end_lr=_END, num_iter=steps, diverge_th=1e9)
    finder.reset()


def ignite(training: Training, steps: int) -> None:
    """Run Ignite's test with its usual trainer."""
    with _quietly():
        from ignite.engine import create_supervised_trainer
        from ignite.handlers import FastaiLRFinder

        model, optimizer, loader, loss_fn = training
        trainer = create_supervised_trainer(model, optimizer, loss_fn)
        finder = FastaiLRFinder()
        to_save = {"model": model, "optimizer": optimizer}
        with finder.attach(
            trainer,
            to_save,
            num_iter=steps,
            start_lr=_START,
            end_lr=_END,
            diverge_th=1e9,
        ) as attached:
            attached.run(loader, max_epochs=-(-steps // len(loader)))


def lightning(training: Training, steps: int) -> None:
    """Run Lightning's test with a trainer that writes nothing."""
    import lightning as pl
    from lightning.pytorch.tuner.tuning import Tuner

    from tests.integrations.quiet import lightning_trainer

    model, optimizer, loader, loss_fn = training

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model, self.lr = model, 1e-3

        def training_step(self, batch: list[Tensor], _: int) -> Tensor:
            return loss_fn(self.model(batch[0]), batch[1])

        def configure_optimizers(self) -> Optimizer:
            return optimizer

    with tempfile.TemporaryDirectory() as folder, _quietly():
        Tuner(lightning_trainer(Path(folder), steps)).lr_find(
            Module(),
            loader,
            min_lr=_START,
            max_lr=_END,
            num_training=steps,
            early_stop_threshold=None,
            update_attr=False,
        )


def fastai(training: Training, steps: int) -> None:
    """Run fastai's test with the given optimizer, without a progress bar and a plot."""
    with _quietly():
        from fastai.callback import progress, schedule  # noqa: F401 (add no_bar, lr_find)
        from fastai.data.core import DataLoaders
        from fastai.learner import Learner
        from fastai.optimizer import OptimWrapper

    model, optimizer, loader, loss_fn = training

    def opt_func(*_: object, **__: object) -> Any:  # noqa: ANN401 (fastai's)
        return OptimWrapper(opt=optimizer)

    with tempfile.TemporaryDirectory() as folder, _quietly():
        loaders = DataLoaders(loader, loader, device="cpu")
        learner = Learner(loaders, model, loss_fn, opt_func, path=folder)
        with learner.no_bar():
            learner.lr_find(
                start_lr=_START,
                end_lr=_END,
                num_it=steps,
                stop_div=False,
                suggest_funcs=(),
                show_plot=False,
            )
