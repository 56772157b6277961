"""A training in a widget, with faults that a test can plan and remove."""

from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch._dynamo  # imported first, since its import creates a temporary folder
from ipywidgets.widgets import widget as ipywidgets_widget
from torch import nn
from torch.optim import SGD
from torch.utils.data import DataLoader, default_collate

from lrwidget import LRWidget
from tests.engine.training_parts import Net, data, state, warm
from tests.widget_parts import SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lrwidget import LRCurve

STEPS = 20
FAULT_AT = 7


class Faults:
    """Planned faults: each acts from its seventh turn on, until `mend` removes all."""

    def __init__(self) -> None:
        self._actions: dict[str, Callable[[], object]] = {}
        self._turns: dict[str, int] = {}

    def plan(
        self, where: str, action: Callable[[], object], at: int = FAULT_AT
    ) -> None:
        """Plan an action for a place, from turn `at` on."""
        self._turns[where] = FAULT_AT - at
        self._actions[where] = action

    def mend(self) -> None:
        self._actions.clear()

    def turn(self, where: str) -> Any:
        """Count a turn of a place, and return the result of the action that is due."""
        self._turns[where] = self._turns.get(where, 0) + 1
        action = self._actions.get(where)
        if action is not None and self._turns[where] >= FAULT_AT:
            return action()
        return None

    def __deepcopy__(self, memo: dict[int, Any]) -> Faults:
        """Return the same object, so that a copied training has the faults too."""
        return self


class FaultyNet(Net):
    """A network with turns in its forward pass and in its backward pass."""

    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self.faults = faults

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.faults.turn("model")
        if self.faults.turn("weights"):
            with torch.no_grad():
                self.head.weight.fill_(torch.nan)
        outputs = super().forward(inputs)
        if outputs.requires_grad:
            outputs.register_hook(lambda _grad: self.faults.turn("hook"))
        return outputs


class FaultyLoss(nn.Module):
    """Cross-entropy with a turn, whose action may return a factor for the loss."""

    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self.faults = faults

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        factor = self.faults.turn("loss")
        loss = nn.functional.cross_entropy(outputs, targets)
        return loss if factor is None else loss * factor


class FaultyLoader:
    """A loader with a turn before each batch."""

    def __init__(self, loader: DataLoader[Any], faults: Faults) -> None:
        self.loader, self.faults = loader, faults

    def __iter__(self) -> Iterator[Any]:
        for batch in self.loader:
            self.faults.turn("loader")
            yield batch


class Left(NamedTuple):
    """The objects that a widget could leave behind."""

    threads: set[str]
    processes: set[str]
    files: set[Path]
    widgets: set[str]


def left() -> Left:
    """Return the threads, processes, temporary files and widgets that exist now."""
    return Left(
        {thread.name for thread in threading.enumerate()},
        {process.name for process in multiprocessing.active_children()},
        # Python removes its own folder for queues at the end of the process.
        {path for path in Path(gettempdir()).iterdir() if "pymp-" not in path.name},
        set(ipywidgets_widget._instances),
    )


class Scene:
    """
    A warm model, its optimizer and its loader, and a widget for them.

    Attributes
    ----------
    faults:
        Faults of the training.
    """

    def __init__(self, **options: Any) -> None:
        self.faults = Faults()
        torch.manual_seed(0)
        self.model: nn.Module
        self.model, self.optimizer = warm(
            lambda parameters: SGD(parameters, lr=0.1, momentum=0.9), self._net
        )
        self.loader = DataLoader(
            data(), batch_size=16, shuffle=True, collate_fn=self._collate, **options
        )
        self.widget = self.another_widget()
        self.before = self.state()

    def _net(self) -> FaultyNet:
        return FaultyNet(self.faults)

    def _collate(self, samples: Any) -> Any:
        self.faults.turn("collate")
        return default_collate(samples)

    def another_widget(self, **settings: Any) -> LRWidget:
        return LRWidget(
            self.model,
            self.optimizer,
            FaultyLoader(self.loader, self.faults),
            FaultyLoss(self.faults),
            **{"num_it": STEPS, "end_lr": 1.0, **settings},
        )

    def state(self) -> Any:
        return state(self.model, self.optimizer, self.loader)

    def check_usable(self, widget: LRWidget) -> LRCurve:
        """Remove all faults, run a complete test, and return its curve."""
        self.faults.mend()
        widget.run()
        curve = widget.wait(SECONDS)
        assert (len(curve), curve.stop_reason) == (STEPS, "completed")
        assert widget.status.startswith("Done")
        return curve
