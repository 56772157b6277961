"""What the ranks of a process group tell each other beside the training."""

from __future__ import annotations

import json
import time
import traceback
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import distributed as dist

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LONGEST = 20_000
# How long one is waited for who does not answer, before it counts as gone.
_GRACE = timedelta(seconds=10)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.1


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
            if self._store.add("ended", 1) == self._size:
                self._store.set("all ended", "")
            self._wait(lambda: self._has("all ended") or self._has("end"), _GRACE)
            if self._has("end"):
                return self._read("end")
        return None

    def stop(self) -> None:
        """Tell that the user of this rank has stopped the test."""
        with suppress(dist.DistError):  # as above
            self._tell(Notice(self._rank, None))

    def fail(self, error: BaseException) -> None:
        """Tell that the test has failed on this rank, unless others are to blame."""
        if not is_of_the_network(error):
            with suppress(dist.DistError):  # as above
                self._tell(_noticed(self._rank, error))

    def found(self, error: BaseException) -> Notice:
        """
        Return the notice that counts.

        A rank that is killed gives none. The others blame those that do not answer.

        Parameters
        ----------
        error:
            What has ended the test here.
        """
        try:
            self._store.set(f"answers {self._rank}", "")
            if not self._wait(lambda: self._has("end"), _GRACE):
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

    def _blamed(self, error: BaseException) -> Notice:
        silent = [x for x in range(self._size) if not self._has(f"answers {x}")]
        if not silent:
            return _noticed(self._rank, error)
        names = ", ".join(map(str, silent))
        ranks = f"rank {names} does" if len(silent) == 1 else f"ranks {names} do"
        words = f"{ranks} not answer any more; killed, or cut off from the others"
        return Notice(silent[0], words)

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
    """Whether an error may come of what has happened to another rank."""
    if isinstance(error, dist.DistError | LostRankError):
        return True
    words = str(error) if type(error) is RuntimeError else ""
    return "gloo" in words or "NCCL" in words or "Connection " in words


class LostRankError(Exception):
    """Another rank cannot go on, and has told why."""
