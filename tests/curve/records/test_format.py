"""Records of tests: what is read of any file, at once and as it grows."""

from __future__ import annotations

import json
import tracemalloc
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrwidget.curve.lr_curve import LRCurve
from lrwidget.curve.records.format import Reader, is_record, latest

if TYPE_CHECKING:
    from pathlib import Path

_HEADER = (
    b'{"format": "lrwidget.record", "version": 1, "test": "a", '
    b'"settings": {"num_it": 9}}\n'
)


def _line(number: int = 0, **other: Any) -> bytes:
    line = {"test": "a", "iteration": number, "lr": number + 1, "loss": 1.0, **other}
    return json.dumps(line).encode() + b"\n"


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        (_HEADER + b'{"test": "a", "lr": 1}\n', "line 2: .* is no step, and no end"),
        (_HEADER + b"[1]\n", r"line 2: \[1\] is no object"),
        (_HEADER + b"nonsense\n", "line 2: Expecting value"),
        (_HEADER + _line() + b"nonsense\n" + _line(1), "line 3: Expecting value"),
        (_HEADER + b"\xff\n", "line 2: .*decode"),
        (_HEADER + b"[" * 100_000 + b"\n", "line 2: "),
        (_HEADER + b'{"lr": 1, "loss": NaN}\n', "NaN is not strict JSON"),
        (_HEADER + b'{"lr": 1, "lr": 2, "loss": 1}\n', "'lr' is there 2 times"),
        (_HEADER + _line(loss="one"), "line 2: loss='one' is not a number"),
        (_HEADER + _line(lr=True), "line 2: lr=True is not a number"),
        (_HEADER + _line() * 2, "line 3: it is step 0, where 1 should be"),
        (_HEADER + _line(1), "line 2: it is step 1, where 0 should be"),
        (_HEADER + _line() + _line(1, lr=1), "strictly increasing"),
        (_HEADER + _line(stop_reason="tired"), "stop_reason='tired' is not known"),
        (_HEADER + _line(error="") + _line(), "line 3: it comes after the end"),
        (_HEADER.replace(b": 1,", b": true,"), "version=True is not known"),
        (_HEADER.replace(b'{"num_it": 9}', b"1"), "settings=1 must be of another kind"),
        (_HEADER.replace(b'"a"', b"1"), "test=1 must be of another kind"),
        (_HEADER.replace(b"9", b'"9"'), "num_it='9' must be an integer"),
        (_HEADER + _line(lr=-1), "line 2: lr=-1 must be finite and above 0"),
        (_HEADER + _line(lr="inf"), "line 2: lr='inf' must be finite"),
        (_HEADER + _line(lr=10**390), "line 2: lr=1000.* is too large"),
        (_HEADER + b"{" + b" " * 200_000 + b"}\n", "line 2: it is longer than 100000"),
        (_HEADER + b"\0" * 200_000, "line 2: it is longer than 100000 bytes"),
        (_HEADER + _line()[:-1] + b"\0\n", "line 2: Extra data"),
        (_HEADER[:-1], "its header is torn"),
    ],
)
def test_what_is_no_record_is_a_clear_error(
    tmp_path: Path, contents: bytes, said: str
) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(contents)
    with pytest.raises(ValueError, match=said) as raised:
        LRCurve.load(path)
    assert f"path={str(path)!r} holds no record of a test" in str(raised.value)


def test_what_later_versions_may_add_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    more = b'{"test": "a", "alive": 3}\n\n' + _line(1, rank=3)
    path.write_bytes(_HEADER + _line(memory=1) + more)
    assert LRCurve.load(path).lrs.tolist() == [1, 2]


def test_other_programs_may_write_it_in_their_way(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    lines = [json.loads(line) for line in (_HEADER, _line(), _line(1))]
    texts = [json.dumps(line, separators=(",", ":")) for line in lines]
    path.write_bytes("\r\n".join([*texts, ""]).encode())
    assert LRCurve.load(path).lrs.tolist() == [1, 2]


_PIECES = st.sampled_from(
    [_HEADER, _line(), _line(1), _line(2), _line(stop_reason="stopped"), b"\n", b"{"]
)


@given(st.lists(st.one_of(_PIECES, st.binary(max_size=9)), max_size=9).map(b"".join))
def test_whatever_follows_a_header_is_steps_or_a_value_error(more: bytes) -> None:
    assert is_record(_HEADER + more)
    try:
        journal = latest(_HEADER + more)
    except ValueError:
        return
    assert len(journal.lrs) == len(journal.losses)
    assert all(b'"iteration": %d' % step in more for step in range(len(journal.lrs)))


def _read(contents: bytes, cuts: list[int]) -> tuple[object, ...]:
    """Return what a reader makes of a record that is fed in pieces."""
    reader = Reader()
    for begin, end in pairwise([0, *sorted(cuts), len(contents)]):
        reader.feed(contents[begin:end])
    return reader.journal, reader.problem


_LONG = st.just(b"x" * 100_001)
_CONTENTS = st.lists(st.one_of(_PIECES, st.binary(max_size=9), _LONG), max_size=9).map(
    b"".join
)


@given(_CONTENTS, st.lists(st.integers(0, 2000), max_size=30))
def test_it_does_not_matter_in_which_pieces_a_record_comes(
    contents: bytes, cuts: list[int]
) -> None:
    cuts = [min(cut, len(contents)) for cut in cuts]
    assert _read(contents, cuts) == _read(contents, [])


def test_nothing_is_wrong_with_a_record_that_has_hardly_begun() -> None:
    reader = Reader()
    for byte in _HEADER[:-1]:
        reader.feed(bytes([byte]))
        assert (reader.journal, reader.problem) == (None, None)
    reader.feed(b"\n")
    assert reader.journal is not None
    assert reader.journal.num_it == 9


def test_another_test_takes_over_and_mends_what_was_torn() -> None:
    reader = Reader()
    problems = []
    other = _HEADER.replace(b'"a"', b'"b"') + _line(1) + _line(test="b")
    for piece in (_HEADER + _line() + b'{"test": "a", "iter\n', other):
        reader.feed(piece)
        problems.append(reader.problem)
    assert [problem is None for problem in problems] == [False, True]
    assert reader.journal is not None
    assert reader.journal.header["test"] == "b"
    assert reader.journal.lrs.tolist() == [1]


def test_a_line_without_end_takes_no_memory() -> None:
    reader = Reader()
    reader.feed(_HEADER)
    megabyte = b"x" * 2**20
    tracemalloc.start()
    for _ in range(50):
        reader.feed(megabyte)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 2**20
    assert reader.problem == "line 2: it is longer than 100000 bytes"


def test_more_steps_than_there_were_to_be_are_an_error() -> None:
    lines = b"".join(_line(number) for number in range(10))
    with pytest.raises(ValueError, match="line 11: it is step 9, of 9 from 0"):
        latest(_HEADER + lines)


def test_the_work_is_in_proportion_to_the_record() -> None:
    calls: list[int] = []

    class _Counting(Reader):
        def _take(self, text: bytes) -> None:
            calls.append(len(text))
            super()._take(text)

    reader = _Counting()
    header = _HEADER.replace(b"9", b"100000")
    contents = header + b"".join(_line(number) for number in range(20_000))
    for begin in range(0, len(contents), 100):
        reader.feed(contents[begin : begin + 100])
    assert sum(calls) + len(calls) == len(contents)
    assert reader.journal is not None
    assert len(reader.journal.lrs) == 20_000
