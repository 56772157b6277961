"""A curve as the contents of a file."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lrwidget.curve.record import LRCurve


def exported(
    curve: LRCurve, kind: str, beta: float, rule: str, choice: float | None
) -> bytes:
    """
    Return a curve as the contents of a file.

    Parameters
    ----------
    curve:
        The curve.
    kind:
        ``"json"``, for `LRCurve.load`, or ``"csv"``, or a picture: ``"png"`` or
        ``"svg"``.
    beta, rule, choice:
        What a picture shows beside the raw losses: how much these are smoothed, whose
        suggestion, and which chosen rate.

    Raises
    ------
    ImportError
        If a picture needs matplotlib, and that is not installed.
    """
    return _written(curve.save if kind == "json" else curve.to_csv)


def _written(write: Callable[[Path], object]) -> bytes:
    with TemporaryDirectory() as folder:
        file = Path(folder, "curve")
        write(file)
        return file.read_bytes()
