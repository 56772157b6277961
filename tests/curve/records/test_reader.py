"""Records of tests: what is read of any file, at once and as it grows."""

from __future__ import annotations

import json
import os
import time
import tracemalloc
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given
from hypothesis import strategies as st

from lrwidget.curve.lr_curve import LRCurve
from lrwidget.curve.records.reader import GrowingRecord, RecordedTest, is_record
from lrwidget.curve.records.store import LocalStore, store_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lrwidget.curve.records.store import Chunk

_HEADER = (
    b'{"format": "lrwidget.record", "version": 1, "test": "a", '
    b'"settings": {"num_it": 9}}\n'
)
_OTHER = _HEADER.replace(b'"a"', b'"b"')


def _line(number: int = 0, **other: Any) -> bytes:
    line = {"iteration": number, "lr": number + 1, "loss": 1.0, **other}
    return json.dumps(line).encode() + b"\n"


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        (_HEADER + b'{"lr": 1}\n', "line 2: .* is no step, and no end"),
        (_HEADER + b"[1]\n", r"line 2: \[1\] is no object"),
        (_HEADER + b"nonsense\n", "line 2: Expecting value"),
        (_HEADER + _line() + b"nonsense\n" + _line(1), "line 3: Expecting value"),
        (_HEADER + b"\xff\n", "line 2: .*decode"),
        (_HEADER + b"[" * 100_000 + b"\n", "line 2: "),
        (_HEADER + b'{"lr": 1, "loss": NaN}\n', "NaN is not strict JSON"),
        (_HEADER + b'{"lr": 1, "lr": 2, "loss": 1}\n', "'lr' is there 2 times"),
        (_HEADER + _line(loss="one"), "line 2: loss='one' is not a number"),
        (_HEADER + _line(lr=True), "line 2: lr=True is not a number"),
        (_HEADER + _line() * 2, "line 3: it is step 0, not 1"),
        (_HEADER + _line(1), "line 2: it is step 1, not 0"),
        (_HEADER + _line() + _line(1, lr=1), "must be finite and above 1.0"),
        (_HEADER + _line(stop_reason="tired"), "stop_reason='tired' is not known"),
        (_HEADER + _line(error="") + _line(), "line 3: it comes after the end"),
        (_HEADER.replace(b": 1,", b": true,"), "version=True is not known"),
        (_HEADER.replace(b'{"num_it": 9}', b"1"), "settings=1 must be a dict"),
        (_HEADER.replace(b'"a"', b"1"), "test=1 must be a str"),
        (_HEADER.replace(b"9", b'"9"'), "num_it='9' must be an integer"),
        (_HEADER + _line(lr=-1), "line 2: lr=-1.0 must be finite and above 0"),
        (_HEADER + _line(lr="inf"), "line 2: lr=inf must be finite"),
        (_HEADER + _line(lr="nan"), "line 2: lr=nan must be finite"),
        (_HEADER + _line(lr=10**390), "line 2: lr=1000.* is too large"),
        (_HEADER + b"{" + b" " * 200_000 + b"}\n", "line 2: it is longer than 100000"),
        (_HEADER + b"\0" * 200_000, "line 2: it is longer than 100000 bytes"),
        (_HEADER + _line()[:-1] + b"\0\n", "line 2: Extra data"),
        (_HEADER + _line() + _line(1, train_loss=1), "train_loss must be in each step"),
        (_HEADER + _line(train_loss=1) + _line(1), "train_loss must be in each step"),
        (_HEADER + _line(train_loss=None), "line 2: train_loss=None is not a number"),
        (_HEADER[:-1], "its header is incomplete"),
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
    more = b'{"alive": 3}\n\n' + _line(1, rank=3)
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


def _read(contents: bytes, cuts: list[int]) -> tuple[RecordedTest, str]:
    """Return what is read of a record that comes in pieces, and what is wrong."""
    test = RecordedTest()
    try:
        for begin, end in pairwise([0, *sorted(cuts), len(contents)]):
            test.feed(contents[begin:end])
    except ValueError as error:
        return test, str(error)
    return test, ""


@given(st.lists(st.one_of(_PIECES, st.binary(max_size=9)), max_size=9).map(b"".join))
def test_whatever_follows_a_header_is_steps_or_a_value_error(more: bytes) -> None:
    assert is_record(_HEADER + more)
    test, _ = _read(_HEADER + more, [])
    assert len(test.lrs) == len(test.losses)
    assert all(b'"iteration": %d' % step in more for step in range(len(test.lrs)))


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
    test = RecordedTest()
    for byte in _HEADER[:-1]:
        test.feed(bytes([byte]))
        assert test.header == {}
    test.feed(b"\n")
    assert test.header["settings"] == {"num_it": 9}


@pytest.mark.parametrize("end", [0, 1, 20, 33])
def test_a_torn_last_line_is_ignored(tmp_path: Path, end: int) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(_HEADER + _line() + _line(1)[:end])
    assert LRCurve.load(path).lrs.tolist() == [1]


def test_a_line_without_end_takes_no_memory() -> None:
    test = RecordedTest()
    test.feed(_HEADER)
    megabyte = b"x" * 2**20
    tracemalloc.start()
    for number in range(2, 52):
        with pytest.raises(ValueError, match=f"line {number}: it is longer than 10000"):
            test.feed(megabyte)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 2**20


def test_more_steps_than_there_were_to_be_are_an_error() -> None:
    lines = b"".join(_line(number) for number in range(10))
    with pytest.raises(ValueError, match="line 11: it is step 9, after the last st"):
        RecordedTest().feed(_HEADER + lines)


def test_the_work_is_in_proportion_to_the_record() -> None:
    calls: list[int] = []

    class _Counting(RecordedTest):
        def _read(self, text: bytes) -> None:
            calls.append(len(text))
            super()._read(text)

    test = _Counting()
    header = _HEADER.replace(b"9", b"100000")
    contents = header + b"".join(_line(number) for number in range(20_000))
    for begin in range(0, len(contents), 100):
        test.feed(contents[begin : begin + 100])
    assert sum(calls) + len(calls) == len(contents)
    assert len(test.lrs) == 20_000


def _read_on(record: GrowingRecord) -> tuple[str, list[float]] | None:
    record.read_on(lambda: True)
    test = record.test
    return (test.header["test"], test.lrs.tolist()) if test.header else None


def test_what_comes_is_read_and_nothing_twice(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    record = GrowingRecord(store_of(path))
    assert _read_on(record) is None
    path.touch()
    assert _read_on(record) is None
    contents = _HEADER + b"".join(_line(number) for number in range(3))
    for end in range(1, len(contents) + 1):
        path.write_bytes(contents[:end])
        found = _read_on(record)
        done = contents[:end].count(b"\n") - 1
        assert found == (None if done < 0 else ("a", list(range(1, done + 1))))


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_a_large_record_is_read_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    read = LocalStore.read
    monkeypatch.setattr(
        LocalStore, "read", lambda self, offset: read(self, offset, piece)
    )
    path = tmp_path / "run.jsonl"
    path.write_bytes(_HEADER + _line() + _line(1))
    assert _read_on(GrowingRecord(store_of(path))) == ("a", [1, 2])
    stopped = GrowingRecord(store_of(path))
    wanted = iter([True, False])
    stopped.read_on(lambda: next(wanted))
    assert (stopped.test.header == {}) == (piece < 1000)


def test_a_file_that_is_cut_or_replaced_is_read_anew(tmp_path: Path) -> None:
    path, other = tmp_path / "run.jsonl", tmp_path / "other"
    record = GrowingRecord(store_of(path))
    path.write_bytes(_HEADER + _line() + _line(1))
    assert _read_on(record) == ("a", [1, 2])
    path.write_bytes(_OTHER)
    assert _read_on(record) == ("b", [])
    other.write_bytes(_HEADER + b"".join(_line(number) for number in range(5)))
    other.rename(path)
    assert _read_on(record) == ("a", [1, 2, 3, 4, 5])
    path.unlink()
    assert _read_on(record) == ("a", [1, 2, 3, 4, 5])  # until there is another


def test_a_copy_that_is_made_again_is_the_same_record(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    record = GrowingRecord(store_of(path))
    contents = _HEADER + b"".join(_line(number) for number in range(5))
    path.write_bytes(contents)
    test = record.test
    assert _read_on(record) == ("a", [1, 2, 3, 4, 5])
    contents += _line(5)
    for end in range(0, len(contents), 10):
        path.write_bytes(contents[:end])
        assert _read_on(record) == ("a", [1, 2, 3, 4, 5])
    path.write_bytes(contents)
    assert _read_on(record) == ("a", [1, 2, 3, 4, 5, 6])
    assert record.test is test


def test_a_file_that_is_replaced_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(store: LocalStore, offset: int) -> Chunk:
        if offset == 90:
            path.write_bytes(other)
        return whole(store, offset, 10)

    path = tmp_path / "run.jsonl"
    path.write_bytes(_HEADER + b"".join(_line(number) for number in range(5)))
    other = _OTHER + _line() + _line(1)
    record = GrowingRecord(store_of(path))
    whole = LocalStore.read
    monkeypatch.setattr(LocalStore, "read", read)
    assert _read_on(record) == ("b", [1, 2])


@pytest.mark.parametrize("request_", range(5))
@pytest.mark.parametrize("before", [0, 3])
def test_a_remote_file_that_is_replaced_between_two_requests(
    memory: str, monkeypatch: pytest.MonkeyPatch, before: int, request_: int
) -> None:
    def replacing(name: str) -> Callable[..., Any]:
        method = getattr(MemoryFileSystem, name)

        def replaced(*arguments: Any, **options: Any) -> Any:
            requests.append(name)
            if len(requests) == request_ + 1:
                remote.pipe_file(memory, _OTHER + _line() + _line(1))
            return method(*arguments, **options)

        return replaced

    remote = fsspec.filesystem("memory")
    lines = [_line(number) for number in range(5)]
    remote.pipe_file(memory, _HEADER + b"".join(lines[:before]))
    record = GrowingRecord(store_of(memory))
    if before:
        _read_on(record)
        remote.pipe_file(memory, _HEADER + b"".join(lines))
    requests: list[str] = []
    for name in ("info", "cat_file"):
        monkeypatch.setattr(MemoryFileSystem, name, replacing(name))
    while len(requests) < request_ + 3:
        found = _read_on(record)
    assert found == ("b", [1, 2])


def test_a_new_file_with_an_old_number_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    record = GrowingRecord(store_of(path))
    for test in ("a", "b", "c"):
        contents = _HEADER + b"".join(_line(number) for number in range(ord(test) - 90))
        # Into the same file, as if its number came again.
        path.write_bytes(contents.replace(b'"a"', f'"{test}"'.encode()))
        assert _read_on(record) == (test, list(range(1, ord(test) - 89)))


def test_the_age_is_that_of_what_was_there_before(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(_HEADER)
    an_hour_ago = time.time() - 3600
    os.utime(path, (an_hour_ago, an_hour_ago))
    record = GrowingRecord(store_of(path))
    record.read_on(lambda: True)
    assert record.age == pytest.approx(3600, abs=60)
    path.write_bytes(_HEADER + _line())
    record.read_on(lambda: True)
    assert record.age == 0
    os.utime(path, (time.time() + 3600,) * 2)  # where clocks differ
    ahead = GrowingRecord(store_of(path))
    ahead.read_on(lambda: True)
    assert ahead.age == 0
