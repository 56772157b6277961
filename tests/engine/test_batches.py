from __future__ import annotations

from collections import OrderedDict, UserDict, defaultdict, namedtuple
from dataclasses import dataclass, field
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from lrwidget.engine.batches import samples_in, structure, to_device

_META = torch.device("meta")
Pair = namedtuple("Pair", ["inputs", "target"])  # noqa: PYI024 (as users have them)


def test_every_tensor_moves_and_everything_stays_what_it_is() -> None:
    one = torch.ones(2)
    batch = {"x": [one, (one, "text")], "pair": Pair(one, 3), "none": None}
    moved = to_device(batch, _META)
    assert moved["x"][0].device == moved["x"][1][0].device == _META
    assert isinstance(moved["pair"], Pair)
    assert moved["pair"].inputs.device == _META
    assert (moved["x"][1][1], moved["pair"].target, moved["none"]) == ("text", 3, None)
    assert one.device == torch.device("cpu")


def test_the_own_method_of_a_batch_moves_it() -> None:
    packed = to_device(pack_sequence([torch.ones(3), torch.ones(2)]), _META)
    assert isinstance(packed, PackedSequence)
    assert packed.data.device == _META


def test_structure_in_words() -> None:
    batch = OrderedDict(x=torch.ones(2, 3), y=[torch.ones(()), "a"])
    assert (
        structure(batch) == "OrderedDict('x': Tensor(2, 3), 'y': list(Tensor(), str))"
    )
    assert structure(list(range(99))) == f"list({'int, ' * 8}...)"


def _led_back(kind: str) -> Any:
    """Return a batch of 3 samples that contains itself, or a part that does so."""
    if kind == "list":
        batch: Any = []
        batch += [batch, torch.ones(3)]
    elif kind == "list in a tuple":
        batch = [(), torch.ones(3)]
        batch[0] = (batch,)
    else:
        batch = UserDict() if kind == "mapping" else {}
        batch.update({"in": {}, "x": torch.ones(3)})
        batch["in"]["me"] = batch if kind == "dicts" else batch["in"]
        batch["in"]["x"] = batch["x"]
    return batch


@pytest.mark.parametrize(
    "kind", ["list", "list in a tuple", "dicts", "inner dict", "mapping"]
)
def test_a_batch_that_contains_itself(kind: str) -> None:
    batch = _led_back(kind)
    moved = to_device(batch, _META)
    if "list" in kind:
        inner = moved[0] if kind == "list" else moved[0][0]
        assert inner is moved
        assert moved[1].device == _META
    else:
        inside = moved["in"]
        assert inside["me"] is (moved if kind == "dicts" else inside)
        assert inside["x"].device == moved["x"].device == _META
        assert samples_in(batch) == 3
    assert type(moved) is type(batch)
    assert moved is not batch


@dataclass(frozen=True)
class Sample:
    x: torch.Tensor
    name: str = "one"


def test_a_dataclass_moves() -> None:
    moved = to_device([Sample(torch.ones(2))], _META)[0]
    assert (moved.x.device, moved.name) == (_META, "one")
    assert structure(moved) == "Sample(x: Tensor(2,), name: str)"


@pytest.mark.parametrize("kind", [OrderedDict, UserDict])
def test_mappings_stay_of_their_kind(kind: Any) -> None:
    batch = kind(x=torch.ones(2), y="text")
    moved = to_device(batch, _META)
    assert type(moved) is kind
    assert moved["x"].device == _META
    assert batch["x"].device == torch.device("cpu")
    assert list(moved) == ["x", "y"]


def test_mappings_with_a_constructor_of_their_own() -> None:
    batch: Any = defaultdict(list, x=torch.ones(2))
    moved = to_device(batch, _META)
    assert moved.default_factory is list
    assert moved["x"].device == _META
    proxy = to_device(MappingProxyType({"x": torch.ones(2)}), _META)
    assert proxy["x"].device == _META


@dataclass
class Scaled:
    x: Any
    passes: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.x = self.x * 10
        self.passes += 1


@dataclass(slots=True)
class Slotted:
    x: Any
    y: Any


class Named(list[Any]):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


def test_a_move_calls_no_constructor() -> None:
    batch = Scaled(torch.ones(2))
    moved = to_device(batch, torch.device("cpu"))
    assert (moved.x.tolist(), moved.passes) == ([10, 10], 1)
    slotted = to_device(Slotted(torch.ones(2), 3), _META)
    assert (slotted.x.device, slotted.y) == (_META, 3)
    named = Named("all")
    named.append(torch.ones(2))
    moved = to_device(named, _META)
    assert (moved.name, moved[0].device) == ("all", _META)
    assert named[0].device == torch.device("cpu")


@pytest.mark.parametrize(
    ("batch", "samples"),
    [
        (torch.ones(5, 2), 5),
        ((torch.ones(()), {"a": "text", "b": torch.ones(4)}), 4),
        (Sample(torch.ones(3)), 3),
        (([torch.ones(3, 8, 8), torch.ones(3, 4, 4)], [{}, {}]), 2),
        ({"x": torch.ones(6, 2)}, 6),
        (Slotted(torch.ones(9), torch.ones(4)), 4),
        (SimpleNamespace(x=torch.ones(9), y=torch.ones(4)), 4),
        ("text", 1),
        ([], 1),
    ],
)
def test_how_many_samples(batch: Any, samples: int) -> None:
    assert samples_in(batch) == samples
