from __future__ import annotations

import csv
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrwidget.curve.record import LRCurve, Recording, Step
from lrwidget.curve.smoothing import exponential_mean
from lrwidget.curve.suggest import RULES

if TYPE_CHECKING:
    from pathlib import Path


def _curve(losses: list[float], **kwargs: Any) -> LRCurve:
    lrs = np.geomspace(1e-7, 10, 100)[: len(losses)]
    return LRCurve(lrs, np.array(losses, float), **kwargs)


def _valley() -> LRCurve:
    x = np.linspace(-7, 1, 100)
    losses = 1 / (1 + np.exp(2 * (x + 2.5))) + np.where(x > 0, x**2, 0)
    return _curve(losses.tolist(), stop_reason="completed")


def test_arrays_are_copied_and_frozen() -> None:
    losses = np.array([2.0, 1.0])
    curve = LRCurve(np.array([0.1, 0.2]), losses)
    losses[0] = 5
    assert curve.losses.tolist() == [2, 1]
    for array in (curve.lrs, curve.losses):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(AttributeError):
        curve.lrs = losses  # type: ignore[misc]  # the point


@pytest.mark.parametrize(
    ("lrs", "losses", "message"),
    [
        ([0.1], [], "lrs and losses must be of one length, not of 1 and 0; pass"),
        ([0.1, 0.2], [1.0], "lrs and losses must be of one length, not of 2 and 1"),
        ([[0.1]], [[1.0]], r"lrs must be one-dimensional, not of shape \(1, 1\)"),
        ([0.1], ["a"], r"losses=\['a'\] must be numbers"),
        ([0.1], None, "losses must be one-dimensional"),
        ([0.1], [None, {}], r"losses=\[None, {}\] must be numbers"),
    ],
)
def test_what_is_no_curve(lrs: Any, losses: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LRCurve(lrs, losses)


@pytest.mark.parametrize(
    "lrs", [[0.0, 0.1], [-1.0, 1.0], [0.2, 0.1], [0.1, 0.1], [0.1, math.inf]]
)
def test_rates_that_are_none(lrs: Any) -> None:
    with pytest.raises(
        ValueError, match=r"lrs=.* must be finite, above 0 and strictly"
    ):
        LRCurve(lrs, np.array([1.0, 2.0]))


def test_unknown_stop_reason() -> None:
    with pytest.raises(ValueError, match="stop_reason='tired' is not known"):
        _curve([1.0], stop_reason="tired")


def test_more_steps_than_planned() -> None:
    with pytest.raises(ValueError, match="num_it=1 is less than the 2 steps"):
        _curve([2.0, 1.0], num_it=1)


def test_smoothing_is_a_view_of_raw_losses() -> None:
    curve = _curve([3.0, 1.0, 2.0])
    for beta in (0.0, 0.5, 0.98):
        expected = exponential_mean(curve.losses, beta)
        np.testing.assert_array_equal(curve.smoothed(beta), expected)
    np.testing.assert_array_equal(curve.smoothed(), curve.smoothed(0.98))
    assert curve.losses.tolist() == [3, 1, 2]


def test_suggestions() -> None:
    curve = _valley()
    assert curve.suggestions == {rule: curve.suggest(rule) for rule in RULES}
    assert curve.suggest() == curve.suggest("descent") == curve.suggestion().lr
    assert curve.min_grad_lr == curve.suggest("min_grad")
    assert None not in curve.suggestions.values()


def test_trimming_goes_by_the_planned_steps() -> None:
    losses = np.geomspace(8, 1, 30).tolist()
    assert _curve(losses, num_it=30).suggest("valley") is not None
    assert _curve(losses, num_it=250).suggest("valley") is None


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
    curve = _valley()
    frame = curve.to_pandas()
    assert list(frame.columns) == ["lr", "loss"]
    np.testing.assert_array_equal(frame.to_numpy(), np.c_[curve.lrs, curve.losses])


def test_repr_is_short() -> None:
    curve = _curve([2.0, 1.0], stop_reason="stopped")
    assert repr(curve) == "<LRCurve: 2 steps, 1e-07 to 1.2e-07, stop_reason='stopped'>"
    assert repr(_curve([])) == "<LRCurve: 0 steps, stop_reason=None>"


def test_recording() -> None:
    recording = Recording(5)
    assert len(recording.curve()) == 0
    for step in (Step(0, 0.1, 2.0), Step(1, 0.2, math.nan)):
        recording.append(step)
    earlier = recording.curve()
    recording.append(Step(2, 0.4, 1.0))
    recording.stop_reason = "stopped"
    curve = recording.curve()
    assert earlier.lrs.tolist() == [0.1, 0.2]
    assert curve.lrs.tolist() == [0.1, 0.2, 0.4]
    np.testing.assert_array_equal(curve.losses, [2, math.nan, 1])
    assert (curve.stop_reason, curve.num_it, len(recording)) == ("stopped", 5, 3)
