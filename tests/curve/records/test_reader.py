from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from lrwidget.curve.records import reader as growing
from lrwidget.curve.records.reader import GrowingRecord
from lrwidget.curve.records.store import place_of
from tests.curve.records.test_format import _HEADER, _line

if TYPE_CHECKING:
    from pathlib import Path

_OTHER = _HEADER.replace(b'"a"', b'"b"')


def _read(record: GrowingRecord) -> tuple[str, list[float]] | None:
    record.read_on(lambda: True)
    journal = record.journal
    return None if journal is None else (journal.header["test"], journal.lrs.tolist())


def test_what_comes_is_read_and_nothing_twice(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    record = GrowingRecord(place_of(path))
    assert _read(record) is None
    assert not record.begun
    path.touch()
    assert _read(record) is None
    contents = _HEADER + b"".join(_line(number) for number in range(3))
    for end in range(1, len(contents) + 1):
        path.write_bytes(contents[:end])
        found = _read(record)
        done = contents[:end].count(b"\n") - 1
        assert found == (None if done < 0 else ("a", list(range(1, done + 1))))
        assert record.problem is None


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_a_large_record_is_read_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr(growing, "_PIECE", piece)
    path = tmp_path / "run.jsonl"
    path.write_bytes(_HEADER + _line() + _line(1))
    assert _read(GrowingRecord(place_of(path))) == ("a", [1, 2])
    stopped = GrowingRecord(place_of(path))
    stopped.read_on(lambda: not stopped.begun)
    assert (stopped.journal is None) == (piece < 1000)


def test_a_file_that_is_cut_or_replaced_is_read_anew(tmp_path: Path) -> None:
    path, other = tmp_path / "run.jsonl", tmp_path / "other"
    record = GrowingRecord(place_of(path))
    path.write_bytes(_HEADER + _line() + _line(1))
    assert _read(record) == ("a", [1, 2])
    path.write_bytes(_OTHER)
    assert _read(record) == ("b", [])
    other.write_bytes(_HEADER + b"".join(_line(number) for number in range(5)))
    other.rename(path)
    assert _read(record) == ("a", [1, 2, 3, 4, 5])
    path.unlink()
    assert _read(record) == ("a", [1, 2, 3, 4, 5])  # until there is another


def test_a_new_file_with_an_old_number_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    record = GrowingRecord(place_of(path))
    for test in ("a", "b", "c"):
        contents = _HEADER + b"".join(_line(number) for number in range(ord(test) - 90))
        # Into the same file, as if its number came again.
        path.write_bytes(contents.replace(b'"a"', f'"{test}"'.encode()))
        assert _read(record) == (test, list(range(1, ord(test) - 89)))


def test_the_age_is_that_of_what_was_there_before(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(_HEADER)
    an_hour_ago = time.time() - 3600
    os.utime(path, (an_hour_ago, an_hour_ago))
    record = GrowingRecord(place_of(path))
    record.read_on(lambda: True)
    assert record.age == pytest.approx(3600, abs=60)
    path.write_bytes(_HEADER + _line())
    record.read_on(lambda: True)
    assert record.age == 0
    os.utime(path, (time.time() + 3600,) * 2)  # where clocks differ
    ahead = GrowingRecord(place_of(path))
    ahead.read_on(lambda: True)
    assert ahead.age == 0
