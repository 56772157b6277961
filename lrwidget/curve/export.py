"""A curve as the contents of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lrwidget.curve import picture
from lrwidget.curve.storage import as_csv, as_json

if TYPE_CHECKING:
    from lrwidget.curve.lr_curve import LRCurve
    from lrwidget.curve.picture import Looks


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
        return as_json(curve) if kind == "json" else as_csv(curve)
    drawn = picture.png(curve, **looks) if kind == "png" else _svg(curve, looks)
    if drawn is None:
        msg = "a picture needs matplotlib: pip install 'lrwidget[plot]'"
        raise RuntimeError(msg)
    return drawn


def _svg(curve: LRCurve, looks: Looks) -> bytes | None:
    text = picture.svg(curve, **looks)
    return None if text is None else text.encode()
