"""What the ranks of a process group tell each other beside the training."""

from __future__ import annotations

import json
import time
import traceback
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import distributed as dist

from lrwidget.engine.distributed import reduction as summing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_LONGEST = 20_000
# How long one is waited for who does not answer, before it counts as gone.
_GRACE = timedelta(seconds=10)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.1
# Modules in which ranks wait for each other: the innermost frame of an error of a lost
# connection, which gloo raises as a plain RuntimeError, is in one of them.
_WAITING = (
    "torch.autograd.graph",  # the backward pass, where a wrapper averages gradients
    "torch.distributed",
    "torch.nn.parallel.distributed",
    summing.__name__,
)


class RankError(RuntimeError):
    """
    A range test has failed, and not by what has happened on this rank.

    Attributes
    ----------
    rank:
        The number of that rank; None if nobody could tell.
    """

    def __init__(self, message: str, rank: int | None) -> None:
        super().__init__(message)
        self.rank = rank

    def __reduce__(self) -> tuple[type[RankError], tuple[str, int | None]]:
        """Let it be sent to other processes."""
        return type(self), (str(self), self.rank)


class Notice(NamedTuple):
    """
    Why a test has ended on all ranks, where that was not to be expected.

    Attributes
    ----------
    rank:
        Where, if that is known.
    message:
        With what error, in words; None if its user has stopped it.
    details:
        The traceback of that.
    """

    rank: int | None
    message: str | None
    details: str = ""


class Notices:
    """
    The notices of one test, in the store of the process group.

    Of several the first one counts, for every rank.

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

    def meet(self, settings: Mapping[str, Any], timeout: timedelta) -> None:
        """
        Wait until the test begins on all ranks.

        Parameters
        ----------
        settings:
            Those that must be the same on all.
        timeout:
            How long to wait.

        Raises
        ------
        ValueError
            If the settings of this rank are others than those of the first to come.
        TimeoutError
            If some rank does not come.
        RankError
            If the test cannot begin on another rank.
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
            raise self.error(self._read("end"))

    def part(self) -> Notice | None:
        """
        Wait until the test has ended on all ranks, so that nobody hangs up early.

        Returns
        -------
        :
            The notice of one that has failed after its last word to the others.
        """
        with suppress(dist.DistError):  # whoever keeps the store has gone
            self._answer()
            if self._store.add("ended", 1) == self._size:
                self._store.set("all ended", "")
            self._wait(lambda: self._has("all ended") or self._has("end"), _GRACE)
            if self._has("end"):
                return self._read("end")
        self._over = True
        return None

    def stop(self) -> None:
        """Tell that the user of this rank has stopped the test."""
        with suppress(dist.DistError):  # as above
            self._tell(Notice(self._rank, None))

    def fail(self, error: BaseException) -> None:
        """
        Tell that the test has failed on this rank, before its connections are cut.

        So the first rank to tell has the cause. An error that may come from the network
        is only suspected to be it, since a rank that was killed tells nothing. What
        fails after the end of the test on all ranks is no matter of the others.
        """
        if self._over:
            return
        key = "suspected" if is_of_the_network(error) else "end"
        with suppress(dist.DistError):  # as above
            self._first(key, json.dumps(_noticed(self._rank, error)))

    def found(self, error: BaseException) -> Notice:
        """
        Return the notice that counts.

        Without one, the ranks that do not answer are to blame, and else the first
        error that may come from the network.

        Parameters
        ----------
        error:
            What has ended the test here.
        """
        try:
            self._answer()
            self._wait(lambda: self._has("end") or not self._silent(), _GRACE)
            if not self._has("end"):
                self._tell(self._blamed(error))
            return self._read("end")
        except dist.DistError:
            if not is_of_the_network(error):
                return _noticed(self._rank, error)
            words = "whoever keeps the store of the process group has gone"
            return Notice(None, words)

    def error(self, notice: Notice) -> RankError:
        """Return the error of a notice from another rank."""
        msg = str(notice.message)
        if notice.rank is not None:
            msg = f"rank {notice.rank} of {self._size}: {msg}"
        if notice.details:
            msg += f"\n\n{notice.details}"
        return RankError(msg, notice.rank)

    def _answer(self) -> None:
        self._store.set(f"answers {self._rank}", "")

    def _silent(self) -> list[int]:
        """Return the ranks for which the test has not ended, as far as is known."""
        if self._store.check([f"answers {x}" for x in range(self._size)]):
            return []
        return [x for x in range(self._size) if not self._has(f"answers {x}")]

    def _blamed(self, error: BaseException) -> Notice:
        own = _noticed(self._rank, error)
        suspected = Notice(*json.loads(self._first("suspected", json.dumps(own))))
        silent = self._silent()
        if not silent:
            return suspected
        names = ", ".join(map(str, silent))
        ranks = f"rank {names} does" if len(silent) == 1 else f"ranks {names} do"
        words = f"{ranks} not answer any more; killed, or cut off from the others"
        return Notice(silent[0], words, suspected.details)

    def _tell(self, notice: Notice) -> None:
        self._first("end", json.dumps(notice))

    def _read(self, key: str) -> Notice:
        return Notice(*json.loads(self._store.get(key)))

    def _has(self, key: str) -> bool:
        return bool(self._store.check([key]))

    def _first(self, key: str, value: str) -> bytes:
        """Set what nobody has set yet, and return what it is then."""
        return bytes(self._store.compare_set(key, "", value))

    def _wait(self, arrived: Callable[[], bool], timeout: timedelta) -> bool:
        # Not the store's own way of waiting, which no interrupt ends.
        until = time.monotonic() + timeout.total_seconds()
        pause = _FIRST_PAUSE
        while not arrived():
            if time.monotonic() > until:
                return False
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        return True


def _noticed(rank: int, error: BaseException) -> Notice:
    words = "".join(traceback.format_exception_only(error)).strip()
    details = "".join(traceback.format_exception(error)).strip()
    return Notice(rank, words[:_LONGEST], details[-_LONGEST:])


def is_of_the_network(error: BaseException) -> bool:
    """
    Whether an error may come from what has happened to another rank.

    Its type and the place where it was raised tell, not its words: torch has types for
    some of these errors, and raises the others where a rank waits for the others. In a
    backward pass that may be an error of the model, too.
    """
    return any(
        isinstance(each, dist.DistError | LostRankError)
        or (type(each) is RuntimeError and _raised_in(each).startswith(_WAITING))
        for each in _with_causes(error)
    )


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those in whose handling it was raised."""
    each: BaseException | None = error
    seen: set[int] = set()  # which may come again
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
    """Another rank cannot go on, and has told why."""
