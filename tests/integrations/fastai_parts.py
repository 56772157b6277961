"""A small fastai learner for the tests."""

from __future__ import annotations

import random
from typing import Any

import torch
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Learner
from fastai.optimizer import Adam
from torch import nn

from tests.engine.training_parts import data


def learner_of(opt_func: Any = Adam, **options: Any) -> Any:
    """Return a learner with 6 batches of 16 in an epoch."""
    random.seed(1)  # from which fastai's loaders draw
    torch.manual_seed(1)
    loaders = [DataLoader(data(), bs=16, shuffle=shuffle) for shuffle in (True, False)]
    model = nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.Linear(6, 3))
    return Learner(
        *(DataLoaders(*loaders), model, nn.CrossEntropyLoss()),
        opt_func=opt_func,
        **{"train_bn": True, **options},
    )
