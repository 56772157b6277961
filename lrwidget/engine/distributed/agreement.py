"""What the ranks of a process group agree on at each step."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import distributed as dist

from lrwidget.engine.batches import samples_in
from lrwidget.engine.distributed.rank_errors import LostRankError
from lrwidget.engine.distributed.reduction import Summing
from lrwidget.engine.stepping import StepSkippedError
from lrwidget.engine.validation import mean_loss, no_loss, summed_loss, weighted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TypeAlias

    from torch import Tensor

    from lrwidget.engine.distributed.rank_errors import Notices
    from lrwidget.engine.losses import LossOf

    StepFunction: TypeAlias = Callable[[Sequence[Any]], Tensor]


class Agreement(Protocol):
    """What makes the training of one rank a part of that of all."""

    def batches(self, own: Iterator[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        """Return the batches of each step, as long as every rank has some."""

    def loss_of(self, own: LossOf) -> LossOf:
        """Return what computes the loss of a batch of this rank, and notes it."""

    def step(self, own: StepFunction) -> StepFunction:
        """Return what does a step of this rank, and returns the loss of all."""

    def mean_loss(self, loss_of: LossOf, batches: Iterable[Any]) -> Tensor:
        """Return the mean loss of the batches of all ranks, by their samples."""


class Alone:
    """That of the only rank, whose training is all there is."""

    def batches(self, own: Iterator[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        """Return them as they are."""
        return own

    def loss_of(self, own: LossOf) -> LossOf:
        """Return it as it is."""
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
    present one is. So all know whether all can go on, and no rank begins a step, in
    which it would wait for the others, alone.

    A step is told as early as can be, so that the all-reduce goes on beside the
    backward pass: once its losses are known, if they are in main memory already.

    Parameters
    ----------
    group:
        The process group, whose tensors are in main memory.
    notices:
        Where an error is told before the others learn that there is one.
    certain:
        Whether a step is done once its losses are known, and no gradient scaler may
        skip it.
    """

    def __init__(
        self, group: dist.ProcessGroup, notices: Notices, *, certain: bool
    ) -> None:
        self._group = group
        self._notices = notices
        self._certain = certain
        self._own: Iterator[Sequence[Any]] = iter(())
        self._next: Sequence[Any] | None = None
        self._failure: Exception | None = None
        self._ended = self._failed = 0.0
        self._noted = _Noted(0)
        self._told: Summing | None = None
        self._longest = 1  # of the validations so far, in batches

    def batches(self, own: Iterator[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        """Return the batches of each step, as long as every rank has some."""
        self._own = own
        self._heard(self._tell())
        while self._next is not None and not self._ended and not self._failed:
            window, self._next = self._next, None
            yield window
        if self._failure is not None:
            raise self._failure
        if self._failed:
            raise LostRankError

    def loss_of(self, own: LossOf) -> LossOf:
        """Return what computes the loss of a batch of this rank, and notes it."""

        def compute(batch: Any) -> Tensor | None:  # noqa: ANN401 (any batch)
            loss = own(batch)
            noted = self._noted
            # An optimizer that is given a closure comes more than once.
            if noted.missing:
                noted.add(loss, samples_in(batch))
                if self._certain and not noted.missing and noted.in_main_memory:
                    self._told = self._tell(*noted.sums())
            return loss

        return compute

    def step(self, own: StepFunction) -> StepFunction:
        """
        Return what does a step of this rank, and returns the loss of all.

        A rank that skips it has no part in that; it is skipped where all do.
        """

        def take(window: Sequence[Any]) -> Tensor:
            self._noted = _Noted(len(window))
            skipped = False
            try:
                own(window)
            except StepSkippedError:
                skipped = True
            told, self._told = self._told, None
            if told is None:
                sums = self._noted.sums()
                told = self._tell(*((0, 0, *sums) if skipped else sums))
            done, lost = self._heard(told)
            if done is None:
                raise StepSkippedError(lost)
            return done

        return take

    def mean_loss(self, loss_of: LossOf, batches: Iterable[Any]) -> Tensor:
        """
        Return the mean loss of the batches of all ranks, by their samples.

        A model may communicate while it computes a loss, so all ranks compute as many:
        who has no batch left does its last one again, which counts for nothing. They
        agree when they have done as many as in the longest validation so far, and
        after each one beyond that.
        """
        own = _Padded(weighted(batches))
        total = samples = 0.0
        computed = 0
        due, left = self._longest, 1.0
        while left:
            own_total, own_samples = summed_loss(loss_of, islice(own, due))
            numbers = (own_total.item(), own_samples, own.left())
            more, more_samples, left = Summing(numbers, self._group).wait()
            total, samples = total + more, samples + more_samples
            computed += due
            due = 1
        self._longest = computed
        loss = _mean(total, samples)
        if loss is None:
            raise no_loss()
        return loss

    def _tell(
        self, total: float = 0, samples: int = 0, lost: float = 0, lost_samples: int = 0
    ) -> Summing:
        """
        Fetch the batches of the next step, and tell the others how the present one is.

        Parameters
        ----------
        total, samples:
            The sum of the losses of this rank, and of how many samples.
        lost, lost_samples:
            The same of a step that it has skipped.
        """
        try:
            self._next = next(self._own, None)
        except Exception as error:  # noqa: BLE001 (raised after the present step)
            self._failure = error
            self._notices.fail(error)
        failed = self._failure is not None
        ended = self._next is None and not failed
        numbers = (total, samples, lost, lost_samples, ended, failed)
        return Summing(numbers, self._group)

    def _heard(self, told: Summing) -> tuple[Tensor | None, Tensor | None]:
        """
        Wait for what all have told.

        Returns
        -------
        :
            The mean loss of those who do the step, and of those who have skipped it, as
            far as there are any.
        """
        *means, self._ended, self._failed = told.wait()
        return _mean(*means[:2]), _mean(*means[2:])


class _Padded:
    """
    Batches with their weights, and the last one again, without weight, for ever.

    The next one is fetched when it is asked for, since some loaders make it in the
    memory of the one before.
    """

    def __init__(self, batches: Iterator[tuple[Any, int]]) -> None:
        self._batches = batches
        self._next: tuple[Any, int] | None = None
        self._last: Any = None

    def left(self) -> bool:
        """Whether there is another one with a weight."""
        if self._next is None:
            self._next = next(self._batches, None)
        return self._next is not None

    def __iter__(self) -> Iterator[tuple[Any, int]]:
        return self

    def __next__(self) -> tuple[Any, int]:
        present, self._next = self._next or next(self._batches, None), None
        if present is None:
            return self._last, 0
        self._last = present[0]
        return present


class _Noted:
    """The losses of the batches of a step, as far as they are known."""

    def __init__(self, batches: int) -> None:
        self.missing = batches
        self._losses: list[tuple[Tensor, int]] = []

    def add(self, loss: Tensor | None, samples: int) -> None:
        self.missing -= 1
        if loss is not None:
            self._losses.append((loss.detach(), samples))

    @property
    def in_main_memory(self) -> bool:
        return all(loss.is_cpu for loss, _ in self._losses)

    def sums(self) -> tuple[float, int]:
        """Return the sum of the losses of all samples, and how many there are."""
        total = sum(loss.item() * samples for loss, samples in self._losses)
        return total, sum(samples for _, samples in self._losses)


def _mean(total: float, count: float) -> Tensor | None:
    if not count:
        return None
    return torch.tensor(total / count, dtype=torch.float64, device="cpu")
