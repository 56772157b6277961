"""A training in a widget, in which something can go wrong until it is mended."""

from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch._dynamo  # which makes a folder when it is imported
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
    """What goes wrong at its seventh turn or later, until all is mended."""

    def __init__(self) -> None:
        self._actions: dict[str, Callable[[], object]] = {}
        self._turns: dict[str, int] = {}

    def plan(
        self, where: str, action: Callable[[], object], at: int = FAULT_AT
    ) -> None:
        """Let something happen in some place, from so many turns on."""
        self._turns[where] = FAULT_AT - at
        self._actions[where] = action

    def mend(self) -> None:
        self._actions.clear()

    def turn(self, where: str) -> Any:
        """Take a turn in some place."""
        self._turns[where] = self._turns.get(where, 0) + 1
        action = self._actions.get(where)
        if action is not None and self._turns[where] >= FAULT_AT:
            return action()
        return None

    def __deepcopy__(self, memo: dict[int, Any]) -> Faults:
        """Return it itself: what is copied for a test goes wrong, too."""
        return self


class FaultyNet(Net):
    """A network that has a turn in its forward pass, and one in its backward pass."""

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
    """Cross-entropy that has a turn, in which it may become another number."""

    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self.faults = faults

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        factor = self.faults.turn("loss")
        loss = nn.functional.cross_entropy(outputs, targets)
        return loss if factor is None else loss * factor


class FaultyLoader:
    """Batches of a loader, with a turn before each."""

    def __init__(self, loader: DataLoader[Any], faults: Faults) -> None:
        self.loader, self.faults = loader, faults

    def __iter__(self) -> Iterator[Any]:
        for batch in self.loader:
            self.faults.turn("loader")
            yield batch


class Left(NamedTuple):
    """What could be left behind by a widget."""

    threads: set[str]
    processes: set[str]
    files: set[Path]
    widgets: set[str]


def left() -> Left:
    """Return what there is of all that could be left behind."""
    return Left(
        {thread.name for thread in threading.enumerate()},
        {process.name for process in multiprocessing.active_children()},
        # Python's own folder for its queues goes with the process.
        {path for path in Path(gettempdir()).iterdir() if "pymp-" not in path.name},
        set(ipywidgets_widget._instances),
    )


class Scene:
    """
    A warm model, its optimizer and its loader, and a widget for them.

    Attributes
    ----------
    faults:
        What goes wrong.
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
        """Mend all, and run a test from beginning to end."""
        self.faults.mend()
        widget.run()
        curve = widget.wait(SECONDS)
        assert (len(curve), curve.stop_reason) == (STEPS, "completed")
        assert widget.status.startswith("Done")
        return curve
