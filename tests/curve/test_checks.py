from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from lrwidget.curve.checks import (
    check_function,
    check_known,
    check_switch,
    invalid,
    positive_rate,
    usable_count,
    usable_integer,
)


def test_an_error_names_the_argument_its_value_and_the_problem() -> None:
    error = invalid("a" * 200, "name", "is too long; pass a short one", TypeError)
    assert type(error) is TypeError
    assert re.fullmatch(r"name='a+\.\.\.a+' is too long; pass a short one", str(error))
    assert type(invalid(1, "name", "is odd")) is ValueError


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (check_switch, True),
        (check_switch, False),
        (check_function, len),
        (check_function, None),
        (lambda name, value: check_known(name, value, ("a", "b")), "b"),
        (lambda name, value: check_known(name, value, (None, "b")), None),
        (usable_count, 1),
        (usable_count, 1_000_000),
        (positive_rate, 0.5),
    ],
)
def test_a_good_value_is_returned(check: Any, value: object) -> None:
    assert check("name", value) is value


def test_numbers_become_those_of_python() -> None:
    for number in (
        usable_count("name", np.int64(5)),
        usable_integer("name", np.uint8(5), "1"),
    ):
        assert (number, type(number)) == (5, int)
    rate = positive_rate("name", np.float32(0.5))
    assert (rate, type(rate)) == (0.5, float)


@pytest.mark.parametrize(
    ("check", "value", "error", "message"),
    [
        (check_switch, 1, TypeError, "name=1 must be True or False"),
        (check_function, 1, TypeError, "name=1 must be callable; pass a function"),
        (usable_count, 0, ValueError, "name=0 must be at least 1; pass for example 1"),
        (usable_count, 10**7, ValueError, "name=10000000 must be at most 1000000"),
        (usable_count, True, TypeError, "name=True must be an integer; pass for"),
        (usable_count, 1.0, TypeError, "name=1.0 must be an integer; pass for"),
        (positive_rate, True, TypeError, "name=True must be a number; pass for"),
        (positive_rate, "1", TypeError, "name='1' must be a number; pass for example"),
        (positive_rate, 10**400, ValueError, "name=10+\\.\\.\\. is too large for"),
    ],
)
def test_a_bad_value_is_named(
    check: Any, value: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{message}"):
        check("name", value)


@pytest.mark.parametrize("value", ["c", None, 1, []])
def test_an_unknown_name_is_told_with_the_known_ones(value: object) -> None:
    message = re.escape(f"name={value!r} is not known; pass one of ('a', 'b')")
    with pytest.raises(ValueError, match=f"^{message}"):
        check_known("name", value, ("a", "b"))
