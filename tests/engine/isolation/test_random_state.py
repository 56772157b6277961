from __future__ import annotations

import random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Subset,
)

from lrwidget.engine.isolation.random_state import RandomState
from tests.engine.training_parts import data, loader

if TYPE_CHECKING:
    from collections.abc import Iterator


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


class _Augmented(Dataset[Any]):
    """A data set that draws, as do its transform and its collate function."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(3)
        self.transforms = SimpleNamespace(steps=[random.Random(3)])  # noqa: S311 (no secret)
        self.noise = torch.Generator()

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Any:
        return self.rng.random() + self.transforms.steps[0].random()

    def collated(self, batch: Any) -> Any:
        return torch.tensor(batch) + torch.rand((), generator=self.noise)


class _Position(IterableDataset[int]):
    """A stream that goes on where it stands, without a method to tell that."""

    def __init__(self) -> None:
        self.next_number = 0

    def __iter__(self) -> Iterator[int]:
        while self.next_number < 8:
            self.next_number += 1
            yield self.next_number


def test_generators_and_positions_of_data_sets() -> None:
    augmented = _Augmented()
    batches: Any = DataLoader(
        Subset(augmented, range(6)), 2, collate_fn=augmented.collated
    )
    for loader_of in (batches, DataLoader(_Position(), 2)):
        random_state = RandomState(loader_of)
        first = [next(iter(loader_of)).tolist(), next(iter(loader_of)).tolist()]
        assert first[0] != first[1]
        random_state.restore()
        assert next(iter(loader_of)).tolist() == first[0]
        random_state.restore()
    random_state = RandomState(batches)
    seeded = []
    for _ in range(2):
        random_state.seed(5)
        seeded.append(next(iter(batches)).tolist())
    assert seeded[0] == seeded[1]


class _Sampler:
    """A sampler that refers to the loader that it belongs to."""

    def __init__(self, batch_sampler: object) -> None:
        self.batch_sampler = batch_sampler
        self.order = [0, 1, 2]


class _Counting:
    """A loader and sampler of its own, with a state of its own."""

    def __init__(self, dataset: list[torch.Tensor]) -> None:
        self.dataset = dataset
        self.batch_sampler = self.sampler = _Sampler(self)
        self.epoch = 0
        self.rng = random.Random(3)  # noqa: S311 (no secret)
        self.numpy_rng = np.random.default_rng(3)
        self.old_rng = np.random.RandomState(3)
        self.turns = [1, 2, 3]
        self.generators = {"of the order": random.Random(3)}  # noqa: S311 (as above)

    def __iter__(self) -> Iterator[int]:
        self.epoch += 1
        self.rng = random.Random(self.rng.random())  # noqa: S311 (as fastai does)
        self.numpy_rng.shuffle(self.sampler.order)
        self.old_rng.shuffle(self.sampler.order)
        self.generators["of the order"].shuffle(self.turns)
        return iter(self.sampler.order)


def test_the_state_of_a_sampler() -> None:
    dataset = [torch.ones(2)]
    batches = _Counting(dataset)
    rng, order = batches.rng, batches.sampler.order
    random_state = RandomState(batches)
    first = list(batches)
    dataset[0] += 1
    random_state.restore()
    assert (batches.epoch, batches.rng, order) == (0, rng, [0, 1, 2])
    assert batches.sampler.order is order
    assert batches.turns == [1, 2, 3]
    assert list(batches) == first
    assert dataset[0][0] == 2  # the data set is not the sampler's


class _Wrapper:
    """A loader that has another one inside, as those that move batches have."""

    def __init__(self, inside: Any) -> None:
        self.inside = inside
        self.passes = 0

    def __iter__(self) -> Iterator[Any]:
        self.passes += 1
        self.latest: Any = iter(self.inside)
        yield from self.latest


def test_a_loader_in_a_loader() -> None:
    batches = _Wrapper(_Wrapper(loader(generator=torch.Generator().manual_seed(5))))
    batches.inside = batches.inside.inside
    random_state = RandomState(batches)
    first = [batch[1].tolist() for batch in batches]
    random_state.restore()
    assert batches.passes == 0
    assert not hasattr(batches, "latest")
    assert [batch[1].tolist() for batch in batches] == first


@pytest.mark.parametrize("seed", [0, 5, 2**32 - 1])
def test_a_seed_is_that_of_every_generator(seed: int) -> None:
    own, sampler_own = torch.Generator(), torch.Generator()
    batches = loader(generator=own)
    batches.sampler.generator = sampler_own  # type: ignore[attr-defined]  # it has
    others = _Counting([])
    others.generators["of the machine"] = random.SystemRandom()
    wrapped = _Wrapper(batches)
    random_state = RandomState(others, wrapped)
    pythons: list[Any] = [others.rng, others.generators["of the order"], random]
    numpys: list[Any] = [others.old_rng, np.random]
    torchs = [own, sampler_own, torch.default_generator]

    def draw() -> list[float]:
        return [
            *[one.random() for one in pythons],
            *[one.random_sample() for one in numpys],
            others.numpy_rng.random(),
            *[torch.rand((), generator=one).item() for one in torchs],
        ]

    random_state.seed(seed)
    assert draw() == [
        *[random.Random(seed).random()] * 3,  # noqa: S311 (no secret)
        *[np.random.RandomState(seed).random_sample()] * 2,
        np.random.default_rng(seed).random(),
        *[torch.rand((), generator=torch.Generator().manual_seed(seed)).item()] * 3,
    ]
    random_state.restore()
    before = draw()
    random_state.restore()
    random_state.seed(seed)
    random_state.restore()
    assert draw() == before


def test_cuda_is_seeded_where_it_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    kept = [torch.ones(3)]
    monkeypatch.setattr(torch.cuda, "manual_seed_all", calls.append)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: kept)
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", calls.append)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    later = list(torch.cuda._queued_calls)
    random_state = RandomState()
    random_state.seed(5)
    random_state.restore()
    assert calls == []
    assert torch.cuda._queued_calls == later
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    random_state = RandomState()
    random_state.seed(5)
    random_state.restore()
    assert calls == [5, kept]


def test_a_loader_is_whole_at_any_time() -> None:
    batches = loader(generator=torch.Generator())
    random_state = RandomState(batches)
    batches.timeout = 3  # by its user, while a test runs
    random_state.restore()
    assert batches.timeout == 3


def test_samplers_that_cannot_be_compared() -> None:
    class Odd(RandomSampler):
        def __eq__(self, other: object) -> Any:
            return torch.ones(2)

        __hash__ = None  # type: ignore[assignment]  # as such classes have it

    generator = torch.Generator()
    sampler = Odd(data(), generator=generator)
    batches = DataLoader(data(), sampler=sampler, batch_size=16)
    random_state = RandomState(batches)
    before = generator.get_state()
    list(batches)
    random_state.restore()
    assert torch.equal(generator.get_state(), before)


def test_an_epoch_of_a_sampler() -> None:
    batches = loader()
    random_state = RandomState(batches)
    batches.sampler.epoch = 3  # type: ignore[attr-defined]  # as distributed ones have
    random_state.restore()
    assert not hasattr(batches.sampler, "epoch")


@pytest.mark.parametrize("workers", [0, 1])
def test_an_iterator_goes_on(workers: int) -> None:
    users = iter(loader(num_workers=workers))
    next(users)
    random_state = RandomState(users)
    next(users)
    random_state.restore()
    assert len(list(users)) == 4


def _draws() -> list[float]:
    return [
        random.random(),  # noqa: S311 (to be restored)
        np.random.rand(),  # noqa: NPY002 (to be restored)
        torch.rand(()).item(),
    ]


@pytest.mark.parametrize("first_to_end", [0, 1])
def test_overlapping_tests_restore_the_states_before_the_first(
    first_to_end: int,
) -> None:
    batches = loader(generator=torch.Generator().manual_seed(3))
    before = RandomState(batches)
    expected = [*_draws(), torch.rand((), generator=batches.generator).item()]
    before.restore()

    taken = []
    for _ in range(2):
        taken.append(RandomState(batches))
        _draws()
        torch.rand((), generator=batches.generator)
    for turn in (first_to_end, 1 - first_to_end):
        taken[turn].restore()
        if turn == first_to_end:
            _draws()
    assert [*_draws(), torch.rand((), generator=batches.generator).item()] == expected


def test_a_test_that_never_ends_does_not_block_others() -> None:
    hanging = RandomState()
    _draws()
    latter = RandomState()
    expected = _draws()
    latter.restore()
    assert _draws() == expected
    hanging.restore()
