"""Loaders and data sets that can be asked and told where they stand."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler

from lrwidget.engine.range_test import range_test

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")
_MODEL = nn.Linear(1, 1)


def _step(model: nn.Module, batch: Any) -> torch.Tensor:
    numbers = batch["n"] if isinstance(batch, dict) else batch
    inputs = torch.as_tensor(numbers, dtype=torch.float32).unsqueeze(1)
    loss: torch.Tensor = model(inputs).mean()
    return loss


def _test(batches: Any) -> None:
    optimizer = torch.optim.SGD(_MODEL.parameters(), lr=0.1)
    range_test(_MODEL, optimizer, batches, training_step=_step, num_it=7)


class _Counted(Dataset[int]):
    """A data set with a state of its own: it counts its samples."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {"samples": {"all": 0}}
        self.parents = [self.state]
        self.parents.append(self.parents)  # type: ignore[arg-type]  # leads back

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> int:
        self.state["samples"]["all"] += 1
        return index

    def state_dict(self) -> dict[str, Any]:
        return {"all": self.state["samples"]["all"]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.state["samples"].update(state)


class _Stream(IterableDataset[int]):
    """A stream that goes on where it stands, its own iterator."""

    def __init__(self) -> None:
        self.next_number = 0

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        if self.next_number == 12:
            raise StopIteration
        self.next_number += 1
        return self.next_number - 1

    def state_dict(self) -> dict[str, Any]:
        return {"next_number": self.next_number}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.next_number = state["next_number"]


class _Resumed(Sampler[int]):
    """A sampler that can go on in mid-epoch."""

    def __init__(self) -> None:
        self.next_index = 0

    def __iter__(self) -> Iterator[int]:
        while self.next_index < 12:
            self.next_index += 1
            yield self.next_index - 1
        self.next_index = 0

    def __len__(self) -> int:
        return 12

    def state_dict(self) -> dict[str, Any]:
        return {"next_index": self.next_index}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.next_index = state["next_index"]


_KINDS: dict[str, Any] = {
    "plain": lambda: {"dataset": list(range(12))},
    "shuffled": lambda: {"dataset": list(range(12)), "shuffle": True},
    "data set": lambda: {"dataset": _Counted()},
    "stream": lambda: {"dataset": _Stream()},
    "sampler": lambda: {"dataset": list(range(12)), "sampler": _Resumed()},
}


def _loader(kind: str, **settings: Any) -> Any:
    torchdata = pytest.importorskip("torchdata.stateful_dataloader")
    torch.manual_seed(0)
    return torchdata.StatefulDataLoader(**_KINDS[kind](), batch_size=2, **settings)


def _rest(kind: str, at: str, *, tested: bool, **settings: Any) -> Any:
    """Return the batches and states that follow where a loader stands."""
    batches = _loader(kind, **settings)
    iterator = None
    if at in ("mid-epoch", "loaded"):
        iterator = iter(batches)
        for _ in range(2):
            next(iterator)
    if at == "loaded":
        state = batches.state_dict()
        batches, iterator = _loader(kind, **settings), None
        batches.load_state_dict(state)
    elif at == "asked":
        batches.state_dict()
    if tested:
        _test(batches)
    if at == "mid-epoch":
        middle = batches.state_dict()
    iterator = iter(batches) if iterator is None else iterator
    followed = [batch.tolist() for batch in iterator]
    found = [followed, batches.state_dict()["_iterator_finished"]]
    if at == "mid-epoch":
        again = _loader(kind, **settings)
        again.load_state_dict(middle)
        found.append([batch.tolist() for batch in again])
    data_set: Any = batches.dataset
    found.append(getattr(data_set, "state", None))
    return found


@pytest.mark.parametrize("at", ["start", "asked", "mid-epoch", "loaded"])
@pytest.mark.parametrize("kind", list(_KINDS))
def test_a_loader_stands_where_it_stood(kind: str, at: str) -> None:
    expected = _rest(kind, at, tested=False)
    assert len(expected[0]) == (4 if at in ("mid-epoch", "loaded") else 6)
    assert _rest(kind, at, tested=True) == expected


@pytest.mark.parametrize(
    ("at", "persistent"), [("asked", False), ("mid-epoch", True), ("loaded", True)]
)
def test_a_loader_with_workers(at: str, persistent: bool) -> None:  # noqa: FBT001 (a parameter of a test)
    settings = {"num_workers": 1, "persistent_workers": persistent}
    expected = _rest("shuffled", at, tested=False, **settings)
    assert _rest("shuffled", at, tested=True, **settings) == expected
    gc.collect()  # torchdata's loaders and iterators refer to each other


def test_a_test_begins_where_the_loader_stands() -> None:
    seen: list[Any] = []

    def training_step(model: nn.Module, batch: Any) -> torch.Tensor:
        seen.append(batch.tolist())
        return _step(model, batch)

    first = _loader("plain")
    iterator = iter(first)
    next(iterator)
    second = _loader("plain")
    second.load_state_dict(first.state_dict())
    optimizer = torch.optim.SGD(_MODEL.parameters(), lr=0.1)
    range_test(_MODEL, optimizer, second, training_step=training_step, num_it=7)
    assert seen == [[2, 3], [4, 5], [6, 7], [8, 9], [10, 11], [0, 1], [2, 3]]


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("at", ["start", "mid-epoch", "loaded"])
def test_a_streaming_data_set(at: str, wrapped: bool) -> None:  # noqa: FBT001 (as above)
    datasets = pytest.importorskip("datasets")

    def rest(*, tested: bool) -> Any:
        def stream() -> Any:
            table = datasets.Dataset.from_dict({"n": list(range(12))})
            return table.to_iterable_dataset(num_shards=2).shuffle(3, buffer_size=4)

        data = stream()
        iterator = None
        if at != "start":
            iterator = iter(data)
            for _ in range(5):
                next(iterator)
        if at == "loaded":
            state, data, iterator = data.state_dict(), stream(), None
            data.load_state_dict(state)
        if tested:
            batches = DataLoader(data, batch_size=2)
            _test(batches if wrapped else data.batch(2))
        middle = data.state_dict()
        followed = [int(row["n"]) for row in iterator or data]
        again = stream()
        again.load_state_dict(middle)
        return followed, middle, [int(row["n"]) for row in again]

    assert rest(tested=True) == rest(tested=False)
    gc.collect()  # the executors of the library end with their generators
    for thread in threading.enumerate():
        if thread.name.startswith("ThreadPoolExecutor"):
            thread.join(10)
