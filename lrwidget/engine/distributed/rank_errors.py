"""The errors that end a test on all ranks of a process group."""

from __future__ import annotations

import json
import time
import traceback
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from torch import distributed as dist

from lrwidget.engine.distributed import process_groups

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    process_groups.__name__,
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


class LostRankError(Exception):
    """Another rank has ended the test, and has reported why."""


class RankErrors:
    """The errors of all ranks of a test, in the store under the name of the test."""

    def __init__(self, name: str) -> None:
        store = dist.distributed_c10d._get_default_store()  # noqa: SLF001 (torch has no other way)
        self._store = dist.distributed_c10d.PrefixStore(f"lrwidget/{name}", store)
        self._rank, self._size = dist.get_rank(), dist.get_world_size()
        self._over = False

    def wait_for_start(self, settings: Mapping[str, Any], timeout: timedelta) -> None:
        """Wait until the test has started on all ranks, with the same settings."""
        first = self._first("settings", settings)
        for name, value in settings.items():
            if value != first[name]:
                msg = (
                    f"{name}={value!r} on rank {self._rank}, and {first[name]!r} on "
                    "another one; pass the same to the test on all ranks"
                )
                raise ValueError(msg)
        if not self._meet("begun", timeout):
            count = self._store.add("begun", 0)
            msg = (
                f"{count} of {self._size} ranks have begun the test within "
                f"{timeout.total_seconds():.0f} s; begin it on all of them"
            )
            raise TimeoutError(msg)
        if self._has("end"):
            raise LostRankError

    def wait_for_end(self) -> None:
        """Wait until the test has ended on all ranks, or has failed on one of them."""
        # No rank may close its connections while another one needs them.
        with suppress(dist.DistError):  # the process with the store has gone
            self._arrive("answers")
            self._meet("ended", _GRACE)
            if self._has("end") and self._first_end() is not None:
                raise LostRankError
        self._over = True

    def fail(self, error: BaseException) -> None:
        """
        Report the end of the test by an error, before the connections are closed.

        The first report counts for all ranks. An error that may come from the network
        is only a suspected cause, since a killed rank reports nothing.
        """
        if self._over:
            return
        key = "suspected" if is_of_the_network(error) else "end"
        with suppress(dist.DistError):  # as above
            self._first(key, self._end_by(error))

    def cause(self, error: Exception) -> Exception | None:
        """
        Return the error that counts for all ranks; None for a stop by a user.

        Without a report, the cause is a rank that does not answer. If all ranks answer,
        it is the first error that may come from the network.
        """
        try:
            self._meet("answers", _GRACE)
            if not self._has("end"):
                self._first("end", self._presumed_end(error))
            return self._first_end(error)
        except dist.DistError:
            if not is_of_the_network(error):
                return error
            msg = "the process that keeps the store of the process group has gone"
            return RankError(msg, None)

    def _end_by(self, error: BaseException) -> tuple[int, str | None]:
        """Return this rank and the text of an error; no text for a stop by the user."""
        if isinstance(error, GeneratorExit):
            return self._rank, None
        words = "".join(traceback.format_exception_only(error)).strip()[:_LONGEST]
        details = "".join(traceback.format_exception(error)).strip()[-_LONGEST:]
        return self._rank, f"rank {self._rank} of {self._size}: {words}\n\n{details}"

    def _presumed_end(self, error: BaseException) -> tuple[int, str | None]:
        rank, text = self._first("suspected", self._end_by(error))
        silent = [x for x in range(self._size) if not self._has(f"answers {x}")]
        if not silent:
            return rank, text
        names = ", ".join(map(str, silent))
        ranks = f"rank {names} does" if len(silent) == 1 else f"ranks {names} do"
        words = f"{ranks} not answer any more; killed, or cut off from the others"
        return silent[0], f"rank {silent[0]} of {self._size}: {words}\n\n{text}"

    def _first_end(self, own: Exception | None = None) -> Exception | None:
        """Return the first reported error: ``own``, or a RankError of another rank."""
        rank, text = json.loads(self._store.get("end"))
        if text is None:
            return None
        return own if rank == self._rank else RankError(text, rank)

    def _has(self, key: str) -> bool:
        return bool(self._store.check([key]))

    def _first(self, key: str, value: object) -> Any:  # noqa: ANN401 (as the value)
        """Set a key unless a rank has set it already; return the value of the key."""
        return json.loads(self._store.compare_set(key, "", json.dumps(value)))

    def _arrive(self, place: str) -> None:
        self._store.set(f"{place} {self._rank}", "")
        self._store.add(place, 1)

    def _meet(self, place: str, timeout: timedelta) -> bool:
        """Wait for all ranks, or for an early end; return whether that was in time."""
        self._arrive(place)
        # The store's own wait is not used: an interrupt cannot end it.
        until = time.monotonic() + timeout.total_seconds()
        pause = _FIRST_PAUSE
        while not self._has("end") and self._store.add(place, 0) < self._size:
            if time.monotonic() > until:
                return False
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        return True


def is_of_the_network(error: BaseException) -> bool:
    """
    Whether an error, or a cause of it, may be the effect of a failure of another rank.

    Torch has types for some of these errors, and raises the others where a rank waits
    for other ranks. In a backward pass, an error of the model may look the same.
    """
    each: BaseException | None = error
    seen: set[int] = set()  # since a chain of causes may be a ring
    # An interrupt has no cause.
    while isinstance(each, Exception) and id(each) not in seen:
        if isinstance(each, dist.DistError | LostRankError):
            return True
        if type(each) is RuntimeError and _raised_in(each).startswith(_WAITING):
            return True
        seen.add(id(each))
        context = None if each.__suppress_context__ else each.__context__
        each = each.__cause__ or context
    return False


def _raised_in(error: BaseException) -> str:
    """Return the name of the module in which an error was raised; else nothing."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    names = [str(frame.f_globals.get("__name__", "")) for frame in frames]
    # torch._ops only passes calls on: the module that calls the operator counts.
    return next((name for name in reversed(names) if name != "torch._ops"), "")
