"""A widget in each of its states, made by the public interface alone."""

from __future__ import annotations

SETUP = """
import itertools
import tempfile
import threading
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lrwidget import LRWidget, range_test

torch.set_num_threads(1)
digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
labels = torch.tensor(digits.target)
shown = TensorDataset(images[:1500], labels[:1500])
held_out = DataLoader(TensorDataset(images[1500:], labels[1500:]), 100)
loss_fn = nn.CrossEntropyLoss()
widgets = {}

def batches(size=64):
    return DataLoader(shown, size, shuffle=True)

def parts(optimizer=torch.optim.Adam, **settings):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10),
    )
    return model, optimizer(model.parameters(), **settings)

class Gate:
    '''Batches, some of which are let through at once; the rest waits.'''

    def __init__(self, count):
        self.count, self.reached = count, threading.Event()
        self.opened = threading.Event()

    def __iter__(self):
        for number, batch in enumerate(itertools.chain.from_iterable(
            itertools.repeat(batches())
        )):
            if number >= self.count:
                self.reached.set()
                self.opened.wait()
            yield batch

def show(state, widget):
    widgets[state] = widget
    return widget
"""

_MAKE = "w = show({state!r}, LRWidget(*parts(), batches(), loss_fn, seed=0))\n"
_DONE = _MAKE + "w.run()\nw.wait()\n"
_GATED = (
    "gate = Gate({count})\n"
    "w = show({state!r}, LRWidget(*parts(), gate, loss_fn))\n"
    "w.run()\ngate.reached.wait()\n"
)

# Each cell shows a widget in one state. A test that waits for a batch waits until the
# kernel ends.
_CELLS = {
    "before": _MAKE,
    "running": _GATED.replace("{count}", "65"),
    "done": _DONE,
    "picked and applied": _DONE + "w.value = 5e-3\nw.apply()\n",
    "noisy": (
        "torch.manual_seed(0)\n"
        "noise = TensorDataset(images[:1500], labels[torch.randperm(1500)])\n"
        "loader = DataLoader(noise, 2, shuffle=True)\n"
        "w = show({state!r}, LRWidget(*parts(), loader, loss_fn, seed=0))\n"
        "w.run()\nw.wait()\n"
    ),
    "no suggestion": (
        "w = show({state!r}, LRWidget(*parts(), batches(), loss_fn, seed=0,"
        " end_lr=1e-6))\nw.run()\nw.wait()\n"
    ),
    "diverged": (
        "w = show({state!r}, LRWidget(*parts(torch.optim.SGD, lr=0.1, momentum=0.9),"
        " batches(), loss_fn, seed=0, end_lr=100))\nw.run()\nw.wait()\n"
    ),
    "failed": (
        _MAKE
        + "w.run(loss_fn=None, training_step=lambda model, batch: model(batch[1]))\n"
        "try:\n    w.wait()\nexcept Exception:\n    pass\n"
    ),
    "stopped": (
        _GATED.replace("{count}", "70")
        + "w.stop()\ngate.count = 10**9\ngate.opened.set()\nw.wait()\n"
    ),
    "stalled loader": _GATED.replace("{count}", "30"),
    "compared": (
        _MAKE + "def by(*args, **settings):\n"
        "    return dict(zip(['model', 'optimizer'], parts(*args, **settings)))\n"
        "w.compare({{\n    'RMSprop': by(torch.optim.RMSprop),\n"
        "    'SGD, momentum 0.9': by(torch.optim.SGD, lr=0.1, momentum=0.9),\n"
        "    'Adam': by(),\n}})\nw.wait()\n"
    ),
    "three seeds": (
        _MAKE + "for seed in range(3):\n    w.run(seed=seed)\n    w.wait()\n"
    ),
    "checked": _MAKE + "w.verify(total_steps=600)\nw.wait()\n",
    "race": _DONE + "w.race([1e-3, 1e-2, 1e-1], 60)\nw.wait()\n",
    "linear": (
        "w = show({state!r}, LRWidget(*parts(), batches(), loss_fn, seed=0,"
        " start_lr=1e-4, end_lr=0.05, step_mode='linear'))\nw.run()\nw.wait()\n"
    ),
    "validation": (
        "w = show({state!r}, LRWidget(*parts(), batches(), loss_fn, seed=0,"
        " val_loader=held_out, num_it=40))\nw.run()\nw.wait()\n"
    ),
    "followed record": (
        "record = Path(tempfile.mkdtemp()) / 'job.jsonl'\n"
        "range_test(*parts(), batches(), loss_fn, seed=0, record=record)\n"
        "w = show({state!r}, LRWidget.follow(record))\nw.wait()\n"
    ),
    "ten runs": (
        _MAKE + "for number in range(10):\n"
        "    w.run(f'Adam, weight decay {{number / 10}}, after the long pre-training',"
        " seed=number, num_it=40)\n    w.wait()\n"
    ),
}
STATES = {state: cell.format(state=state) + "w" for state, cell in _CELLS.items()}
