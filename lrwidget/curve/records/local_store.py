"""A file that the operating system knows."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from lrwidget.curve import files
from lrwidget.curve.records.chunk import Chunk

if TYPE_CHECKING:
    from pathlib import Path

    from lrwidget.curve.records.chunk import Appender

_SECONDS_UNSHARED = 1.0


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
            # Not the whole error, in which the path is, however long that is.
            what = getattr(error, "strerror", None) or error
            msg = f"cannot be a file: {what}; pass another path"
            raise ValueError(msg) from error
        if not self.path.parent.is_dir():
            msg = "is in a folder that is not there; make it first"
            raise ValueError(msg)
        if not regular:
            msg = "is no regular file; pass the path of one"
            raise ValueError(msg)

    def look(self, offset: int, most: int) -> Chunk | None:
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
        return Chunk(contents, found.st_size, found.st_mtime, which)

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
