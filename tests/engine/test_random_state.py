from __future__ import annotations

import random

import numpy as np
import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler

from lrwidget.engine.random_state import RandomState
from tests.engine.training_parts import data, loader


def test_random_states() -> None:
    batches = loader(generator=torch.Generator())
    sampler_generator = torch.Generator()
    batches.sampler.generator = sampler_generator  # type: ignore[attr-defined]  # it has
    random_state = RandomState(batches)

    def draw() -> list[float]:
        return [
            random.random(),  # noqa: S311 (to be restored)
            np.random.rand(),  # noqa: NPY002 (to be restored)
            torch.rand(()).item(),
            torch.rand((), generator=batches.generator).item(),
            torch.rand((), generator=sampler_generator).item(),
        ]

    first = draw()
    random_state.restore()
    assert draw() == first


def test_generators_of_samplers_in_samplers() -> None:
    generator = torch.Generator()
    inside = RandomSampler(data(), generator=generator)
    sampler = BatchSampler(inside, batch_size=16, drop_last=False)
    batches = DataLoader(data(), sampler=sampler, batch_size=None)
    random_state = RandomState(batches)
    before = generator.get_state()
    torch.rand(1, generator=generator)
    random_state.restore()
    assert torch.equal(generator.get_state(), before)
