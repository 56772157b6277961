"""The errors of workers, as they are sent to the process that started the job."""

from __future__ import annotations

import traceback
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

    Attributes
    ----------
    where:
        The name and the place of the worker.
    words:
        The type and the message of the error.
    text:
        Its traceback.
    pickled:
        The error itself, whose class may be known to this process alone; empty if
        it must not be raised there.
    collateral:
        Whether the error only follows from the failure of another worker.
    """

    where: str
    words: str
    text: str
    pickled: bytes
    collateral: bool

    def error(self) -> BaseException:
        """Return the error; its cause tells where it was raised."""
        try:
            error: BaseException = cloudpickle.loads(self.pickled)
        except Exception:  # noqa: BLE001 (the class of the error may raise anything)
            error = RuntimeError(self.words)
        # These would look like an end of events, or like an error of this cluster.
        if isinstance(error, StopIteration | RayError):
            error = RuntimeError(self.words)
        error.__cause__ = WorkerTraceback(self.where, self.text)
        return error


def failure_of(where: str, error: BaseException, *, begun: bool = False) -> Failure:
    """
    Return an error in a form that can be sent.

    Parameters
    ----------
    where:
        The name and the place of the worker.
    error:
        The error.
    begun:
        Whether the test had begun on all workers. They agree on the first error then:
        all others are of the type `RankError`.
    """
    words = "".join(traceback.format_exception_only(error)).strip()
    text = "".join(traceback.format_exception(error))
    collateral = isinstance(error, RankError) or (
        not begun and is_of_the_network(error)
    )
    return Failure(where, words, text, _pickled(error), collateral)


def _pickled(error: BaseException) -> bytes:
    # SystemExit, for example, ends the worker but must not end the other process.
    if not isinstance(error, Exception):
        return b""
    try:
        contents: bytes = cloudpickle.dumps(error)
    except Exception:  # noqa: BLE001 (the class of the error may raise anything)
        return b""
    return contents
