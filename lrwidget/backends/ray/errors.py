"""The errors of workers, as they are sent to the process that started the job."""

from __future__ import annotations

import traceback
from contextlib import suppress
from typing import NamedTuple

from ray import cloudpickle
from ray.exceptions import RayError

from lrwidget.engine.distributed.rank_errors import RankError, is_of_the_network


class ClusterError(RuntimeError):
    """A worker, a node or the cluster itself was lost."""


class WorkerTraceback(Exception):  # noqa: N818 (the cause of an error, and none itself)
    """The traceback of an error that was raised on a worker."""

    def __str__(self) -> str:
        """Return the traceback, below a line that names the worker."""
        where, text = self.args
        return f"on {where}\n\n{text}"


class Failure(NamedTuple):
    """
    An error of a worker.

    The pickled error is empty if it must not be raised in another process. A collateral
    failure only follows from the failure of another worker.
    """

    where: str
    words: str
    traceback: str
    pickled: bytes
    collateral: bool

    def error(self) -> BaseException:
        """Return the error; its cause tells where it was raised."""
        error: BaseException = RuntimeError(self.words)
        with suppress(Exception):  # the class of the error may raise anything
            sent = cloudpickle.loads(self.pickled)
            # These would look like an end of events, or like an error of this cluster.
            if not isinstance(sent, StopIteration | RayError):
                error = sent
        error.__cause__ = WorkerTraceback(self.where, self.traceback)
        return error


def failure_of(where: str, error: BaseException, *, begun: bool = False) -> Failure:
    """
    Return an error of a rank in a form that can be sent.

    The test has begun when this rank has made its `RangeTest`. From then on, the ranks
    agree on the first error: all others are of the type `RankError`.
    """
    words = "".join(traceback.format_exception_only(error)).strip()
    text = "".join(traceback.format_exception(error))
    pickled = b""
    if isinstance(error, Exception):  # SystemExit must not end the other process
        with suppress(Exception):  # the class of the error may raise anything
            pickled = cloudpickle.dumps(error)
    collateral = isinstance(error, RankError) or (
        not begun and is_of_the_network(error)
    )
    return Failure(where, words, text, pickled, collateral)
