from __future__ import annotations

from collections import OrderedDict, deque
from queue import Queue
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lrwidget.engine.isolation.state_snapshot import StateSnapshot


def test_restoring_puts_the_same_objects_back() -> None:
    history: list[dict[str, float]] = [{"loss": 1.0}]
    model: Any = nn.Linear(2, 2)
    model.history = history
    model.scale = scale = torch.ones(2)
    model.seen, model.last, model.counts = seen, last, counts = (
        {1},
        deque([1]),
        np.ones(2),
    )
    restore = StateSnapshot().keep(model)
    with torch.no_grad():
        weight = model.weight
        model.weight = nn.Parameter(torch.zeros(2, 2))
        weight.add_(1)
        scale.mul_(3)
    seen.add(2)
    last.append(2)
    counts += 1
    history[0]["loss"] = 2.0
    history.append({})
    model.extra = OrderedDict()
    restore()
    assert model.weight is weight
    assert model.history is history
    assert history == [{"loss": 1.0}]
    assert torch.equal(scale, torch.ones(2))
    assert model.seen is seen
    assert (seen, list(last), counts.tolist()) == ({1}, [1], [1, 1])
    assert not hasattr(model, "extra")


def test_an_error_of_a_part_leaves_the_others_restored() -> None:
    class Stubborn(list[int]):
        def clear(self) -> None:
            raise ZeroDivisionError

    model: Any = nn.Linear(2, 2)
    model.stubborn = Stubborn([1])
    model.other = [1]
    weight = model.weight.detach().clone()
    restore = StateSnapshot().keep(model)
    model.other.append(2)
    with torch.no_grad():
        model.weight.add_(1)
    with pytest.raises(ZeroDivisionError):
        restore()
    assert model.other == [1]
    assert torch.equal(model.weight, weight)


class _Strict(OrderedDict[str, Any]):
    """A mapping that refuses what it cannot undo, as those of outputs do."""

    def update(self, *_args: Any, **_kwargs: Any) -> None:
        raise NotImplementedError

    def clear(self) -> None:
        raise NotImplementedError


def test_mappings_that_refuse() -> None:
    strict = _Strict(a=1, b=2)
    restore = StateSnapshot().keep(strict)
    strict["a"] = 3
    strict["c"] = 4
    restore()
    assert list(strict.items()) == [("a", 1), ("b", 2)]


def test_objects_of_the_standard_library_are_not_restored() -> None:
    queue: Queue[int] = Queue()
    restore = StateSnapshot().keep([queue])
    queue.put(1)
    restore()
    assert queue.unfinished_tasks == 1


def _read_only(values: list[int]) -> np.ndarray[Any, Any]:
    array = np.array(values)
    array.flags.writeable = False
    return array


def test_read_only_arrays() -> None:
    constant = np.frombuffer(b"\x01\x02", np.uint8)  # never writeable
    order, other = _read_only([1, 2]), np.array([3.0, np.nan])
    restore = StateSnapshot().keep([constant, order, other])
    order.flags.writeable = True
    order[:] = 0
    order.flags.writeable = False
    other[:] = 5
    other.flags.writeable = False
    restore()
    assert (constant.tolist(), order.tolist(), other[0]) == ([1, 2], [1, 2], 3)
    assert np.isnan(other[1])
    assert (order.flags.writeable, other.flags.writeable) == (False, True)
