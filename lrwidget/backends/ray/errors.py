"""What has failed on a cluster, told to the process that watches."""

from __future__ import annotations

import traceback
from typing import NamedTuple

from ray import cloudpickle
from ray.exceptions import RayError

from lrwidget.engine.distributed.rank_errors import RankError, is_of_the_network


class ClusterError(RuntimeError):
    """A worker, a node or the cluster itself was lost."""


class WorkerTraceback(Exception):  # noqa: N818 (it is no error, but tells of one)
    """Where an error was raised on a worker."""

    def __str__(self) -> str:
        """Return the traceback, below the line that names the worker."""
        where, text = self.args
        return f"on {where}\n\n{text}"


class Failure(NamedTuple):
    """
    An error of a worker.

    Attributes
    ----------
    where:
        The worker, in words.
    words:
        What it is, in words.
    text:
        Its traceback.
    pickled:
        The error itself, which only the process that it is for may have the classes
        of; nothing where it is none to be raised there.
    collateral:
        Whether it tells no more than that another worker has failed.
    """

    where: str
    words: str
    text: str
    pickled: bytes
    collateral: bool

    def error(self) -> BaseException:
        """Return the error, caused by where it was raised."""
        try:
            error: BaseException = cloudpickle.loads(self.pickled)
        except Exception:  # noqa: BLE001 (any error's own way of being made anew)
            error = RuntimeError(self.words)
        # Which would be taken for another one's here.
        if isinstance(error, StopIteration | RayError):
            error = RuntimeError(self.words)
        error.__cause__ = WorkerTraceback(self.where, self.text)
        return error


def failure_of(
    where: str, error: BaseException, *, apply_stop_rule: bool = False
) -> Failure:
    """
    Return an error as it can be sent.

    Parameters
    ----------
    where:
        The worker, in words.
    error:
        Its error.
    apply_stop_rule:
        Whether it has ended a test of all workers, which have agreed on the first error
        then: any other one is a `RankError`.
    """
    words = "".join(traceback.format_exception_only(error)).strip()
    text = "".join(traceback.format_exception(error))
    collateral = isinstance(error, RankError) or (
        not apply_stop_rule and is_of_the_network(error)
    )
    return Failure(where, words, text, _pickled(error), collateral)


def _pickled(error: BaseException) -> bytes:
    # What ends a worker, as SystemExit does, is not to end who watches it.
    if not isinstance(error, Exception):
        return b""
    try:
        contents: bytes = cloudpickle.dumps(error)
    except Exception:  # noqa: BLE001 (any error's own pickling)
        return b""
    return contents
