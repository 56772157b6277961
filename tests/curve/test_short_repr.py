from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrwidget.curve.short_repr import short_repr

_MOST = 80


class _Unprintable(str):
    __slots__ = ()

    def __repr__(self) -> str:
        raise RuntimeError


class _Path(PurePosixPath):
    """A path with another name."""


@pytest.mark.parametrize(
    ("value", "begin", "end"),
    [
        ("/home/" + "a" * 100 + "/run.jsonl", "'/home/aaa", "aaa/run.jsonl'"),
        ("s3://bucket/" + "a" * 10**6 + ".jsonl", "'s3://bucket/a", "a.jsonl'"),
        (b"/home/" + b"a" * 100 + b"/run.jsonl", "b'/home/aaa", "aaa/run.jsonl'"),
        (bytearray(b"x" + b"a" * 100 + b"z"), "bytearray(b'xaaa", "aaaz')"),
        (
            PurePosixPath("/home", "a" * 100, "run.jsonl"),
            "PurePosixPath('/home/aaa",
            "aaa/run.jsonl')",
        ),
        (_Path("/home", "a" * 100, "run.jsonl"), "_Path('/home/aaa", "/run.jsonl')"),
        ("\0" * 100, "'\\x00\\x00", "\\x00\\x00'"),
    ],
    ids=["str", "url", "bytes", "bytearray", "path", "other path", "escapes"],
)
def test_a_long_text_is_shown_by_its_beginning_and_end(
    value: Any, begin: str, end: str
) -> None:
    text = short_repr(value)
    assert text.startswith(begin)
    assert text.endswith(end)
    assert text.count("...") == 1
    assert len(text) == _MOST


@pytest.mark.parametrize(
    "value", ["a" * 78, "it's", b"a" * 77, PurePosixPath("a/b"), 10**79, [1, "a"], None]
)
def test_what_is_short_is_shown_as_it_is(value: Any) -> None:
    assert short_repr(value) == repr(value)


def test_what_else_is_long_is_shown_by_its_type() -> None:
    assert short_repr(["a"] * 100) == "<list>"
    assert short_repr(np.ones((2, 2))) == "<ndarray>"  # of two lines
    assert short_repr(10**5000) == "<int>"
    assert short_repr(10**80) == "1" + "0" * 76 + "..."


def test_a_text_whose_repr_fails_is_shown_by_its_type() -> None:
    assert "_Unprintable" in short_repr(_Unprintable("a"))


@given(st.one_of(st.text(), st.binary()).flatmap(lambda x: st.sampled_from([x, x * 9])))
def test_texts_are_bounded(value: str | bytes) -> None:
    text = short_repr(value)
    assert 0 < len(text) <= _MOST
    if len(repr(value)) <= _MOST:
        assert text == repr(value)
