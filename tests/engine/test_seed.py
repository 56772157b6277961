"""A seed: the same batches and the same random numbers in every test."""

from __future__ import annotations

import random
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD
from torch.utils.data import DataLoader, Dataset, RandomSampler

from lrwidget.engine.range_test import RangeTest, range_test
from tests.engine.training_parts import Net, data, loader, state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lrwidget.curve.lr_curve import Step

_LOSS = nn.CrossEntropyLoss()


class _Noisy(Dataset[Any]):
    """Samples with noise from each library, which the workers draw."""

    def __len__(self) -> int:
        return 48

    def __getitem__(self, index: int) -> Any:
        inputs, target = data()[index]
        old = np.random.rand() + random.random()  # noqa: NPY002, S311 (as many do)
        return inputs + torch.rand(8) + old, target


class _Own:
    """A loader that shuffles by a generator of its own, of Python or NumPy."""

    def __init__(self, rng: Any) -> None:
        self.rng = rng

    def __iter__(self) -> Iterator[Any]:
        order = list(range(96))
        self.rng.shuffle(order)
        for start in range(0, 96, 16):
            yield data()[order[start : start + 16]]


def _sampled() -> DataLoader[Any]:
    sampler = RandomSampler(data(), generator=torch.Generator())
    return DataLoader(data(), batch_size=16, sampler=sampler)


def _worked(**kwargs: Any) -> DataLoader[Any]:
    return DataLoader(_Noisy(), batch_size=16, num_workers=1, **kwargs)


_LOADERS: dict[str, Any] = {
    "shuffled": loader,
    "its own generator": lambda: loader(generator=torch.Generator()),
    "its sampler's": _sampled,
    "Python's": lambda: _Own(random.Random(3)),  # noqa: S311 (no secret)
    "NumPy's": lambda: _Own(np.random.default_rng(3)),
    "NumPy's old one": lambda: _Own(np.random.RandomState(3)),
    "workers": _worked,
    "workers and its own": lambda: _worked(generator=torch.Generator()),
    "persistent workers": lambda: _worked(persistent_workers=True),
}


def _curve(
    model: nn.Module, batches: Any, seed: int | None, **settings: Any
) -> list[float]:
    optimizer = SGD(model.parameters(), lr=0.1)
    settings = {"loss_fn": _LOSS, "num_it": 8, "end_lr": 0.1, "seed": seed, **settings}
    return list(range_test(model, optimizer, batches, **settings).losses)


def _draw(batches: Any) -> None:
    """Draw from every generator that a test may draw from."""
    random.random()  # noqa: S311 (no secret)
    np.random.rand()  # noqa: NPY002 (the one of the loaders)
    torch.rand(())
    list(batches)


@pytest.mark.parametrize("isolation", ["copy", "restore"])
@pytest.mark.parametrize("name", _LOADERS)
def test_the_batches_are_those_of_the_seed(name: str, isolation: Any) -> None:
    model, batches = nn.Linear(8, 3), _LOADERS[name]()
    first = _curve(model, batches, 5, isolation=isolation)
    _draw(batches)
    assert _curve(model, batches, 5, isolation=isolation) == first
    assert _curve(model, batches, 6, isolation=isolation) != first
    unseeded = _curve(model, batches, None, isolation=isolation)
    _draw(batches)
    assert _curve(model, batches, None, isolation=isolation) != unseeded


@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_the_dropout_is_that_of_the_seed(isolation: Any) -> None:
    model = nn.Sequential(nn.Dropout(), nn.Linear(8, 3))
    batches = [data(16).tensors]
    first = _curve(model, batches, 5, isolation=isolation)
    _draw(batches)
    assert _curve(model, batches, 5, isolation=isolation) == first
    assert _curve(model, batches, 6, isolation=isolation) != first


def test_the_validation_batches_are_those_of_the_seed() -> None:
    def training_step(model: nn.Module, batch: Any) -> torch.Tensor:
        inputs, targets = batch
        if not model.training:  # else the order of the batches would make no difference
            inputs = inputs + torch.arange(len(inputs)).unsqueeze(1)
        return nn.functional.cross_entropy(model(inputs), targets)

    model, batches = nn.Linear(8, 3), [data(16).tensors]
    settings: dict[str, Any] = {"loss_fn": None, "training_step": training_step}
    settings["val_loader"] = loader(generator=torch.Generator())
    first = _curve(model, batches, 5, **settings)
    _draw(settings["val_loader"])
    assert _curve(model, batches, 5, **settings) == first
    assert _curve(model, batches, 6, **settings) != first


def test_it_is_as_if_seeded_by_hand() -> None:
    def training_step(model: nn.Module, batch: Any) -> torch.Tensor:
        noise = np.random.rand() + random.random()  # noqa: NPY002, S311 (as many do)
        return nn.functional.cross_entropy(model(batch[0] + noise), batch[1])

    model = nn.Sequential(nn.Dropout(), nn.Linear(8, 3))
    batches = loader(generator=torch.Generator())
    settings: Any = {"loss_fn": None, "training_step": training_step}
    seeded = _curve(model, batches, 5, **settings)
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002 (as above)
    torch.manual_seed(5)
    batches.generator.manual_seed(5)
    assert _curve(model, batches, None, **settings) == seeded


def test_the_least_and_the_largest_seed() -> None:
    model, batches = nn.Linear(8, 3), loader()
    assert _curve(model, batches, 0) != _curve(model, batches, 2**32 - 1)


def test_the_weights_are_those_of_the_model() -> None:
    inputs, targets = data(16).tensors
    model = nn.Linear(8, 3)
    expected = _LOSS(model(inputs), targets).item()
    for seed in (None, 5, 6):
        assert _curve(model, [(inputs, targets)], seed)[0] == expected


def test_random_numbers_before_the_first_step_make_no_difference() -> None:
    model, batches = Net(), loader(generator=torch.Generator())
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = SGD(parameters, lr=0.1)
    test = RangeTest(model, optimizer, batches, _LOSS, num_it=8, seed=5)
    expected = list(test)
    steps = iter(test)
    taken: list[Step] = []
    _draw(batches)

    def take() -> None:
        taken.extend(steps)

    thread = Thread(target=take)
    thread.start()
    thread.join()
    assert taken == expected


class _Refusing(random.Random):
    def seed(self, *args: Any) -> None:
        if args != (None,):  # as of its constructor
            msg = "it goes by the weather"
            raise TypeError(msg)


@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_a_generator_that_refuses_a_seed(isolation: Any) -> None:
    batches = _Own(_Refusing())
    model = nn.Linear(8, 3)
    optimizer = SGD(model.parameters(), lr=0.1)
    test = RangeTest(*(model, optimizer, batches), _LOSS, seed=5, isolation=isolation)
    before = state(model, optimizer)
    for _ in range(2):  # after which the model is free for another test
        with pytest.raises(TypeError, match="it goes by the weather"):
            list(test)
        assert state(model, optimizer) == before


class _FaultError(Exception):
    pass


def _end(test: RangeTest, ending: str) -> None:
    """Run a test to the end that is expected of it."""
    steps = iter(test)
    if ending == "exception":
        with pytest.raises(_FaultError):
            list(steps)
    elif ending == "completed":
        list(steps)
        assert test.curve.stop_reason == "completed"
    else:
        for _ in range(int(ending.removeprefix("stopped after "))):
            next(steps)
        steps.close()


@pytest.mark.parametrize("isolation", ["copy", "restore"])
@pytest.mark.parametrize(
    "ending", ["completed", "exception", "stopped after 0", "stopped after 3"]
)
def test_all_is_as_before(ending: str, isolation: Any) -> None:
    calls: list[None] = []

    def loss_fn(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        calls.append(None)
        random.random()  # noqa: S311 (no secret)
        np.random.rand()  # noqa: NPY002 (the one to be kept)
        if ending == "exception" and len(calls) > 5:
            raise _FaultError
        return nn.functional.cross_entropy(outputs, targets)

    model = Net()
    optimizer = SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    loaders = loader(generator=torch.Generator()), _sampled(), loader()
    own = np.random.default_rng(3)
    loaders[2].sampler.rng = own  # type: ignore[attr-defined]  # as some samplers have
    for batches in loaders:
        test = RangeTest(
            *(model, optimizer, batches, loss_fn),
            val_loader=loaders[0],
            num_it=8,
            seed=5,
            isolation=isolation,
        )
        before = state(model, optimizer, *loaders), own.bit_generator.state
        calls.clear()
        _end(test, ending)
        assert (state(model, optimizer, *loaders), own.bit_generator.state) == before
