"""Where a record lies: on a file system of this machine, or where fsspec finds it."""

from __future__ import annotations

import os
import re
import stat
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, TypeAlias

from lrwidget.curve import files

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

_URL = re.compile(r"[a-z][a-z0-9+.:-]*://", re.IGNORECASE)
_SECONDS_UNSHARED = 1.0


class Look(NamedTuple):
    """
    What is seen of a file.

    Attributes
    ----------
    contents:
        A piece of it.
    size:
        How many bytes it has in all.
    changed:
        When it was written to last, in seconds since 1970, if that is known.
    file:
        Which file it is: another one after it was replaced, where that is known.
    """

    contents: bytes
    size: int
    changed: float | None
    file: Hashable


class Appender(Protocol):
    """What adds to a file."""

    def write(self, contents: bytes) -> None:
        """Add something, which stays if this process is killed after that."""

    def close(self) -> None:
        """Add nothing more; whoever tries gets a ValueError."""


@dataclass(frozen=True)
class LocalPlace:
    """
    A file that the operating system knows, perhaps on a disk that machines share.

    What fails in it is an OSError.

    Parameters
    ----------
    given:
        What its user calls it.
    path:
        Where it is.

    Attributes
    ----------
    seconds_between_looks, seconds_between_glances:
        How often who waits for news may look at it, and a training on its way.
    """

    given: str
    path: Path
    seconds_between_looks: ClassVar[float] = 0.1
    seconds_between_glances: ClassVar[float] = 0.0

    def check(self) -> None:
        """Raise ValueError if no file can be made here, as far as one can see now."""
        try:
            regular = stat.S_ISREG(self.path.stat().st_mode)
        except FileNotFoundError:
            regular = True  # as it is going to be
        except (OSError, ValueError) as error:
            msg = f"cannot be a file: {error}; pass another path"
            raise ValueError(msg) from error
        if not self.path.parent.is_dir():
            msg = "is in a folder that is not there; make it first"
            raise ValueError(msg)
        if not regular:
            msg = "is no regular file; pass the path of one"
            raise ValueError(msg)

    def look(self, offset: int, most: int) -> Look | None:
        """
        Return a piece of the file that begins at an offset; None if it is not there.

        Raises
        ------
        ValueError
            If it is no regular file, so that reading might have no end.
        """
        # Opened anew each time: else a shared disk may show what it was before.
        try:
            file = open(self.path, "rb", 0, opener=files.opened_at_once)  # noqa: SIM115 (closed below)
        except FileNotFoundError:
            return None
        with file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                msg = "it is no regular file"
                raise ValueError(msg)
            file.seek(offset)
            contents = file.read(most)
        which = found.st_dev, found.st_ino
        return Look(contents, found.st_size, found.st_mtime, which)

    def contents(self) -> bytes:
        """Return the whole file, as `files.read` does."""
        return files.read(self.path)

    def exists(self) -> bool:
        """Whether there is such a file; this takes a microsecond."""
        return os.access(str(self.path), os.F_OK)

    def appender(self) -> Appender:
        """Return what adds to the file."""
        return _LocalAppender(self.path)

    def clear(self) -> None:
        """Make the file an empty one."""
        self.path.write_bytes(b"")

    def write(self, contents: bytes) -> None:
        """Write the file as a whole, or leave all as it was."""
        files.write(self.path, contents)

    def remove(self) -> None:
        """Remove the file, if there is one."""
        self.path.unlink(missing_ok=True)

    def beside(self, suffix: str) -> LocalPlace:
        """Return the place of a file that is called so, with something added."""
        path = self.path.with_name(self.path.name + suffix)
        return LocalPlace(self.given + suffix, path)


class _LocalAppender:
    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._shared = -_SECONDS_UNSHARED

    def write(self, contents: bytes) -> None:
        rest = contents
        while rest:
            rest = rest[self._file.write(rest) :]
        now = time.monotonic()
        if now - self._shared >= _SECONDS_UNSHARED:
            self._shared = now
            # Network disks show others what was written when it is closed. Here a
            # second handle is, which on other disks does nothing.
            os.close(os.dup(self._file.fileno()))

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True)
class RemotePlace:
    """
    A file that fsspec knows by a URL; the same as `LocalPlace` otherwise.

    Whatever its file system raises is an OSError.

    Parameters
    ----------
    given:
        The URL.
    """

    given: str
    seconds_between_looks: ClassVar[float] = 1.0
    seconds_between_glances: ClassVar[float] = 1.0

    def check(self) -> None:
        """Raise ValueError if there is nothing to open such a URL with."""
        try:
            self._found()
        except OSError as error:
            msg = f"cannot be opened: {error}; pass another URL"
            raise ValueError(msg) from error

    def look(self, offset: int, most: int) -> Look | None:
        """Return a piece of the file from an offset on; None if it is not there."""
        system, path = self._found()
        with self._failing():
            system.invalidate_cache(path)
            try:
                size: int = system.info(path)["size"]
                end = min(size, offset + most)
                contents: bytes = b""
                if offset < end:
                    contents = system.cat_file(path, offset, end)
            except FileNotFoundError:
                return None
        changed = None
        with suppress(Exception):  # many do not know
            changed = system.modified(path).timestamp()
        return Look(contents, size, changed, None)

    def contents(self) -> bytes:
        """Return the whole file, if it is not too large."""
        look = self.look(0, files.MOST + 1)
        if look is None:
            raise FileNotFoundError(self.given)
        files.check_size(look.size)
        return look.contents

    def exists(self) -> bool:
        """Whether there is such a file."""
        system, path = self._found()
        with self._failing():
            system.invalidate_cache(path)
            return bool(system.exists(path))

    def appender(self) -> Appender:
        """Return what adds to the file."""
        return _RemoteAppender(self)

    def append(self, contents: bytes) -> None:
        """Add something to the file."""
        system, path = self._found()
        # Object stores keep nothing before it is closed.
        with self._failing(), system.open(path, "ab") as file:
            file.write(contents)

    def clear(self) -> None:
        """Make the file an empty one."""
        self.write(b"")

    def write(self, contents: bytes) -> None:
        """Write the file as a whole."""
        system, path = self._found()
        with self._failing():
            system.pipe_file(path, contents)

    def remove(self) -> None:
        """Remove the file, if there is one."""
        if self.exists():
            system, path = self._found()
            with self._failing(), suppress(FileNotFoundError):
                system.rm(path)

    def beside(self, suffix: str) -> RemotePlace:
        """Return the place of a file that is called so, with something added."""
        return RemotePlace(self.given + suffix)

    def _found(self) -> tuple[Any, str]:
        """Return the file system, and what the file is called there."""
        # Slow to import, and only needed here.
        from fsspec.core import url_to_fs  # noqa: PLC0415

        with self._failing():
            system, path = url_to_fs(self.given)
        return system, path

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            raise
        except Exception as error:
            msg = f"{self.given}: {str(error) or type(error).__name__}"
            raise OSError(msg) from error


class _RemoteAppender:
    def __init__(self, place: RemotePlace) -> None:
        self._place: RemotePlace | None = place

    def write(self, contents: bytes) -> None:
        if self._place is None:
            msg = "it is closed"
            raise ValueError(msg)
        self._place.append(contents)

    def close(self) -> None:
        self._place = None


Place: TypeAlias = LocalPlace | RemotePlace


def place_of(path: str | os.PathLike[str]) -> Place:
    """
    Return the place of a file, which a path leads to or a URL with a protocol.

    A relative path is one from the folder that is the current one now.

    Raises
    ------
    TypeError
        If it is neither.
    """
    given = os.fspath(path)
    if isinstance(path, str) and _URL.match(path):
        return RemotePlace(path)
    return LocalPlace(given, Path(path).absolute())
