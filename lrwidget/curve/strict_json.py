"""Strict JSON from any program."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from lrwidget.curve.short_repr import short_repr

if TYPE_CHECKING:
    from typing import NoReturn

_MOST_DIGITS = 400  # no number has more before its point


def parsed(contents: bytes) -> Any:  # noqa: ANN401 (any data)
    """Return the data; raise ValueError if they are malformed, or nested too deep."""
    try:
        return json.loads(
            contents.decode("utf-8"),
            parse_int=_integer,
            parse_constant=_refuse,
            object_pairs_hook=_unique,
        )
    except RecursionError as error:
        raise ValueError(str(error)) from error


def check_version(version: object, known: int) -> None:
    """Raise ValueError unless the version of a format is the known one."""
    if type(version) is not int or version != known:  # not True, nor 1.0
        msg = f"version={short_repr(version)} is not known; this is {known}"
        raise ValueError(msg)


def _integer(digits: str) -> int:
    # The error of Python would name Python's own settings.
    if len(digits) > _MOST_DIGITS:
        msg = f"a number of {len(digits)} digits is too large"
        raise ValueError(msg)
    return int(digits)


def _refuse(constant: str) -> NoReturn:
    msg = f"{constant} is not strict JSON"
    raise ValueError(msg)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; raise ValueError if it has a name twice."""
    data = dict(pairs)
    if len(data) < len(pairs):
        key, count = Counter(key for key, _ in pairs).most_common(1)[0]
        msg = f"{short_repr(key)} is there {count} times"
        raise ValueError(msg)
    return data
