"""A file that fsspec knows by a URL."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from lrwidget.curve import files
from lrwidget.curve.records.chunk import Chunk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lrwidget.curve.records.chunk import Appender


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

    def look(self, offset: int, most: int) -> Chunk | None:
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
        return Chunk(contents, size, changed, None)

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
