from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import fsspec
import pytest

from lrwidget.curve import files
from lrwidget.curve.lr_curve import LRCurve
from lrwidget.curve.records.local_store import LocalPlace
from lrwidget.curve.records.remote_store import RemotePlace
from lrwidget.curve.records.store import place_of
from lrwidget.curve.storage import as_json

if TYPE_CHECKING:
    from lrwidget.curve.records.store import Place


@pytest.fixture(params=["local", "fsspec"])
def place(request: pytest.FixtureRequest, tmp_path: Path, memory: str) -> Place:
    return place_of(tmp_path / "run.jsonl" if request.param == "local" else memory)


def test_what_is_added_is_there_at_once(place: Place) -> None:
    assert place.look(0, 9) is None
    assert not place.exists()
    place.clear()
    file = place.appender()
    for end in range(1, 5):
        file.write(b"abcd"[end - 1 : end])
        look = place.look(0, 9)
        assert look is not None
        assert (look.contents, look.size) == (b"abcd"[:end], end)
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.write(b"e")
    assert place.contents() == b"abcd"


def test_any_piece_can_be_seen(place: Place) -> None:
    place.write(b"abcd")
    for offset in range(6):
        for most in range(4):
            look = place.look(offset, most)
            assert look is not None
            assert look.contents == b"abcd"[offset : offset + most]
            assert look.size == 4
            assert look.changed is not None


def test_what_is_beside_it_is_another_file(place: Place) -> None:
    place.write(b"record")
    beside = place.beside(".stop")
    assert beside.given == f"{place.given}.stop"
    beside.remove()  # which is not there
    beside.write(b"request")
    assert beside.contents() == b"request"
    assert place.contents() == b"record"
    beside.remove()
    assert not beside.exists()
    assert place.exists()
    place.check()


def test_a_file_that_was_replaced_is_another(tmp_path: Path) -> None:
    place = place_of(tmp_path / "run.jsonl")
    seen = []
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"as long")
        (tmp_path / name).rename(tmp_path / "run.jsonl")
        look = place.look(0, 9)
        assert look is not None
        seen.append(look.file)
    assert seen[0] != seen[1]


def test_which_place_it_is() -> None:
    for url in ("memory://run.jsonl", "s3://bucket/run.jsonl", "simplecache::s3://b/r"):
        assert place_of(url) == RemotePlace(url)
    for path in ("run.jsonl", "C:/run.jsonl", "a:b", "/a//b", Path("s3://b/r")):
        local = place_of(path)
        assert isinstance(local, LocalPlace)
        assert local.path == Path(path).absolute()
    with pytest.raises(TypeError):
        place_of(3)  # type: ignore[arg-type]  # the point


def test_what_fsspec_cannot_open_is_an_os_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = place_of("nosuch://run.jsonl")
    with pytest.raises(ValueError, match=r"cannot be opened: .*Protocol not known"):
        place.check()
    with pytest.raises(OSError, match=r"nosuch://run.jsonl: Protocol not known"):
        place.look(0, 1)

    def unreachable(*_: object, **__: object) -> None:
        msg = "no route"
        raise RuntimeError(msg)

    remote = place_of("memory://run.jsonl")
    memory = fsspec.filesystem("memory")
    for name in ("info", "_open", "exists", "pipe_file"):
        monkeypatch.setattr(memory, name, unreachable)
    for ask in (
        lambda: remote.look(0, 1),
        lambda: remote.appender().write(b"a"),
        remote.exists,
        remote.clear,
    ):
        with pytest.raises(OSError, match=r"memory://run.jsonl: no route"):
            ask()


def test_a_place_without_end_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", os.devnull):
        with pytest.raises(ValueError, match="no regular file"):
            place_of(path).look(0, 1)


def test_what_is_too_large_is_not_read(
    monkeypatch: pytest.MonkeyPatch, place: Place
) -> None:
    monkeypatch.setattr(files, "MOST", 9)
    place.write(b"0123456789")
    with pytest.raises(ValueError, match="its 10 bytes are more than 9"):
        place.contents()


def test_curves_are_read_by_url(memory: str) -> None:
    curve = LRCurve([1e-3, 1e-2], [2.0, 1.0], "stopped", 100)  # type: ignore[arg-type]  # lists are fine
    with pytest.raises(FileNotFoundError, match=r"run.jsonl"):
        LRCurve.load(memory)
    with fsspec.open(memory, "wb") as file:
        file.write(b"{}")
    with pytest.raises(ValueError, match=r"'memory://folder/run.jsonl' holds no curve"):
        LRCurve.load(memory)
    place_of(memory).write(as_json(curve))
    assert LRCurve.load(memory).to_dict() == curve.to_dict()
