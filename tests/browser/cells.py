"""Cells that create a widget whose test is slow enough to watch."""

from __future__ import annotations

SETUP = """
import threading
from pathlib import Path
import torch
from torch import nn
from lrwidget import LRWidget

torch.manual_seed(0)
inputs = torch.randn(256, 8)
targets = inputs @ torch.randn(8, 1)
pause = threading.Event()

class Paced:
    '''Batches that take some time to load, as those of big data sets do.'''

    def __iter__(self):
        for batch in zip(inputs.split(32), targets.split(32)):
            pause.wait(0.01)
            yield batch

model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1))
optimizer = torch.optim.AdamW(model.parameters())
"""
QUICK = "w = LRWidget(model, optimizer, Paced(), nn.MSELoss())\nw"
LONG = "w = LRWidget(model, optimizer, Paced(), nn.MSELoss(), num_it=3000)\nw"
