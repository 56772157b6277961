from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrwidget.curve.schedule import learning_rates


def test_linear_as_torch_lr_finder() -> None:
    rates = learning_rates(1e-5, 5e-5, 5, "linear")
    np.testing.assert_allclose(rates, [1e-5, 2e-5, 3e-5, 4e-5, 5e-5], rtol=1e-12)


def test_exponential_as_torch_lr_finder() -> None:
    rates = learning_rates(1e-5, 0.1, 5, "exp")
    np.testing.assert_allclose(rates, [1e-5, 1e-4, 1e-3, 1e-2, 1e-1], rtol=1e-12)


@given(
    start=st.floats(1e-12, 1.0),
    factor=st.floats(1.001, 1e9),
    num_it=st.integers(2, 300),
    step_mode=st.sampled_from(["exp", "linear"]),
)
def test_ends_are_exact_and_steps_even(
    start: float, factor: float, num_it: int, step_mode: Any
) -> None:
    end = start * factor
    rates = learning_rates(start, end, num_it, step_mode)
    assert (rates[0], rates[-1], len(rates)) == (start, end, num_it)
    steps = np.diff(np.log(rates) if step_mode == "exp" else rates)
    np.testing.assert_allclose(steps, steps.mean(), rtol=1e-6)


@pytest.mark.parametrize("name", ["start_lr", "end_lr"])
@pytest.mark.parametrize("value", [0, 0.0, -1.0, math.nan, math.inf, -math.inf])
def test_rate_out_of_range(name: str, value: float) -> None:
    rates = {"start_lr": 1e-7, "end_lr": 10.0} | {name: value}
    with pytest.raises(ValueError, match=rf"{name}={value!r} must be finite .* pass"):
        learning_rates(rates["start_lr"], rates["end_lr"], 10)


@pytest.mark.parametrize("value", ["1e-3", None, True, 1j, [0.1]])
def test_rate_that_is_no_number(value: Any) -> None:
    with pytest.raises(TypeError, match=r"start_lr=.* must be a number; pass"):
        learning_rates(value, 10, 10)


@pytest.mark.parametrize(("start", "end"), [(1.0, 1.0), (10.0, 1e-7)])
def test_ends_in_the_wrong_order(start: float, end: float) -> None:
    message = rf"start_lr={start!r} must be below end_lr={end!r}"
    with pytest.raises(ValueError, match=message):
        learning_rates(start, end, 10)


@pytest.mark.parametrize("value", [1, 0, -5])
def test_too_few_steps(value: int) -> None:
    with pytest.raises(ValueError, match=f"num_it={value} must be at least 2; pass"):
        learning_rates(1e-7, 10, value)


def test_too_many_steps() -> None:
    assert len(learning_rates(1e-7, 10, 10**6)) == 10**6
    for value in (10**6 + 1, 10**30):
        with pytest.raises(ValueError, match=f"num_it={value} must be at most 1000000"):
            learning_rates(1e-7, 10, value)


@pytest.mark.parametrize("value", [2.0, 10.5, "10", None, True])
def test_steps_that_are_no_integer(value: Any) -> None:
    with pytest.raises(TypeError, match=r"num_it=.* must be an integer; pass"):
        learning_rates(1e-7, 10, value)


def test_unknown_step_mode() -> None:
    with pytest.raises(ValueError, match=r"step_mode='cosine' is not known; pass one"):
        learning_rates(1e-7, 10, 10, "cosine")  # type: ignore[arg-type]  # the point


def test_more_steps_than_there_are_numbers() -> None:
    with pytest.raises(ValueError, match=r"num_it=10 .* too close .* pass"):
        learning_rates(1.0, 1.0 + 4 * np.finfo(float).eps, 10)


def test_numpy_numbers_are_numbers() -> None:
    count: Any = np.int64(3)
    rates = learning_rates(np.float32(0.5), np.int64(2), count)
    np.testing.assert_allclose(rates, [0.5, 1, 2])
