"""A value in the message of an error."""

from __future__ import annotations

import os
import reprlib

_MOST = 80
_TEXTS = (str, bytes, bytearray, os.PathLike)
_CUT = reprlib.Repr()
_CUT.maxstring = _CUT.maxother = _MOST


def short_repr(value: object) -> str:
    """Return the repr of a value if it is one short line, or else the type."""
    try:
        text = _CUT.repr(value) if isinstance(value, _TEXTS) else repr(value)
    # An integer of thousands of digits has none, nor have lists in lists in lists, and
    # that of a user's class may raise anything.
    except Exception:  # noqa: BLE001 (as said)
        text = ""
    if isinstance(value, int) and len(text) > _MOST:
        return f"{text[: _MOST - 3]}..."
    fits = 0 < len(text) <= _MOST and "\n" not in text
    return text if fits else f"<{type(value).__name__}>"
