"""Models, optimizers and loaders for the tests of the widget."""

from __future__ import annotations

import html
import re
import threading
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.optim import SGD

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from lrwidget import LRWidget
    from lrwidget.ui.layout import Layout

SECONDS = 60
BATCHES = [(torch.ones(4, 8), torch.zeros(4, 1))]


class Gate:
    """A loader that gives only as many batches as a test lets pass."""

    def __init__(self) -> None:
        self._asked = threading.Semaphore(0)
        self._passes = threading.Semaphore(0)

    def let(self, count: int) -> None:
        self._passes.release(count)

    def await_asked(self, count: int) -> None:
        """Wait until `count` more batches are asked for; all before them are done."""
        for _ in range(count):
            assert self._asked.acquire(timeout=SECONDS)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        while True:
            self._asked.release()
            assert self._passes.acquire(timeout=SECONDS)
            yield torch.ones(4, 8), torch.zeros(4, 1)


def parts() -> tuple[nn.Module, torch.optim.Optimizer]:
    """Return a model and its optimizer."""
    model = nn.Linear(8, 1)
    return model, SGD(model.parameters(), lr=0.1)


def two_groups() -> tuple[nn.Module, torch.optim.Optimizer]:
    """Return two layers and an optimizer that gives the last one ten times the rate."""
    model = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 1))
    groups = [
        {"params": model[0].parameters(), "lr": 0.01},
        {"params": model[1].parameters(), "lr": 0.1},
    ]
    return model, SGD(groups, momentum=0.9)


def optimizer_of(widget: LRWidget) -> torch.optim.Optimizer:
    """Return the optimizer of a widget that runs its tests in this process."""
    optimizer: torch.optim.Optimizer = arguments_of(widget)["optimizer"]
    return optimizer


def arguments_of(widget: LRWidget) -> Mapping[str, Any]:
    """Return the arguments of a widget's tests."""
    return widget._controller._backend.arguments


def display_of(widget: LRWidget) -> Layout:
    """Return the layout that displays a widget."""
    return widget._display


def sentence_of(widget: LRWidget) -> str:
    """Return the status in the display, without its marks of HTML."""
    return html.unescape(re.sub("<.*?>", "", display_of(widget).answer.status.value))
