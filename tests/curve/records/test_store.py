from __future__ import annotations

import os
from contextlib import closing, nullcontext
from pathlib import Path
from threading import Barrier, Thread
from typing import TYPE_CHECKING

import fsspec
import pytest
from fsspec.core import url_to_fs
from fsspec.implementations.memory import MemoryFileSystem

from lrwidget.curve.curve_files import as_json
from lrwidget.curve.lr_curve import LRCurve
from lrwidget.curve.records import store as stores
from lrwidget.curve.records.store import (
    LocalStore,
    RemoteStore,
    contents_of,
    store_of,
    writable_store,
)

if TYPE_CHECKING:
    from lrwidget.curve.records.store import RecordStore

_RECORD = b'{"format": "lrwidget.record", '


def _write(store: RecordStore, contents: bytes) -> None:
    with fsspec.open(store.given, "wb") as file:
        file.write(contents)


@pytest.fixture(params=["local", "fsspec"])
def store(request: pytest.FixtureRequest, tmp_path: Path, memory: str) -> RecordStore:
    path = str(tmp_path / "run.jsonl")
    return store_of(path if request.param == "local" else memory)


def test_any_piece_can_be_read(store: RecordStore) -> None:
    with pytest.raises(FileNotFoundError, match=r"run.jsonl"):
        store.read(0, 9)
    contents = bytes(range(256)) * 2
    _write(store, contents)
    for offset in (0, 1, 255, 256, 300, 511, 512, 513, 1000):
        for most in (0, 1, 9, 1000):
            chunk = store.read(offset, most)
            assert chunk.contents == contents[offset : offset + most]
            if offset or most >= 256:
                assert chunk.beginning == contents[:256]
            assert chunk.size == 512
            assert offset or chunk.changed is not None
    assert contents_of(store) == contents


def test_what_is_added_is_there_at_once(store: RecordStore) -> None:
    with closing(store.create()) as file:
        for end in range(1, 5):
            file.append(b"abcd"[end - 1 : end])
            assert store.read(0)[:3] == (b"abcd"[:end], b"abcd"[:end], end)
    with pytest.raises(ValueError, match="closed"):
        file.append(b"e")
    assert contents_of(store) == b"abcd"


def test_of_tests_that_overlap_each_has_its_file(store: RecordStore) -> None:
    def added(number: int) -> bytes:
        contents = b"%d" % number * (number + 1)
        files[number].append(contents)
        return contents

    files, expected = [], []
    for number in range(3):
        files.append(store.create())
        files[-1].append(_RECORD)
        expected.append(_RECORD + added(number))
        for earlier in range(number):
            expected[earlier] += added(earlier)
            expected[earlier] += added(earlier)
    earlier_records = [store.given.replace("run.", f"run.{n}.") for n in (1, 2)]
    found = [contents_of(store_of(x)) for x in (*earlier_records, store.given)]
    assert found == expected
    for file in files:
        file.close()


def test_a_remote_record_that_is_gone_is_not_continued(memory: str) -> None:
    file = store_of(memory).create()
    file.append(_RECORD)
    fsspec.filesystem("memory").pipe_file(memory, b"a file of someone else")
    with pytest.raises(OSError, match="is no longer the record of this test"):
        file.append(b"a")
    fsspec.filesystem("memory").rm_file(memory)
    with pytest.raises(OSError, match="is no longer the record of this test"):
        file.append(b"a")
    assert fsspec.filesystem("memory").find("") == []


def test_after_a_lost_connection_the_next_request_connects_anew(
    memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object, **__: object) -> None:
        msg = "Socket is closed"
        raise OSError(msg)

    store = store_of(memory)
    file = store.create()
    file.append(b"abc")
    system = fsspec.filesystem("memory")
    with pytest.raises(FileNotFoundError):
        store_of(f"{memory}.other").read(0)
    assert fsspec.filesystem("memory") is system
    for ask in (lambda: store.read(0), lambda: file.append(b"d")):
        for name in ("info", "open", "cat_file"):
            monkeypatch.setattr(fsspec.filesystem("memory"), name, lost)
        with pytest.raises(OSError, match="Socket is closed"):
            ask()
        assert store.read(0).contents == b"abc"


@pytest.mark.parametrize("folder", ["local", "memory://folder"])
@pytest.mark.parametrize("name", ["run%s.jsonl", "run%s", "run.json%s.l"])
def test_an_earlier_record_is_renamed(
    tmp_path: Path, memory: str, folder: str, name: str
) -> None:
    def add(number: int) -> None:
        with closing(store_of(f"{folder}/{name % ''}").create()) as file:
            file.append(_RECORD + b"%d" % number)

    def found() -> dict[str, int]:
        return {Path(f).name: int(system.cat_file(f)[-1:]) for f in system.find(path)}

    del memory  # empty
    folder = str(tmp_path) if folder == "local" else folder
    system, path = url_to_fs(folder)
    for number in range(4):
        add(number)
    assert found() == {name % "": 3, name % ".1": 0, name % ".2": 1, name % ".3": 2}
    system.rm_file(f"{path}/{name % '.2'}")
    add(4)  # which takes the next free name for the one before
    assert found() == {name % "": 4, name % ".1": 0, name % ".2": 3, name % ".3": 2}
    system.pipe_file(f"{path}/{name % ''}", b"a 5")
    with pytest.raises(ValueError, match="is no record, and is not replaced"):
        add(6)
    assert len(found()) == 4


def test_a_link_continues_to_lead_to_the_latest_record(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link, file = tmp_path / "link.jsonl", tmp_path / "disk" / "run.jsonl"
    link.symlink_to(file)
    for number in range(2):
        with closing(LocalStore("link.jsonl", link).create()) as opened:
            opened.append(_RECORD + b"%d" % number)
    assert link.is_symlink()
    assert file.read_bytes()[-1:] == b"1"
    assert (tmp_path / "disk" / "run.1.jsonl").read_bytes()[-1:] == b"0"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_link_into_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "link.jsonl"
    link.symlink_to(tmp_path / "missing" / "run.jsonl")
    with pytest.raises(ValueError, match="is in a folder that does not exist"):
        writable_store(link)


@pytest.mark.parametrize("there", [True, False])
def test_jobs_that_start_at_once_have_a_file_each(
    tmp_path: Path, *, there: bool
) -> None:
    jobs = 8
    store = LocalStore("run.jsonl", tmp_path / "run.jsonl")
    start = Barrier(jobs)

    def job(number: int) -> None:
        start.wait()
        with closing(store.create()) as file:
            file.append(_RECORD)
            file.append(b"%d" % number)

    for _ in range(20):
        for path in tmp_path.iterdir():
            path.unlink()
        expected = [_RECORD + b"%d" % number for number in range(jobs)]
        if there:
            store.path.write_bytes(_RECORD + b"before")
            expected.append(_RECORD + b"before")
        threads = [Thread(target=job, args=(number,)) for number in range(jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(p.read_bytes() for p in tmp_path.iterdir()) == sorted(expected)
        assert store.path.exists()


def test_a_record_that_cannot_be_renamed_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replace(*_: object) -> None:  # as on Windows while the file is open
        msg = "The process cannot access the file"
        raise PermissionError(13, msg)

    store = LocalStore("run.jsonl", tmp_path / "run.jsonl")
    store.create().close()
    monkeypatch.setattr(Path, "replace", replace)
    said = "record='run.jsonl' is in use, and cannot be renamed to 'run.1.jsonl': The p"
    with pytest.raises(OSError, match=said):
        store.create()
    assert [path.name for path in tmp_path.iterdir()] == ["run.jsonl"]


def test_a_request_to_stop_lies_beside_the_record(store: RecordStore) -> None:
    store.request_stop("b")
    store.request_stop("a")
    request = store_of(f"{store.given}.stop")
    assert contents_of(request) == b"a"
    with pytest.raises(FileNotFoundError):
        store.read(0)
    assert store.stop_requested("a")
    assert not store.stop_requested("b")
    store.clear_stop_request()
    assert not store.stop_requested("a")
    store.clear_stop_request()  # which is not there
    with pytest.raises(FileNotFoundError):
        request.read(0)


def test_what_no_step_can_be_appended_to_is_refused(tmp_path: Path) -> None:
    for url in ("s3://bucket/run.jsonl", "simplecache::sftp://h/r", "nosuch://run"):
        said = f"record='{url}' is a URL, to which no steps can be .*; pass a path of"
        with pytest.raises(ValueError, match=said):
            writable_store(url)
    for url in ("sftp://h/run.jsonl", "HDFS://H/run.jsonl", "memory://run.jsonl"):
        assert writable_store(url) == RemoteStore(url.replace("HDFS", "hdfs"))
    for contents, usable in {
        b"": True,
        b'{"form': True,
        _RECORD: True,
        b'{"version": 1, "format":"lrwidget.record"}\n': True,
        b"import torch": False,
        b'{"format": "lrwidget.LRCurve"}\n{"format": "lrwidget.record"}': False,
    }.items():
        (tmp_path / "run.jsonl").write_bytes(contents)
        store = LocalStore("run.jsonl", tmp_path / "run.jsonl")
        if usable:
            store.check_writable()
        else:
            with pytest.raises(
                ValueError, match=r"record='run\.jsonl' is no record, and"
            ):
                store.check_writable()


@pytest.mark.parametrize("usable", [True, False])
def test_of_a_long_file_the_beginning_alone_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, usable: bool
) -> None:
    def noted(store: LocalStore, *where: int) -> stores.Chunk:
        chunk = read(store, *where)
        sizes.append(len(chunk.contents))
        return chunk

    sizes: list[int] = []
    read = LocalStore.read
    monkeypatch.setattr(LocalStore, "read", noted)
    # The format is at the end of the longest first line that a record may have.
    ending = b'", "format": "lrwidget.%s"}' % (b"record" if usable else b"others")
    first = b'{"model": "' + b"x" * (100_000 - 11 - len(ending)) + ending
    assert len(first) == 100_000
    store = LocalStore("run.jsonl", tmp_path / "run.jsonl")
    store.path.write_bytes(first + b"\n" + b"x" * 10**6)
    with nullcontext() if usable else pytest.raises(ValueError, match="is no record"):
        store.check_writable()
    assert sum(sizes) <= 100_000


def test_the_time_of_a_remote_file_is_asked_for_with_its_beginning_alone(
    memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def noted(path: str) -> object:
        asked.append(path)
        return modified(path)

    asked: list[str] = []
    system = fsspec.filesystem("memory")
    modified = system.modified
    monkeypatch.setattr(system, "modified", noted)
    store = RemoteStore(memory)
    _write(store, b"0123456789")
    times = [store.read(offset).changed is None for offset in (0, 1, 9, 10)]
    assert times == [False, True, True, True]
    assert len(asked) == 1


def test_which_store_it_is(tmp_path: Path) -> None:
    for url in ("memory://run.jsonl", "s3://bucket/run.jsonl", "simplecache::s3://b/r"):
        assert store_of(url) == RemoteStore(url)
    for path in ("run.jsonl", "C:/run.jsonl", "a:b", "/a//b", Path("s3://b/r")):
        assert store_of(path) == LocalStore(str(path), Path(path).absolute())
    url = f"file://{tmp_path}/run.jsonl"
    assert store_of(url) == LocalStore(url, tmp_path / "run.jsonl")
    assert store_of(f"FILE{url[4:]}") == store_of(url)
    assert store_of("SFTP://Host/Run") == RemoteStore("sftp://Host/Run")
    with pytest.raises(TypeError):
        store_of(3)  # type: ignore[arg-type]  # the point


def test_what_fsspec_cannot_open_is_an_os_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(OSError, match=r"nosuch://run.jsonl: Protocol not known"):
        store_of("nosuch://run.jsonl").read(0)

    def unreachable(*_: object, **__: object) -> None:
        msg = "no route"
        raise RuntimeError(msg)

    remote = store_of("memory://run.jsonl")
    for name in ("info", "pipe_file"):
        monkeypatch.setattr(MemoryFileSystem, name, unreachable)
    for ask in (lambda: remote.read(0), lambda: remote.request_stop("a")):
        with pytest.raises(OSError, match=r"memory://run.jsonl: no route"):
            ask()


def test_a_file_without_end_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", os.devnull):
        with pytest.raises(ValueError, match="no regular file"):
            store_of(path).read(0)


def test_what_is_too_large_is_not_read(
    monkeypatch: pytest.MonkeyPatch, store: RecordStore
) -> None:
    monkeypatch.setattr(stores, "_MAX_SIZE", 9)
    _write(store, b"0123456789")
    with pytest.raises(ValueError, match="its 10 bytes are more than 9"):
        contents_of(store)


def test_curves_are_read_by_url(memory: str) -> None:
    curve = LRCurve([1e-3, 1e-2], [2.0, 1.0], "stopped", 100)  # type: ignore[arg-type]  # lists are fine
    with pytest.raises(FileNotFoundError, match=r"run.jsonl"):
        LRCurve.load(memory)
    with fsspec.open(memory, "wb") as file:
        file.write(b"{}")
    with pytest.raises(ValueError, match=r"'memory://folder/run.jsonl' holds no curve"):
        LRCurve.load(memory)
    _write(store_of(memory), as_json(curve))
    assert LRCurve.load(memory).to_dict() == curve.to_dict()
