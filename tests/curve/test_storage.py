from __future__ import annotations

import csv
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrwidget.curve.record import LRCurve

if TYPE_CHECKING:
    from pathlib import Path


def _curve(losses: list[float], **kwargs: Any) -> LRCurve:
    lrs = np.geomspace(1e-7, 10, 100)[: len(losses)]
    return LRCurve(lrs, np.array(losses, float), **kwargs)


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=60),
    st.sampled_from([None, "completed", "diverged", "stopped"]),
)
def test_any_curve_survives_json(losses: list[float], reason: Any) -> None:
    curve = _curve(losses, stop_reason=reason, num_it=100)

    def refuse(constant: str) -> None:
        msg = f"{constant} is not strict JSON"
        raise AssertionError(msg)

    text = json.dumps(curve.to_dict(), allow_nan=False)
    again = LRCurve.from_dict(json.loads(text, parse_constant=refuse))
    np.testing.assert_array_equal(again.lrs, curve.lrs)
    np.testing.assert_array_equal(again.losses, curve.losses)
    assert (again.stop_reason, again.num_it) == (reason, 100)


def test_save_and_load(tmp_path: Path) -> None:
    curve = _curve([2.0, math.inf, math.nan], stop_reason="stopped", num_it=9)
    curve.save(tmp_path / "x.json")
    again = LRCurve.load(str(tmp_path / "x.json"))
    assert again.to_dict() == curve.to_dict()


_GOOD = _curve([2.0, 1.0], num_it=2).to_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "format="),
        ({"version": 2}, "version=2 is not known"),
        ({"num_it": "2"}, "num_it='2' must be an integer"),
        ({"num_it": -1}, "num_it=-1 is less than"),
        ({"num_it": True}, "num_it=True must be an integer"),
        ({"num_it": None}, "num_it=None must be an integer"),
        ({"num_it": 1}, "num_it=1 is less than"),
        ({"lrs": None}, "lrs must be a list of numbers, not NoneType"),
        ({"losses": "12"}, "losses must be a list"),
        ({"losses": [1.0]}, "must be of one length"),
        ({"losses": [1.0, "1"]}, "losses holds '1', which is not a number"),
        ({"losses": [1.0, [2.0]]}, "which is not a number"),
        ({"losses": [1.0, True]}, "losses holds 'True'"),
        ({"losses": [1.0, 10**400]}, "too large"),
        ({"lrs": [0.1, "nan"]}, "must be finite"),
        ({"stop_reason": "x"}, "stop_reason='x'"),
        ({"stop_reason": ["completed"]}, "stop_reason="),
    ],
)
def test_bad_data(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LRCurve.from_dict(_GOOD | change)


@pytest.mark.parametrize("data", [None, [], "x", {}])
def test_data_that_is_no_curve(data: Any) -> None:
    with pytest.raises(ValueError, match="data must be a dict with format="):
        LRCurve.from_dict(data)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": "lrwidget.LRCurve"}', "[" * 100_000, "\x80"]
)
def test_bad_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"path='.*x.json' holds no curve"):
        LRCurve.load(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        LRCurve.load(tmp_path / "none.json")


def test_csv_is_exact(tmp_path: Path) -> None:
    curve = _curve([1 / 3, math.nan, math.inf])
    curve.to_csv(tmp_path / "x.csv")
    with (tmp_path / "x.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["lr", "loss"]
    values = np.array(rows, float)
    np.testing.assert_array_equal(values, np.c_[curve.lrs, curve.losses])


def test_pandas() -> None:
    curve = _curve([3.0, 2.0, 1.0])
    frame = curve.to_pandas()
    assert list(frame.columns) == ["lr", "loss"]
    np.testing.assert_array_equal(frame.to_numpy(), np.c_[curve.lrs, curve.losses])
