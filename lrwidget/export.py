"""A curve as the contents of a file."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from lrwidget.curve import picture

if TYPE_CHECKING:
    from collections.abc import Callable

    from lrwidget.curve.picture import Looks
    from lrwidget.curve.record import LRCurve


def exported(curve: LRCurve, kind: str, looks: Looks) -> bytes:
    """
    Return a curve as the contents of a file.

    Parameters
    ----------
    curve:
        The curve.
    kind:
        ``"json"``, for `LRCurve.load`, or ``"csv"``, or a picture: ``"png"`` or
        ``"svg"``.
    looks:
        What a picture shows beside the raw losses.

    Raises
    ------
    RuntimeError
        If the curve has no points, or a picture needs matplotlib, and that is not
        installed.
    """
    if not len(curve):
        msg = "there is nothing to export yet: run the test first"
        raise RuntimeError(msg)
    if kind in {"json", "csv"}:
        return _written(curve.save if kind == "json" else curve.to_csv)
    drawn = picture.png(curve, **looks) if kind == "png" else _svg(curve, looks)
    if drawn is None:
        msg = "a picture needs matplotlib: pip install 'lrwidget[plot]'"
        raise RuntimeError(msg)
    return drawn


def _svg(curve: LRCurve, looks: Looks) -> bytes | None:
    text = picture.svg(curve, **looks)
    return None if text is None else text.encode()


def _written(write: Callable[[Path], object]) -> bytes:
    with TemporaryDirectory() as folder:
        file = Path(folder, "curve")
        write(file)
        return file.read_bytes()
