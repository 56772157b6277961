from __future__ import annotations

import json
import resource
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lrwidget.curve import picture
from lrwidget.curve.lr_curve import LRCurve
from lrwidget.curve.picture import exported

if TYPE_CHECKING:
    from pathlib import Path

    from lrwidget.curve.picture import Looks

_LOOKS: Looks = {"smoothing": 0.5, "rule": "steep", "choice": 0.01}
_CURVE = LRCurve(
    np.array([1e-3, 0.01, 0.1]), np.array([2.0, 0.1 + 0.2, np.nan]), "non_finite", 9
)


def _export(kind: str) -> bytes:
    return exported(_CURVE, kind, _LOOKS)


def test_json_is_what_a_curve_is_made_of_again() -> None:
    data = json.loads(_export("json"))
    assert LRCurve.from_dict(data).to_dict() == _CURVE.to_dict()


def test_csv_has_a_row_for_each_step() -> None:
    rows = _export("csv").decode().splitlines()
    header, *steps = (row.split(",") for row in rows)
    assert header == ["lr", "loss", "fit", "error"]
    assert [step[:2] for step in steps] == [
        *(["0.001", "2.0"], ["0.01", "0.30000000000000004"], ["0.1", "nan"]),
    ]
    # Of two points, the fit is their line, without residuals.
    assert np.array([step[2:] for step in steps[:2]], float) == pytest.approx(
        np.array([[2.0, 0], [0.3, 0]]), abs=1e-6
    )
    assert steps[2][2:] == ["", ""]


def test_they_are_the_files_that_a_curve_writes(tmp_path: Path) -> None:
    _CURVE.save(tmp_path / "curve.json")
    _CURVE.to_csv(tmp_path / "curve.csv")
    for kind in ("json", "csv"):
        assert _export(kind) == (tmp_path / f"curve.{kind}").read_bytes()


def test_no_disk_is_needed() -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))  # as on a full one
    try:
        contents = [_export(kind) for kind in ("json", "csv")]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert contents == [_export(kind) for kind in ("json", "csv")]


def test_pictures_show_what_the_widget_does() -> None:
    assert _export("png") == picture.png(_CURVE, **_LOOKS)
    assert _export("svg").decode() == picture.svg(_CURVE, **_LOOKS)


@pytest.mark.parametrize("kind", ["json", "csv", "png", "svg"])
def test_a_curve_without_a_step(kind: str) -> None:
    empty = LRCurve(np.array([]), np.array([]))
    with pytest.raises(RuntimeError, match="nothing to export yet: run the test first"):
        exported(empty, kind, _LOOKS)


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_a_picture_needs_matplotlib(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(
        RuntimeError, match=r"matplotlib: pip install 'lrwidget\[plot\]'"
    ):
        _export(kind)
    assert _export("csv").startswith(b"lr,loss,fit,error")
