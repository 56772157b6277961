"""What the ranks of a process group agree on at each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import distributed as dist

from lrwidget.engine.batches import samples_in
from lrwidget.engine.notices import LostRankError
from lrwidget.engine.stepping import StepSkippedError
from lrwidget.engine.validation import mean_loss, no_loss, summed_loss, weighted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TypeAlias

    from torch import Tensor

    from lrwidget.engine.losses import LossOf
    from lrwidget.engine.notices import Notices

    StepFunction: TypeAlias = Callable[[Sequence[Any]], Tensor]


class Agreement(Protocol):
    """What makes the training of one rank a part of that of all."""

    def batches(self, own: Iterator[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        """Return the batches of each step, as long as every rank has some."""

    def step(self, own: StepFunction) -> StepFunction:
        """Return what does a step of this rank, and returns the loss of all."""

    def mean_loss(self, loss_of: LossOf, batches: Iterable[Any]) -> Tensor:
        """Return the mean loss of the batches of all ranks, by their samples."""


class Alone:
    """That of the only rank, whose training is all there is."""

    def batches(self, own: Iterator[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        """Return them as they are."""
        return own

    def step(self, own: StepFunction) -> StepFunction:
        """Return it as it is."""
        return own

    def mean_loss(self, loss_of: LossOf, batches: Iterable[Any]) -> Tensor:
        """Return the mean loss of the batches, by their samples."""
        return mean_loss(loss_of, batches)


class Together:
    """
    That of several ranks, by one small all-reduce a step.

    Each fetches its batches for the next step before it tells the others how the
    present one was. So all know whether all can go on, and no rank begins a step, in
    which it would wait for the others, alone.

    Parameters
    ----------
    group:
        The process group, whose tensors are in main memory.
    notices:
        Where an error is told before the others learn that there is one.
    """

    def __init__(self, group: dist.ProcessGroup, notices: Notices) -> None:
        self._group = group
        self._notices = notices
        self._own: Iterator[Sequence[Any]] = iter(())
        self._next: Sequence[Any] | None = None
        self._failure: Exception | None = None
        self._ended = self._failed = 0.0

    def batches(self, own: Iterator[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        """Return the batches of each step, as long as every rank has some."""
        self._own = own
        self._share()
        while self._next is not None and not self._ended and not self._failed:
            window, self._next = self._next, None
            yield window
        if self._failure is not None:
            raise self._failure
        if self._failed:
            raise LostRankError

    def step(self, own: StepFunction) -> StepFunction:
        """
        Return what does a step of this rank, and returns the loss of all.

        A rank that has skipped it has no part in that; it is skipped where all have.
        """

        def take(window: Sequence[Any]) -> Tensor:
            samples = sum(map(samples_in, window))
            try:
                loss = own(window).item() * samples
            except StepSkippedError as error:
                of_rank = (0.0, 0) if error.loss is None else (error.loss.item(), 1)
                done, skipped = self._share(skipped=of_rank)
            else:
                done, skipped = self._share(done=(loss, samples))
            if done is None:
                raise StepSkippedError(skipped)
            return done

        return take

    def mean_loss(self, loss_of: LossOf, batches: Iterable[Any]) -> Tensor:
        """
        Return the mean loss of the batches of all ranks, by their samples.

        Who has no batch left does its last one again, which counts for nothing, since
        a model may communicate while it computes a loss.
        """
        total, samples = summed_loss(loss_of, self._padded(batches))
        loss = _mean(*self._sum(total.item(), samples))
        if loss is None:
            raise no_loss()
        return loss

    def _padded(self, batches: Iterable[Any]) -> Iterator[tuple[Any, int]]:
        last: tuple[Any, int] | None = None
        own = weighted(batches)
        while True:
            present = next(own, None)
            (left,) = self._sum(present is not None)
            if not left:
                return
            if present is not None:
                last = present
                yield present
            elif last is not None:
                yield last[0], 0

    def _share(
        self, done: tuple[float, int] = (0.0, 0), skipped: tuple[float, int] = (0.0, 0)
    ) -> tuple[Tensor | None, Tensor | None]:
        """
        Fetch the batches of the next step, and share how the present one was.

        Parameters
        ----------
        done, skipped:
            The sum and the number of the losses of this rank.

        Returns
        -------
        :
            Their means over all ranks, as far as there are any.
        """
        try:
            self._next = next(self._own, None)
        except Exception as error:  # noqa: BLE001 (raised after the present step)
            self._failure = error
            self._notices.fail(error)
        failed = self._failure is not None
        ended = self._next is None and not failed
        *sums, self._ended, self._failed = self._sum(*done, *skipped, ended, failed)
        return _mean(*sums[:2]), _mean(*sums[2:])

    def _sum(self, *numbers: float) -> list[float]:
        """Return the sums of some numbers over all ranks."""
        sums = torch.tensor(numbers, dtype=torch.float64, device="cpu")
        dist.all_reduce(sums, group=self._group)
        return sums.tolist()


def _mean(total: float, count: float) -> Tensor | None:
    if not count:
        return None
    return torch.tensor(total / count, dtype=torch.float64, device="cpu")
