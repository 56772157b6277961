"""The file of a record: on a disk of this machine, or at a URL that fsspec opens."""

from __future__ import annotations

import math
import os
import re
import stat
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

from lrwidget.curve.checks import invalid
from lrwidget.curve.records.reader import FORMAT, LONGEST_LINE, is_record

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 2**20  # bytes of one read
_SECONDS_UNSHARED = 1.0  # at most, before other machines see the bytes
_BEGINNING = 256  # bytes, which include the name of the test
_MAX_SIZE = 256 * 2**20  # what is read takes up to 25 times as much in memory
_TORN_HEADER = f'{{"format": "{FORMAT}"'.encode()
_URL = re.compile(r"[a-z][a-z0-9+.:-]*://", re.IGNORECASE)
_PASSWORD = re.compile(r"(?<=://)([^/:]*):[^/]*@")
_LOCAL_URLS = ("file://", "local://")
# The file systems of fsspec that append; others rewrite the file, or refuse.
_APPENDING = ("hdfs", "memory", "sftp", "smb", "ssh", "webhdfs")


class Chunk(NamedTuple):
    """A piece of a file, with the beginning, size and time of the file when read."""

    contents: bytes
    beginning: bytes  # the first 256 bytes of the file
    size: int
    # The time of the last change in seconds since 1970; None if not known, and for the
    # later pieces of a URL.
    changed: float | None


class LocalFile:
    """A new file of this machine, to which bytes are appended."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb", buffering=0)
        self.close = self._file.close  # append() raises ValueError after that
        self._shared = -math.inf

    def append(self, contents: bytes) -> None:
        """Add bytes, which stay if this process is killed after that."""
        while contents:
            contents = contents[self._file.write(contents) :]
        now = time.monotonic()
        if now - self._shared >= _SECONDS_UNSHARED:
            self._shared = now
            # A network disk shows the bytes to other machines when a handle is closed:
            # here a second one, which on other disks does nothing.
            os.close(os.dup(self._file.fileno()))


@dataclass(frozen=True)
class LocalStore:
    """A file of this machine, perhaps on a disk that other machines share."""

    given: str  # the path as the user wrote it
    path: Path
    seconds_between_reads: ClassVar[float] = 0.1
    seconds_between_stop_checks: ClassVar[float] = 0.0

    def resolved(self) -> LocalStore:
        """Return the store of the file to which a link leads at present."""
        return LocalStore(self.given, Path(os.path.realpath(self.path)))

    def read(self, offset: int, most: int = _PIECE) -> Chunk:
        """Return the bytes after an offset; raise FileNotFoundError without a file."""
        # Opened anew each time: else a network disk may show the file as it was.
        with open(self.path, "rb", opener=_open_at_once) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):  # it might have no end
                msg = "it is no regular file"
                raise ValueError(msg)
            beginning = file.read(_BEGINNING)
            file.seek(offset)
            # A read reserves memory for all bytes that it is asked for.
            contents = file.read(max(0, min(most, found.st_size - offset)))
        return Chunk(contents, beginning, found.st_size, found.st_mtime)

    def check_writable(self) -> None:
        """Raise ValueError if no record can be made here, as far as is known now."""
        found, problem = b"", ""
        try:
            found = self.read(0, LONGEST_LINE).contents
        except FileNotFoundError:
            if not self.resolved().path.parent.is_dir():
                problem = "is in a folder that does not exist; create the folder first"
        except (OSError, ValueError) as error:
            # The text of an OSError would add the path, which may be very long.
            what = getattr(error, "strerror", None) or error
            problem = f"cannot be a file: {what}; pass another path"
        if problem:
            raise invalid(self.given, "record", problem)
        _check_record(self.given, found)

    def create(self) -> LocalFile:
        """Create and open the file; an existing record is renamed first."""
        path = self.resolved().path  # a link keeps leading there
        while True:
            with suppress(FileExistsError):
                return LocalFile(path)
            self.check_writable()
            self._rename(path)

    def request_stop(self, test: str) -> None:
        """Ask a test to stop, by a file beside the record with the test's name."""
        # The test looks beside the file, whichever link leads there.
        request = Path(f"{self.resolved().path}.stop")
        request.write_bytes(test.encode(errors="replace"))

    def stop_requested(self, test: str) -> bool:
        """Whether a test is asked to stop; without a request, this takes 1 µs."""
        there = os.access(self._request.path, os.F_OK)
        return there and _asks_for(self._request, test)

    def clear_stop_request(self) -> None:
        """Remove a request to stop any test."""
        with suppress(OSError):
            self._request.path.unlink()

    @cached_property
    def _request(self) -> LocalStore:
        return LocalStore(f"{self.given}.stop", Path(f"{self.path}.stop"))

    def _rename(self, path: Path) -> None:
        """Give a record the next free name."""
        for name in _names_after(path.name):
            free = path.with_name(name)
            # Created first, so that no other job takes this name.
            with suppress(FileExistsError):
                free.touch(exist_ok=False)
                break
        try:
            path.replace(free)
        except FileNotFoundError:  # another job has renamed it
            free.unlink()
        except OSError as error:  # on Windows, while it is open
            free.unlink()
            problem = (
                f"is in use, and cannot be renamed to {free.name!r}: "
                f"{error.strerror}; pass the path of a new file"
            )
            raise invalid(self.given, "record", problem, OSError) from error


@dataclass
class RemoteFile:
    """
    A new file at a URL, to which bytes are appended.

    If the record of another test takes its place, it continues in the renamed file.
    """

    given: str
    system: Any  # of fsspec, which has no types
    path: str
    size: int = 0
    beginning: bytes = b""
    closed: bool = False

    def append(self, contents: bytes) -> None:
        """Add bytes, which stay if this process is killed after that."""
        if self.closed:
            msg = "the file is closed"
            raise ValueError(msg)
        with _os_errors(self.given), _connected(self.system):
            # The file is opened anew each time, and may be that of another test by now.
            if self._size_of(self.path) != self.size:
                self.path = self._renamed()
            with self.system.open(self.path, "ab") as file:
                file.write(contents)
        self.size += len(contents)
        self.beginning = (self.beginning + contents)[:_BEGINNING]

    def _size_of(self, path: str) -> int | None:
        self.system.invalidate_cache(path)
        try:
            size: int = self.system.info(path)["size"]
        except FileNotFoundError:
            return None
        return size

    def _renamed(self) -> str:
        for path in _paths_after(self.path):
            size = self._size_of(path)
            if size is None:
                msg = f"{self.given} is no longer the record of this test"
                raise OSError(msg)
            beginning = _part(self.system, path, 0, len(self.beginning))
            if (size, beginning) == (self.size, self.beginning):
                return path
        raise AssertionError  # the names have no end

    def close(self) -> None:
        """Let each later append() raise ValueError."""
        self.closed = True


@dataclass(frozen=True)
class RemoteStore:
    """A file at a URL that fsspec opens; each error of its system is an OSError."""

    url: str
    seconds_between_reads: ClassVar[float] = 1.0
    seconds_between_stop_checks: ClassVar[float] = 1.0

    @property
    def given(self) -> str:
        """The URL for messages, without a password."""
        return without_password(self.url)

    def resolved(self) -> RemoteStore:
        """Return this store, since the file system follows its own links."""
        return self

    def read(self, offset: int, most: int = _PIECE) -> Chunk:
        """Return the bytes after an offset; raise FileNotFoundError without a file."""
        with self._file() as (system, path):
            system.invalidate_cache(path)
            size: int = system.info(path)["size"]
            contents = _part(system, path, offset, min(size, offset + most))
            beginning = contents[:_BEGINNING]
            if offset:  # read last, to show whether the file was replaced
                beginning = _part(system, path, 0, min(size, _BEGINNING))
            changed = None
            if not offset:  # it may be one more request, and is of no use later
                with suppress(Exception):  # many file systems do not know it
                    changed = system.modified(path).timestamp()
        return Chunk(contents, beginning, size, changed)

    def check_writable(self) -> None:
        """Raise ValueError if no record can be made here; nothing is sent."""
        system = self.url.partition("://")[0]
        if system not in _APPENDING:
            problem = (
                "is a URL, to which no steps can be appended; pass a path of this "
                "machine, such as one on a shared disk, or a URL of "
                f"{', '.join(_APPENDING[:-1])} or {_APPENDING[-1]}"
            )
            raise invalid(self.given, "record", problem)

    def create(self) -> RemoteFile:
        """Create the file; an existing record is renamed first."""
        with suppress(FileNotFoundError):
            _check_record(self.given, self.read(0, LONGEST_LINE).contents)
            with self._file() as (system, path):
                free = (x for x in _paths_after(path) if not system.exists(x))
                system.mv(path, next(free))
        with self._file() as (system, path):
            system.pipe_file(path, b"")
            return RemoteFile(self.given, system, path)

    def request_stop(self, test: str) -> None:
        """Ask a test to stop, by a file beside the record with the test's name."""
        with self._file() as (system, path):
            system.pipe_file(f"{path}.stop", test.encode(errors="replace"))

    def stop_requested(self, test: str) -> bool:
        """Whether a test is asked to stop."""
        return _asks_for(RemoteStore(f"{self.url}.stop"), test)

    def clear_stop_request(self) -> None:
        """Remove a request to stop any test."""
        with suppress(OSError), self._file() as (system, path):
            system.rm_file(f"{path}.stop")

    @contextmanager
    def _file(self) -> Iterator[tuple[Any, str]]:
        """Return the file system, and the path of the file there."""
        from fsspec.core import url_to_fs  # noqa: PLC0415 (slow to import)

        with _os_errors(self.given):
            system, path = url_to_fs(self.url)
            with _connected(system):
                yield system, path


RecordStore: TypeAlias = LocalStore | RemoteStore


def store_of(path: str | os.PathLike[str]) -> RecordStore:
    """Return the store of a URL, or of a path, relative to the present folder."""
    if isinstance(path, str) and (scheme := _URL.match(path)):
        path = scheme[0].lower() + path[scheme.end() :]  # as fsspec needs it
        if not path.startswith(_LOCAL_URLS):
            return RemoteStore(path)
        from fsspec.core import url_to_fs  # noqa: PLC0415 (slow to import)

        return LocalStore(path, Path(url_to_fs(path)[1]))
    return LocalStore(os.fspath(path), Path(path).absolute())


def without_password(text: str) -> str:
    """Return a text, a URL perhaps, with three stars in place of a password."""
    return _PASSWORD.sub(r"\1:***@", text)


def writable_store(record: str | os.PathLike[str] | None) -> RecordStore | None:
    """Return the store of a record, if any; raise ValueError if it is not writable."""
    if record is None:
        return None
    store = store_of(record)
    store.check_writable()
    return store


def contents_of(store: RecordStore) -> bytes:
    """Return a whole file; raise ValueError if it is too large."""
    for most in (0, _MAX_SIZE):  # the size first, since a read reserves memory
        contents, _, size, _ = store.read(0, most)
        if size > _MAX_SIZE:
            msg = f"its {size} bytes are more than {_MAX_SIZE}"
            raise ValueError(msg)
    return contents


def _check_record(given: str, found: bytes) -> None:
    """Raise ValueError unless a file begins as a record does, or is part of one."""
    if not _TORN_HEADER.startswith(found) and not is_record(found):
        problem = "is no record, and is not replaced; pass another path"
        raise invalid(given, "record", problem)


def _names_after(name: str) -> Iterator[str]:
    """Yield the names of earlier records: run.1.jsonl, run.2.jsonl and so on."""
    path = PurePosixPath(name)
    return (f"{path.stem}.{number}{path.suffix}" for number in count(1))


def _paths_after(path: str) -> Iterator[str]:
    """Yield the paths of earlier records at a URL."""
    folder, slash, name = path.rpartition("/")
    return (folder + slash + earlier for earlier in _names_after(name))


def _asks_for(request: RecordStore, test: str) -> bool:
    """Whether there is a request to stop, and it names the test."""
    try:
        return request.read(0).contents == test.encode()
    except (OSError, ValueError):  # the test goes on: its steps are worth more
        return False


@contextmanager
def _os_errors(where: str) -> Iterator[None]:
    """Turn each error of a file system of fsspec into an OSError."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        msg = f"{where}: {str(error) or type(error).__name__}"
        raise OSError(msg) from error


@contextmanager
def _connected(system: Any) -> Iterator[None]:  # noqa: ANN401 (of fsspec, which has no types)
    """Let the next request connect anew after an error: fsspec keeps a lost one."""
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception:
        system.clear_instance_cache()
        raise


def _part(system: Any, path: str, begin: int, end: int) -> bytes:  # noqa: ANN401 (of fsspec, which has no types)
    # A request for no bytes may fail.
    return bytes(system.cat_file(path, begin, end)) if begin < end else b""


def _open_at_once(path: str, flags: int) -> int:
    """Open a file, without a wait for the writer of a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
