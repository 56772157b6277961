"""What functions refer to, beside what they are given."""

from __future__ import annotations

import inspect
import weakref
from functools import partial
from types import FunctionType, MethodType


def outside(function: object) -> list[object]:
    """Return what a function uses from outside of it, by name."""
    if isinstance(function, partial):
        inside = (function.func, *function.args, *function.keywords.values())
        return [value for part in inside for value in (part, *outside(part))]
    if isinstance(function, MethodType):
        return outside(function.__func__)
    if not isinstance(function, FunctionType):
        return []
    try:
        names = inspect.getclosurevars(function)
    except ValueError:  # a name that has no value yet
        return []
    return [*names.nonlocals.values(), *names.globals.values()]


def belongs_to_any(value: object, owners: set[object]) -> bool:
    """Whether something is one of some objects, or leads to one of them by itself."""
    if isinstance(value, weakref.ref):
        value = value()
    elif isinstance(value, MethodType):
        value = value.__self__
    try:
        return value in owners
    except TypeError:  # that cannot be looked up
        return False
