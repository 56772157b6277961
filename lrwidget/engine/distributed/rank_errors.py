"""The errors that end a test on all ranks of a process group."""

from __future__ import annotations

import json
import time
import traceback
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import distributed as dist

from lrwidget.engine.distributed import reduction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_LONGEST = 20_000
# The wait for a rank that does not answer, before it counts as lost.
_GRACE = timedelta(seconds=10)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.1
# Modules in which ranks wait for each other. For a lost connection, gloo raises a plain
# RuntimeError; the innermost frame of its traceback is in one of these modules.
_WAITING = (
    "torch.autograd.graph",  # the backward pass, where a wrapper averages gradients
    "torch.distributed",
    "torch.nn.parallel.distributed",
    reduction.__name__,
)


class RankError(RuntimeError):
    """
    The error of a range test that has failed on another rank.

    Attributes
    ----------
    rank:
        The number of that rank; None if it is unknown.
    """

    def __init__(self, message: str, rank: int | None) -> None:
        super().__init__(message)
        self.rank = rank

    def __reduce__(self) -> tuple[type[RankError], tuple[str, int | None]]:
        """Return the parts of the pickle for other processes."""
        return type(self), (str(self), self.rank)


class EarlyEnd(NamedTuple):
    """
    The end of a test on all ranks that one rank has caused.

    Attributes
    ----------
    rank:
        The number of that rank; None if it is unknown.
    message:
        The error as text; None if the user of the rank has stopped the test.
    details:
        The traceback of the error.
    """

    rank: int | None
    message: str | None
    details: str = ""


class RankErrors:
    """
    The errors of the ranks of one test, in the store of the process group.

    If several ranks report one, the first report counts for all ranks.

    Parameters
    ----------
    name:
        The name of the test, which is the same on all ranks.
    """

    def __init__(self, name: str) -> None:
        store = dist.distributed_c10d._get_default_store()  # noqa: SLF001 (torch has no other way)
        self._store = dist.distributed_c10d.PrefixStore(f"lrwidget/{name}", store)
        self._rank, self._size = dist.get_rank(), dist.get_world_size()
        self._over = False

    def wait_for_start(self, settings: Mapping[str, Any], timeout: timedelta) -> None:
        """
        Wait until the test has started on all ranks.

        Parameters
        ----------
        settings:
            The settings that must be the same on all ranks.
        timeout:
            The longest wait.

        Raises
        ------
        ValueError
            If the settings differ from the settings of the first rank to arrive.
        TimeoutError
            If a rank does not arrive.
        RankError
            If the test cannot start on another rank.
        """
        first = json.loads(self._first("settings", json.dumps(dict(settings))))
        for name, value in settings.items():
            if value != first[name]:
                msg = (
                    f"{name}={value!r} on rank {self._rank}, and {first[name]!r} on "
                    "another one; pass the same to the test on all ranks"
                )
                raise ValueError(msg)
        if self._store.add("begun", 1) == self._size:
            self._store.set("all begun", "")
        if not self._wait(lambda: self._has("all begun") or self._has("end"), timeout):
            count = self._store.add("begun", 0)
            msg = (
                f"{count} of {self._size} ranks have begun the test within "
                f"{timeout.total_seconds():.0f} s; begin it on all of them"
            )
            raise TimeoutError(msg)
        if self._has("end"):
            raise self.rank_error(self._read("end"))

    def wait_for_end(self) -> EarlyEnd | None:
        """
        Wait until the test has ended on all ranks, so that no connection closes early.

        Returns
        -------
        :
            The early end by a rank that has failed after the last agreement, if any.
        """
        with suppress(dist.DistError):  # the process with the store has gone
            self._answer()
            if self._store.add("ended", 1) == self._size:
                self._store.set("all ended", "")
            self._wait(lambda: self._has("all ended") or self._has("end"), _GRACE)
            if self._has("end"):
                return self._read("end")
        self._over = True
        return None

    def stop(self) -> None:
        """Report that the user of this rank has stopped the test."""
        with suppress(dist.DistError):  # as above
            self._report(EarlyEnd(self._rank, None))

    def fail(self, error: BaseException) -> None:
        """
        Report that the test has failed on this rank, before its connections are closed.

        The first rank to report therefore has the cause. An error that may come from
        the network is only a suspected cause, since a killed rank reports nothing. An
        error after the end of the test on all ranks is not reported.
        """
        if self._over:
            return
        key = "suspected" if is_of_the_network(error) else "end"
        with suppress(dist.DistError):  # as above
            self._first(key, json.dumps(_end_by(self._rank, error)))

    def cause(self, error: BaseException) -> EarlyEnd:
        """
        Return the end that counts for all ranks.

        Without a report, the ranks that do not answer are the cause, and if all ranks
        answer, the first error that may come from the network.

        Parameters
        ----------
        error:
            The error that has ended the test here.
        """
        try:
            self._answer()
            self._wait(lambda: self._has("end") or not self._silent(), _GRACE)
            if not self._has("end"):
                self._report(self._presumed(error))
            return self._read("end")
        except dist.DistError:
            if not is_of_the_network(error):
                return _end_by(self._rank, error)
            words = "the process that keeps the store of the process group has gone"
            return EarlyEnd(None, words)

    def rank_error(self, end: EarlyEnd) -> RankError:
        """Return the error for an end that another rank has caused."""
        msg = str(end.message)
        if end.rank is not None:
            msg = f"rank {end.rank} of {self._size}: {msg}"
        if end.details:
            msg += f"\n\n{end.details}"
        return RankError(msg, end.rank)

    def _answer(self) -> None:
        self._store.set(f"answers {self._rank}", "")

    def _silent(self) -> list[int]:
        """Return the ranks without a sign that the test has ended there."""
        if self._store.check([f"answers {x}" for x in range(self._size)]):
            return []
        return [x for x in range(self._size) if not self._has(f"answers {x}")]

    def _presumed(self, error: BaseException) -> EarlyEnd:
        own = _end_by(self._rank, error)
        suspected = EarlyEnd(*json.loads(self._first("suspected", json.dumps(own))))
        silent = self._silent()
        if not silent:
            return suspected
        names = ", ".join(map(str, silent))
        ranks = f"rank {names} does" if len(silent) == 1 else f"ranks {names} do"
        words = f"{ranks} not answer any more; killed, or cut off from the others"
        return EarlyEnd(silent[0], words, suspected.details)

    def _report(self, end: EarlyEnd) -> None:
        self._first("end", json.dumps(end))

    def _read(self, key: str) -> EarlyEnd:
        return EarlyEnd(*json.loads(self._store.get(key)))

    def _has(self, key: str) -> bool:
        return bool(self._store.check([key]))

    def _first(self, key: str, value: str) -> bytes:
        """Set a key that no rank has set, and return the value that it has then."""
        return bytes(self._store.compare_set(key, "", value))

    def _wait(self, arrived: Callable[[], bool], timeout: timedelta) -> bool:
        # Not by the store's own wait, which no interrupt ends.
        until = time.monotonic() + timeout.total_seconds()
        pause = _FIRST_PAUSE
        while not arrived():
            if time.monotonic() > until:
                return False
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        return True


def _end_by(rank: int, error: BaseException) -> EarlyEnd:
    words = "".join(traceback.format_exception_only(error)).strip()
    details = "".join(traceback.format_exception(error)).strip()
    return EarlyEnd(rank, words[:_LONGEST], details[-_LONGEST:])


def is_of_the_network(error: BaseException) -> bool:
    """
    Whether an error may be the effect of a failure of another rank.

    Its type and the place where it was raised decide, not its text: torch has types for
    some of these errors, and raises the others where a rank waits for other ranks. In a
    backward pass, an error of the model may look the same.
    """
    return any(
        isinstance(each, dist.DistError | LostRankError)
        or (type(each) is RuntimeError and _raised_in(each).startswith(_WAITING))
        for each in _with_causes(error)
    )


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, and the errors during whose handling it was raised."""
    each: BaseException | None = error
    seen: set[int] = set()  # for a chain that is a ring
    # An interrupt has no cause.
    while isinstance(each, Exception) and id(each) not in seen:
        seen.add(id(each))
        yield each
        context = None if each.__suppress_context__ else each.__context__
        each = each.__cause__ or context


def _raised_in(error: BaseException) -> str:
    """Return the name of the module in which an error was raised; else nothing."""
    innermost = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        name = str(frame.f_globals.get("__name__", ""))
        if name != "torch._ops":  # the call of an operator
            innermost = name
    return innermost


class LostRankError(Exception):
    """Another rank cannot go on, and has reported its error."""
