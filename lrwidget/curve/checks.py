"""Checks of the arguments of a user, and the errors of bad ones."""

from __future__ import annotations

import math
import numbers
import operator
import os
from typing import TYPE_CHECKING

from lrwidget.curve.short_repr import short_repr

if TYPE_CHECKING:
    from collections.abc import Collection

_MOST_COUNT = 1_000_000  # beyond is a typing error, which would fill the memory


def invalid(
    value: object, name: str, problem: str, error: type[Exception] = ValueError
) -> Exception:
    """Return the error of an argument, with its name, its value and the problem."""
    return error(f"{name}={short_repr(value)} {problem}")


def check_object(name: str, value: object, example: str) -> None:
    """Raise TypeError if a class is given in place of an object of it."""
    if isinstance(value, type):
        problem = f"is a class; pass an object of it: {value.__name__}({example})"
        raise invalid(value, name, problem, TypeError)


def check_switch(name: str, value: object) -> object:
    """Return a value; raise TypeError unless it is True or False."""
    if not isinstance(value, bool):
        raise invalid(value, name, "must be True or False", TypeError)
    return value


def check_function(name: str, function: object) -> object:
    """Return a value; raise TypeError unless it is callable, or None."""
    if function is not None and not callable(function):
        problem = "must be callable; pass a function, or None"
        raise invalid(function, name, problem, TypeError)
    return function


def check_known(name: str, value: object, known: Collection[str | None]) -> object:
    """Return a value; raise ValueError unless it is one of some names."""
    if not (value is None or isinstance(value, str)) or value not in known:
        raise invalid(value, name, f"is not known; pass one of {tuple(known)}")
    return value


def check_path(name: str, value: object) -> object:
    """Return a value; raise TypeError unless it is a path as text, or a path object."""
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(path, str):
        problem = "must be the path of a file; pass for example 'run.jsonl'"
        raise invalid(value, name, problem, TypeError)
    return value


def positive_rate(name: str, value: object) -> float:
    """Return a learning rate as a float; raise unless it is finite and above 0."""
    example = f"{name}=1e-3"
    rate = usable_number(name, value, example)
    if not 0 < rate < math.inf:
        problem = f"must be finite and above 0; pass for example {example}"
        raise invalid(value, name, problem)
    return rate


def usable_memory(name: str, value: object) -> float:
    """Return a number of steps that an optimizer averages over; raise unless usable."""
    example = f"{name}=10"
    memory = usable_number(name, value, example)
    if not 1 <= memory < math.inf:
        problem = f"must be finite and at least 1; pass for example {example}"
        raise invalid(value, name, problem)
    return memory


def usable_number(name: str, value: object, example: str) -> float:
    """Return a real number of any library as a float, or raise what is wrong."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        problem = f"must be a number; pass for example {example}"
        raise invalid(value, name, problem, TypeError)
    try:
        return float(value)
    except OverflowError:
        problem = f"is too large for a float; pass for example {example}"
        raise invalid(value, name, problem) from None


def usable_count(
    name: str,
    value: object,
    least: int = 1,
    example: str = "1",
    most: int = _MOST_COUNT,
) -> int:
    """Return an integer in a range as one of Python, or raise what is wrong."""
    count = usable_integer(name, value, example)
    if not least <= count <= most:
        limit = f"at least {least}" if count < least else f"at most {most}"
        raise invalid(value, name, f"must be {limit}; pass for example {example}")
    return count


def usable_integer(name: str, value: object, example: str) -> int:
    """Return an integer of any library as one of Python; raise TypeError for others."""
    try:
        if isinstance(value, bool):
            raise TypeError  # noqa: TRY301 (a bool is an index, but never meant)
        return operator.index(value)  # type: ignore[arg-type]  # raises TypeError
    except TypeError:
        problem = f"must be an integer; pass for example {example}"
        raise invalid(value, name, problem, TypeError) from None
