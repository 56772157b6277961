"""Where a record lies: on a file system of this machine, or where fsspec finds it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TypeAlias

from lrwidget.curve.records.local_store import LocalPlace
from lrwidget.curve.records.remote_store import RemotePlace

_URL = re.compile(r"[a-z][a-z0-9+.:-]*://", re.IGNORECASE)

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
