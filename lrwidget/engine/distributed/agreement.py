"""The agreement of the ranks of a process group at each step."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import distributed as dist

from lrwidget.engine.batches import samples_in
from lrwidget.engine.distributed.rank_errors import LostRankError
from lrwidget.engine.distributed.reduction import AsyncSum
from lrwidget.engine.stepping import StepSkippedError
from lrwidget.engine.validation import no_loss, summed_loss, weighted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TypeAlias

    from torch import Tensor

    from lrwidget.engine.distributed.rank_errors import RankErrors
    from lrwidget.engine.losses import LossOf

    StepFunction: TypeAlias = Callable[[Sequence[Any]], Tensor]


class Agreement(Protocol):
    """The part of one rank in a training of all ranks."""

    def batches(self, own: Iterator[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        """Return the batches of each step, until one rank has no more."""

    def loss_of(self, own: LossOf) -> LossOf:
        """Return the function that computes the loss of a batch, and stores it."""

    def step(self, own: StepFunction) -> StepFunction:
        """Return the function that does a step, and returns the loss of all ranks."""

    def mean_loss(self, loss_of: LossOf, batches: Iterable[Any]) -> Tensor:
        """Return the mean loss of the batches of all ranks, weighted by samples."""


class GroupAgreement:
    """
    The agreement of several ranks, by one small all-reduce a step.

    Each rank fetches its batches for the next step before it sends the result of the
    present one. Each rank then knows whether all can go on, and none starts a step
    alone, in which it would wait for the others.

    The result is sent as early as possible, so that the all-reduce runs beside the
    backward pass: as soon as the losses are known, if they are in main memory.

    Parameters
    ----------
    group:
        The process group of all ranks, for tensors in main memory.
    errors:
        The errors of the ranks, to which an error is added before the all-reduce shows
        that there is one.
    certain:
        Whether each step with a loss is done, since there is no gradient scaler.
    """

    def __init__(
        self, group: dist.ProcessGroup, errors: RankErrors, *, certain: bool
    ) -> None:
        self._group = group
        self._errors = errors
        self._certain = certain
        self._own: Iterator[Sequence[Any]] = iter(())
        self._next: Sequence[Any] | None = None
        self._failure: Exception | None = None
        self._ended = self._failed = 0.0
        self._losses = _StepLosses(0)
        self._sent: AsyncSum | None = None
        self._longest = 1  # of the validations so far, in batches

    def batches(self, own: Iterator[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        """Return the batches of each step, until one rank has no more."""
        self._own = own
        self._receive(self._send())
        while self._next is not None and not self._ended and not self._failed:
            window, self._next = self._next, None
            yield window
        if self._failure is not None:
            raise self._failure
        if self._failed:
            raise LostRankError

    def loss_of(self, own: LossOf) -> LossOf:
        """Return the function that computes the loss of a batch, and stores it."""

        def compute(batch: Any) -> Tensor | None:  # noqa: ANN401 (any batch)
            loss = own(batch)
            losses = self._losses
            # An optimizer with a closure computes it more than once.
            if losses.missing:
                losses.add(loss, samples_in(batch))
                if self._certain and not losses.missing and losses.in_main_memory:
                    self._sent = self._send(*losses.sums())
            return loss

        return compute

    def step(self, own: StepFunction) -> StepFunction:
        """
        Return the function that does a step, and returns the loss of all ranks.

        The loss is without the ranks that skip the step, which counts as skipped only
        if all ranks skip it.
        """

        def take(window: Sequence[Any]) -> Tensor:
            self._losses = _StepLosses(len(window))
            skipped = False
            try:
                own(window)
            except StepSkippedError:
                skipped = True
            sent, self._sent = self._sent, None
            if sent is None:
                sums = self._losses.sums()
                sent = self._send(*((0, 0, *sums) if skipped else sums))
            done, lost = self._receive(sent)
            if done is None:
                raise StepSkippedError(lost)
            return done

        return take

    def mean_loss(self, loss_of: LossOf, batches: Iterable[Any]) -> Tensor:
        """
        Return the mean loss of the batches of all ranks, weighted by samples.

        A model may communicate while it computes a loss, so all ranks compute the same
        number of losses: a rank without a batch left repeats its last one, with weight
        0. The ranks agree after as many batches as in the longest validation so far,
        and after each batch beyond.
        """
        own = _Padded(weighted(batches))
        total = samples = 0.0
        computed = 0
        due, left = self._longest, 1.0
        while left:
            own_total, own_samples = summed_loss(loss_of, islice(own, due))
            numbers = (own_total.item(), own_samples, own.left())
            more, more_samples, left = AsyncSum(numbers, self._group).wait()
            total, samples = total + more, samples + more_samples
            computed += due
            due = 1
        self._longest = computed
        loss = _mean(total, samples)
        if loss is None:
            raise no_loss()
        return loss

    def _send(
        self, total: float = 0, samples: int = 0, lost: float = 0, lost_samples: int = 0
    ) -> AsyncSum:
        """
        Fetch the batches of the next step, and send the result of the present one.

        Parameters
        ----------
        total, samples:
            The sum of the losses of the samples of this rank, and their number.
        lost, lost_samples:
            The same for a step that this rank has skipped.
        """
        try:
            self._next = next(self._own, None)
        except Exception as error:  # noqa: BLE001 (raised after the present step)
            self._failure = error
            self._errors.fail(error)
        failed = self._failure is not None
        ended = self._next is None and not failed
        numbers = (total, samples, lost, lost_samples, ended, failed)
        return AsyncSum(numbers, self._group)

    def _receive(self, sent: AsyncSum) -> tuple[Tensor | None, Tensor | None]:
        """
        Wait for the results of all ranks.

        Returns
        -------
        :
            The mean loss of the ranks that do the step, and of the ranks that have
            skipped it; None where there is no such rank.
        """
        *means, self._ended, self._failed = sent.wait()
        return _mean(*means[:2]), _mean(*means[2:])


class _Padded:
    """
    Batches with their weights, then the last batch without end, with weight 0.

    Each batch is fetched only when it is needed, since some loaders make it in the
    memory of the one before.
    """

    def __init__(self, batches: Iterator[tuple[Any, int]]) -> None:
        self._batches = batches
        self._next: tuple[Any, int] | None = None
        self._last: Any = None

    def left(self) -> bool:
        """Whether there is another batch with a weight."""
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


class _StepLosses:
    """The losses of the batches of a step, as far as known."""

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
        """Return the sum of the losses of all samples, and the number of samples."""
        total = sum(loss.item() * samples for loss, samples in self._losses)
        return total, sum(samples for _, samples in self._losses)


def _mean(total: float, count: float) -> Tensor | None:
    if not count:
        return None
    return torch.tensor(total / count, dtype=torch.float64, device="cpu")
