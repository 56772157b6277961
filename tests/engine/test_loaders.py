from __future__ import annotations

import gc
from contextlib import closing
from itertools import islice
from multiprocessing import active_children
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from lrwidget.engine.loaders import Batches
from lrwidget.engine.range_test import RangeTest

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Numbers(torch.utils.data.Dataset[int]):
    """A data set that fails at a number."""

    def __init__(self, count: int, fails_at: int = -1) -> None:
        self._count = count
        self._fails_at = fails_at

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> int:
        if index == self._fails_at:
            raise ZeroDivisionError
        return index


def _endless(loader: Any, count: int) -> list[Any]:
    with closing(Batches(loader)) as batches:
        return list(islice(batches.endless(), count))


def test_short_loaders_start_again() -> None:
    assert _endless([1, 2, 3], 8) == [1, 2, 3, 1, 2, 3, 1, 2]


def test_a_loader_starts_again_with_a_new_iterator() -> None:
    class Loader:
        passes = 0

        def __iter__(self) -> Any:
            self.passes += 1
            return iter([self.passes])

    assert _endless(Loader(), 3) == [1, 2, 3]


class _Pipeline:
    """An iterator whose `__iter__` starts again at its end, as DALI's does."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.done = 0

    def __iter__(self) -> Any:
        if self.done == self.count:
            self.done = 0
        return self

    def __next__(self) -> int:
        if self.done == self.count:
            raise StopIteration
        self.done += 1
        return self.done


def test_an_iterator_that_starts_again_goes_on() -> None:
    assert _endless(_Pipeline(3), 8) == [1, 2, 3, 1, 2, 3, 1, 2]
    model = torch.nn.Linear(1, 1)
    pipeline: Any = _Pipeline(3)
    test = RangeTest(
        model,
        torch.optim.SGD(model.parameters(), lr=0.1),
        pipeline,
        training_step=lambda model, n: model(torch.full((4, 1), float(n))).mean(),
        num_it=10,
    )
    assert len(list(test)) == 10


def test_an_iterator_ends() -> None:
    assert _endless(iter([1, 2]), 9) == [1, 2]
    assert _endless((n for n in range(3)), 9) == [0, 1, 2]


def test_a_generator_goes_on_where_the_batches_stopped() -> None:
    generator = (n for n in range(9))
    assert _endless(generator, 3) == [0, 1, 2]
    assert list(generator) == [3, 4, 5, 6, 7, 8]


def test_a_loader_that_is_a_generator_function_is_closed() -> None:
    ended = []

    class Loader:
        def __iter__(self) -> Any:
            try:
                yield from range(9)
            finally:
                ended.append(True)

    with closing(Batches(Loader())) as batches:
        kept = batches.once()  # as the traceback of an error keeps it
        assert next(kept) == 0
    assert ended == [True]


def test_an_empty_loader_is_named() -> None:
    with (
        closing(Batches([], "val_loader")) as batches,
        pytest.raises(ValueError, match=r"^val_loader=\[\] is empty"),
    ):
        next(batches.once())


@pytest.mark.parametrize("empty", [[], iter([])])
def test_an_empty_loader(empty: Any) -> None:
    with pytest.raises(
        ValueError, match=r"dataloader=.*(is empty|no batch left).* pass"
    ):
        _endless(empty, 1)


def test_a_one_shot_stream_inside_of_a_loader_ends() -> None:
    class Loader:
        def __init__(self) -> None:
            self.stream = iter(range(3))

        def __iter__(self) -> Any:
            yield from self.stream

    assert _endless(Loader(), 9) == [0, 1, 2]


@pytest.mark.parametrize("persistent", [False, True])
def test_an_iterator_of_the_users_keeps_its_workers(persistent: bool) -> None:  # noqa: FBT001 (a parameter of a test)
    loader = DataLoader(_Numbers(6), num_workers=1, persistent_workers=persistent)
    users = iter(loader)
    assert [int(n) for n in _endless(users, 2)] == [0, 1]
    assert [int(n) for n in users] == [2, 3, 4, 5]
    del users, loader
    gc.collect()


def test_a_loader_around_one_with_persistent_workers() -> None:
    class Wrapper:
        def __init__(self) -> None:
            self.inside = DataLoader(
                _Numbers(6), num_workers=1, persistent_workers=True
            )

        def __iter__(self) -> Any:
            return iter(self.inside)

    wrapper = Wrapper()
    assert len(_endless(wrapper, 3)) == 3
    assert [int(n) for n in wrapper] == [0, 1, 2, 3, 4, 5]
    del wrapper
    gc.collect()


def test_once() -> None:
    with closing(Batches([1, 2])) as batches:
        assert list(batches.once()) == [1, 2]
        assert list(batches.once()) == [1, 2]


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_end(persistent: bool) -> None:  # noqa: FBT001 (a parameter of a test)
    loader = DataLoader(_Numbers(6), num_workers=1, persistent_workers=persistent)
    assert [int(n) for n in _endless(loader, 8)] == [0, 1, 2, 3, 4, 5, 0, 1]
    assert active_children() == []
    assert loader._iterator is None


def test_workers_end_after_an_error_that_is_kept() -> None:
    loader = DataLoader(_Numbers(6, fails_at=2), num_workers=1)
    with pytest.raises(ZeroDivisionError) as kept:
        _endless(loader, 6)
    assert active_children() == []
    assert kept.value.__traceback__ is not None


def test_persistent_workers_in_mid_epoch_stay_with_the_user() -> None:
    loader = DataLoader(_Numbers(6), num_workers=1, persistent_workers=True)
    users = iter(loader)
    assert int(next(users)) == 0
    workers = active_children()
    assert len(_endless(loader, 9)) == 9
    assert active_children() == workers
    assert [int(n) for n in users] == [1, 2, 3, 4, 5]
    assert loader._iterator is users
    del users, loader
    gc.collect()


def test_a_stream_without_length() -> None:
    class Stream(IterableDataset[int]):
        def __iter__(self) -> Any:
            return iter(range(5))

    batches = _endless(DataLoader(Stream(), batch_size=2), 4)
    assert [batch.tolist() for batch in batches] == [[0, 1], [2, 3], [4], [0, 1]]


@pytest.mark.filterwarnings("ignore:'pin_memory' argument is set:UserWarning")
def test_pinned_memory() -> None:
    loader = DataLoader(_Numbers(4), batch_size=2, pin_memory=True, num_workers=1)
    assert [batch.tolist() for batch in _endless(loader, 3)] == [[0, 1], [2, 3], [0, 1]]
    assert active_children() == []


def test_loaders_around_loaders() -> None:
    class Wrapper(list[int]):
        base_dataloader = ((torch.ones(2, 3), torch.ones(2, 1)),)

    def start_pass(_self: Wrapper) -> Iterator[int]:
        raise AssertionError

    Wrapper.__iter__ = start_pass  # type: ignore[assignment]  # the wrapper's own pass
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader: Any = Wrapper([1])
    settings: Any = {"num_it": 3, "val_loader": loader}
    test = RangeTest(model, optimizer, loader, torch.nn.MSELoss(), **settings)
    assert len(list(test)) == 3
