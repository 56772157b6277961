"""Files that are written as a whole or not at all, and read up to a size."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

# A file there may be a pipe of this process, or what its standard output goes to.
_SPECIAL = {Path("/dev"), Path("/dev/fd"), Path("/proc")}
MOST = 256 * 2**20  # what is read takes up to 25 times as much in memory


def write(path: str | os.PathLike[str], contents: bytes) -> None:
    """
    Write a file as a whole, or leave all as it was.

    A file that is there keeps its mode, and a link goes on to lead to it. What is no
    regular file, such as a device or a pipe, is written to as it is.

    Raises
    ------
    OSError
        If it cannot be written, for a full disk, for example.
    """
    file = Path(path)
    try:
        existing = file.stat()
    except FileNotFoundError:
        existing = None
    if (existing is not None and not stat.S_ISREG(existing.st_mode)) or _special(file):
        _write_into(file, contents)
        return
    try:
        # through all links; Path.resolve raises a RuntimeError where they go in circles
        _replace(Path(os.path.realpath(file)), contents, existing)
    except OSError as error:
        kept = "no file was made" if existing is None else "the file there is as before"
        raise _named(error, file, f"; {kept}") from error


def read(path: str | os.PathLike[str]) -> bytes:
    """
    Read a file.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is no regular file, so that reading might have no end, or too large.
    """
    with open(Path(path), "rb", opener=opened_at_once) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            msg = "it is no regular file"
            raise ValueError(msg)
        # One that is written to at the moment may grow.
        contents = b"" if found.st_size > MOST else file.read(MOST + 1)
        check_size(max(found.st_size, len(contents)))
    return contents


def check_size(size: int) -> None:
    """Raise ValueError if a file is too large to be read."""
    if size > MOST:
        msg = f"its {size} bytes are more than {MOST}"
        raise ValueError(msg)


def _special(file: Path) -> bool:
    folder = Path(os.path.realpath(file.parent))
    return folder in _SPECIAL or Path("/proc") in folder.parents


def _write_into(file: Path, contents: bytes) -> None:
    try:
        with file.open("wb") as opened:
            opened.write(contents)
    except OSError as error:
        raise _named(error, file) from error


def _replace(file: Path, contents: bytes, existing: os.stat_result | None) -> None:
    if existing is not None:
        with file.open("r+b"):  # raises where it is not to be written
            pass
    # Beside it, since a file can be moved at once only on its own disk.
    partial = file.with_name(f".{token_hex(8)}.part")
    try:
        with partial.open("xb") as opened:
            _write_down(opened, contents)
        if existing is not None:
            partial.chmod(stat.S_IMODE(existing.st_mode))
        partial.replace(file)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def _write_down(opened: BinaryIO, contents: bytes) -> None:
    opened.write(contents)
    opened.flush()
    # Some disks tell only now that they are full.
    os.fsync(opened.fileno())


def _named(error: OSError, file: Path, more: str = "") -> OSError:
    """Return an error with the path that the user knows."""
    return OSError(error.errno, f"{error.strerror}{more}", str(file))


def opened_at_once(path: str, flags: int) -> int:
    """Open a file, but do not wait for who writes to a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
