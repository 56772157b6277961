"""A value in the message of an error."""

from __future__ import annotations

_MOST = 80


def shown(value: object) -> str:
    """Return a value as code; its type, where that is long or cannot be had."""
    try:
        text = repr(value)
    # An integer of thousands of digits has none, nor have lists in lists in lists, and
    # that of a user's class may raise anything.
    except Exception:  # noqa: BLE001 (as said)
        text = ""
    if isinstance(value, int) and len(text) > _MOST:
        return f"{text[:_MOST]}..."
    return text if 0 < len(text) <= _MOST else f"<{type(value).__name__}>"
