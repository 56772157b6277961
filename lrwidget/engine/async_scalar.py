"""
The losses of a training as numbers, without a wait for the device.

A wait remains where the next step depends on a number: for a gradient scaler, for an
optimizer with a closure, and for a validation, which is skipped after a loss that is
not finite.
"""

from __future__ import annotations

from collections import deque
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from torch import Tensor

R = TypeVar("R")

# The number of steps given to the device ahead of the awaited loss: one in progress,
# and others so that the device never waits. Steps after the last point are lost time,
# and delay a stop.
_MOST_AHEAD = 3


class AsyncScalar:
    """A loss on its way from a GPU to pinned memory."""

    def __init__(self, loss: Tensor) -> None:
        with torch.cuda.device(loss.device):
            self._here = torch.empty(
                (), dtype=torch.float64, device="cpu", pin_memory=True
            )
            self._event = torch.cuda.Event(blocking=True)
            self._here.copy_(loss.double().reshape(()), non_blocking=True)
            self._event.record()

    def arrived(self) -> bool:
        """Whether the loss has arrived."""
        return bool(self._event.query())

    def wait(self) -> float:
        """Wait for the loss, and return it."""
        self._event.synchronize()
        return self._here.item()


def read_losses(
    trained: Generator[tuple[float, Tensor], None, R],
) -> Generator[tuple[float, float], None, R]:
    """
    Yield rates with their losses as numbers, and return the result of their source.

    A loss that a device has still to compute is yielded after further steps. Before an
    error is raised, all earlier losses are yielded.
    """
    waiting: deque[tuple[float, AsyncScalar]] = deque()
    with closing(trained):
        while True:
            try:
                lr, loss = next(trained)
            except StopIteration as end:
                result: R = end.value
                break
            except Exception as error:
                try:
                    yield from _read(waiting)
                except Exception as later:
                    raise error from later  # the first one has the cause
                raise
            on_its_way = None if loss.is_cpu else _sent(loss)
            if on_its_way is None:
                yield lr, loss.item()
                continue
            waiting.append((lr, on_its_way))
            while waiting and (len(waiting) > _MOST_AHEAD or waiting[0][1].arrived()):
                lr, on_its_way = waiting.popleft()
                yield lr, on_its_way.wait()
        yield from _read(waiting)
    return result


def _read(waiting: deque[tuple[float, AsyncScalar]]) -> Iterator[tuple[float, float]]:
    for lr, loss in waiting:
        yield lr, loss.wait()


def _sent(loss: Tensor) -> AsyncScalar | None:
    """Start to read a loss; return None if it is read at once."""
    # Tensors that are spread over devices have other classes.
    plain = type(loss) is torch.Tensor
    return AsyncScalar(loss) if loss.is_cuda and plain else None
