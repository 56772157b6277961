# ruff: noqa: PLC0415 (slow to import, and each may be missing)
"""
Functions that run other learning-rate finders on the raw losses of a complete sweep.

Each finder trains a model whose loss at each step is the given loss. It uses its
default settings and the same number of steps. The rates must grow by equal ratios. The
errors of a finder reach the caller.
"""

from __future__ import annotations

import importlib
import tempfile
import warnings
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt
    import torch
    from torch.utils.data import DataLoader

    from lrwidget.curve.arrays import FloatArray


def _echo(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the target as the loss, with a gradient of 0 for the model."""
    return targets.sum() + 0 * outputs.sum()


def _batches(losses: npt.NDArray[np.floating]) -> DataLoader[tuple[torch.Tensor, ...]]:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    targets = torch.tensor(losses)[:, None]
    return DataLoader(TensorDataset(torch.zeros(len(losses), 1), targets))


def _model() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    from torch import nn, optim

    model = nn.Linear(1, 1)
    return model, optim.SGD(model.parameters(), lr=1.0)


@contextmanager
def _ignoring(*messages: str) -> Iterator[None]:
    with warnings.catch_warnings():
        for message in messages:
            warnings.filterwarnings("ignore", message)
        yield


def _after(lrs: FloatArray) -> float:
    """Return the rate that would follow the last one."""
    return float(lrs[-1] ** 2 / lrs[-2])


def fastai(lrs: FloatArray, losses: FloatArray, *, rule: str) -> float:
    """
    Return the suggestion of ``Learner.lr_find``, with the given rates as its schedule.

    Its own rates would differ from them by rounding, and more in single precision.
    """
    from fastai.callback import schedule
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner
    from fastai.optimizer import SGD

    def given(*_: float) -> Callable[[float], float]:
        return lambda done: lrs[round(done * len(lrs))].item()

    batches = _batches(losses.astype(np.float32))
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(schedule, "SchedExp", given),
        _ignoring(
            "numpy.core is deprecated",  # while fastai loads the model again
            "__array_wrap__ must accept",  # slide gives tensors to numpy
        ),
    ):
        loaders = DataLoaders(batches, batches, device="cpu")
        learner = Learner(loaders, _model()[0], _echo, SGD, path=folder)
        with learner.no_bar():
            (suggestion,) = learner.lr_find(
                num_it=len(lrs),
                suggest_funcs=getattr(schedule, rule),
                show_plot=False,
            )
    return float(suggestion)


def torch_lr_finder(lrs: FloatArray, losses: FloatArray) -> float:
    """Return the suggestion of ``LRFinder.plot`` after the finder's own sweep."""
    from matplotlib.figure import Figure
    from torch_lr_finder import LRFinder

    finder = LRFinder(*_model(), _echo)
    start_lr, end_lr = lrs[[0, -1]].tolist()
    with redirect_stdout(StringIO()):  # hides its advice
        finder.range_test(
            _batches(losses), start_lr=start_lr, end_lr=end_lr, num_iter=len(lrs)
        )
        _, suggestion = finder.plot(ax=Figure().subplots())
    return float(suggestion)


def ignite(lrs: FloatArray, losses: FloatArray) -> float:
    """Return the suggestion of ``FastaiLRFinder``, whose sweep ends one rate later."""
    with _ignoring("`torch.jit.interface` is deprecated"):  # an import of Ignite
        from ignite.engine import create_supervised_trainer
        from ignite.handlers import FastaiLRFinder

    model, optimizer = _model()
    trainer = create_supervised_trainer(model, optimizer, _echo)
    finder = FastaiLRFinder()
    with (
        _ignoring("Run completed without loss diverging"),  # as many curves do
        finder.attach(
            trainer,
            {"model": model, "optimizer": optimizer},
            start_lr=float(lrs[0]),
            end_lr=_after(lrs),
        ),
    ):
        trainer.run(_batches(losses))
    return float(finder.lr_suggestion())


def lightning(lrs: FloatArray, losses: FloatArray, *, package: str) -> float | None:
    """Return the suggestion of ``Tuner.lr_find``, with the given rates for its own."""
    from tests.integrations.quiet import lightning_trainer

    pl: Any = importlib.import_module(package)
    tuner: Any = importlib.import_module(f"{package}.tuner")

    class Module(pl.LightningModule):  # type: ignore[misc]  # of either package
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.own = _model()

        def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
            return _echo(self.layer(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return self.own

    with (
        tempfile.TemporaryDirectory() as folder,
        _ignoring(
            ".*LeafSpec.* is deprecated",  # of torch, in both versions
            ".*does not have many workers",  # on a machine with many cores
            "GPU available but not used",
        ),
    ):
        trainer = lightning_trainer(Path(folder), kind=pl.Trainer)
        finder = tuner.Tuner(trainer).lr_find(
            Module(), _batches(losses), num_training=len(lrs), update_attr=False
        )
    finder.results["lr"] = lrs[: len(finder.results["loss"])].tolist()
    suggestion: float | None = finder.suggestion()
    return suggestion
