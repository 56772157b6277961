"""
From losses on their device to numbers, without waiting for them.

Who needs numbers to go on waits all the same: a gradient scaler, an optimizer that is
given a closure, and a validation, which asks once at each rate whether it is worth it.
"""

from __future__ import annotations

from collections import deque
from contextlib import closing
from typing import TYPE_CHECKING, Protocol, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from torch import Tensor

R = TypeVar("R")

# So many steps are given to the device ahead of the loss that is awaited: one that it
# works on, and others so that it never waits. What they do after the last point is
# wasted, and who stops a test waits for them.
_MOST_AHEAD = 3


class Arrival(Protocol):
    """A loss on its way from a device."""

    def arrived(self) -> bool:
        """Whether it is here."""

    def wait(self) -> float:
        """Return it as soon as it is here."""


def arrived(
    trained: Generator[tuple[float, Tensor], None, R],
    sent: Callable[[Tensor], Arrival | None] | None = None,
) -> Generator[tuple[float, float], None, R]:
    """
    Yield rates with their losses as numbers, and return what the rates' source does.

    A loss that a device has still to compute comes after further steps. Those before
    an error come before it is raised. Who closes it does without those on their way.

    Parameters
    ----------
    trained:
        Rates with losses, wherever these are.
    sent:
        Sends a loss on its way; None for one that can be read at once.
    """
    sent = _sent if sent is None else sent
    waiting: deque[tuple[float, Arrival]] = deque()
    failure: Exception | None = None
    with closing(trained):
        while True:
            try:
                lr, loss = next(trained)
            except StopIteration as end:
                result: R = end.value
                break
            except Exception as error:  # noqa: BLE001 (raised again, after the losses)
                failure = error
                break
            arrival = None if loss.is_cpu else sent(loss)
            if arrival is None:
                yield lr, loss.item()
                continue
            waiting.append((lr, arrival))
            while waiting and (len(waiting) > _MOST_AHEAD or waiting[0][1].arrived()):
                lr, arrival = waiting.popleft()
                yield lr, arrival.wait()
        for lr, arrival in waiting:
            try:
                number = arrival.wait()
            except Exception as error:
                if failure is None:
                    raise
                raise failure from error  # which came first, and tells more
            yield lr, number
    if failure is not None:
        try:
            raise failure
        finally:
            failure = None  # whose traceback has this frame
    return result


def _sent(loss: Tensor) -> Arrival | None:
    # Those that are spread over devices are no plain tensors.
    plain = type(loss) is torch.Tensor
    return _FromCuda(loss) if loss.is_cuda and plain else None


class _FromCuda:
    """A loss that is copied to pinned memory, as soon as the device comes to it."""

    def __init__(self, loss: Tensor) -> None:
        with torch.cuda.device(loss.device):
            self._here = torch.empty(
                (), dtype=torch.float64, device="cpu", pin_memory=True
            )
            self._event = torch.cuda.Event(blocking=True)
            self._here.copy_(loss.double().reshape(()), non_blocking=True)
            self._event.record()

    def arrived(self) -> bool:
        return bool(self._event.query())

    def wait(self) -> float:
        self._event.synchronize()
        return self._here.item()
