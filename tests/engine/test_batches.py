from __future__ import annotations

from collections import OrderedDict, namedtuple
from itertools import islice
from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from lrwidget.engine.batches import endless, structure, to_device

_META = torch.device("meta")
Pair = namedtuple("Pair", ["inputs", "target"])  # noqa: PYI024 (as users have them)


def test_short_loaders_start_again() -> None:
    assert list(islice(endless([1, 2, 3]), 8)) == [1, 2, 3, 1, 2, 3, 1, 2]


def test_a_loader_starts_again_with_a_new_iterator() -> None:
    class Loader:
        passes = 0

        def __iter__(self) -> Any:
            self.passes += 1
            return iter([self.passes])

    assert list(islice(endless(Loader()), 3)) == [1, 2, 3]


def test_an_iterator_ends() -> None:
    assert list(endless(iter([1, 2]))) == [1, 2]
    assert list(endless(n for n in range(3))) == [0, 1, 2]


@pytest.mark.parametrize("empty", [[], iter([])])
def test_an_empty_loader(empty: Any) -> None:
    with pytest.raises(
        ValueError, match=r"dataloader=.*(is empty|no batch left).* pass"
    ):
        next(endless(empty))


def test_every_tensor_moves_and_everything_stays_what_it_is() -> None:
    one = torch.ones(2)
    batch = {"x": [one, (one, "text")], "pair": Pair(one, 3), "none": None}
    moved = to_device(batch, _META)
    assert moved["x"][0].device == moved["x"][1][0].device == _META
    assert isinstance(moved["pair"], Pair)
    assert moved["pair"].inputs.device == _META
    assert (moved["x"][1][1], moved["pair"].target, moved["none"]) == ("text", 3, None)
    assert one.device == torch.device("cpu")


def test_what_can_move_itself_does() -> None:
    packed = to_device(pack_sequence([torch.ones(3), torch.ones(2)]), _META)
    assert isinstance(packed, PackedSequence)
    assert packed.data.device == _META


def test_structure_in_words() -> None:
    batch = OrderedDict(x=torch.ones(2, 3), y=[torch.ones(()), "a"])
    assert (
        structure(batch) == "OrderedDict('x': Tensor(2, 3), 'y': list(Tensor(), str))"
    )
    assert structure(list(range(99))) == f"list({'int, ' * 8}...)"
