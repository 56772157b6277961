"""Objects of other libraries, known by the names of their classes."""

from __future__ import annotations


def is_kind(value: object, *names: str) -> bool:
    """Whether a value is of a class of some name, or of one derived from it."""
    return any(kind.__name__ in names for kind in type(value).__mro__)
