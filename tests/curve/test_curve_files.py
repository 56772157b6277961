from __future__ import annotations

import csv
import errno
import json
import math
import os
import pickle
import resource
import stat
import subprocess
import sys
import threading
import tracemalloc
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrwidget.curve.lr_curve import LRCurve
from tests.curves import fitted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_Write: TypeAlias = "Callable[[LRCurve, str | Path], None]"
_WRITES = pytest.mark.parametrize("write", [LRCurve.save, LRCurve.to_csv])


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


@contextmanager
def _full_disk(room: int) -> Iterator[None]:
    """Let no file become larger than the room there is."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@_WRITES
@pytest.mark.parametrize("room", [0, 1, 500])
def test_a_full_disk_leaves_what_was_there(
    tmp_path: Path, write: _Write, room: int
) -> None:
    curve, path = _curve([2.0] * 100), tmp_path / "x"
    path.write_text("before")
    with (
        pytest.raises(OSError, match="the file there is as before") as caught,
        _full_disk(room),
    ):
        write(curve, path)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
    write(curve, path)
    assert path.stat().st_size > 500


@_WRITES
def test_a_full_disk_gets_no_part_of_a_file(tmp_path: Path, write: _Write) -> None:
    with pytest.raises(OSError, match=r"no file was made.*x"), _full_disk(10):
        write(_curve([2.0] * 100), tmp_path / "x")
    assert not list(tmp_path.iterdir())


@_WRITES
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has it")
def test_a_device_is_written_to_and_stays_one(tmp_path: Path, write: _Write) -> None:
    link = tmp_path / "link"
    link.symlink_to("/dev/full")
    for path in ("/dev/full", link):
        with pytest.raises(OSError, match=str(path)) as caught:
            write(_curve([2.0]), path)
        assert caught.value.errno == errno.ENOSPC
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)
    assert link.is_symlink()


@_WRITES
@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/fd/1"])
@pytest.mark.skipif(not Path("/dev/fd/1").exists(), reason="Windows has none")
def test_standard_output(tmp_path: Path, write: _Write, path: str) -> None:
    code = (
        "import numpy as np\n"
        "from lrwidget import LRCurve\n"
        f"LRCurve(np.array([0.1]), np.array([2.0])).{write.__name__}({path!r})\n"
    )
    command = [sys.executable, "-c", code]
    into_pipe = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    with (tmp_path / "out").open("w+b") as out:
        subprocess.run(command, stdout=out, check=True)
        out.seek(0)  # of the file that was given, and not of one in its place
        assert out.read() == into_pipe
    write(LRCurve(np.array([0.1]), np.array([2.0])), tmp_path / "x")
    assert into_pipe == (tmp_path / "x").read_bytes()


@_WRITES
@pytest.mark.parametrize("is_there", [True, False])
def test_links_go_on_to_lead_to_the_file(
    tmp_path: Path, write: _Write, *, is_there: bool
) -> None:
    file, link, other = (tmp_path / name for name in ("file", "link", "other"))
    link.symlink_to("file")
    (tmp_path / "folder").mkdir()
    other.symlink_to(link)
    if is_there:
        file.write_text("before")
    write(_curve([2.0]), other)
    assert link.is_symlink()
    assert other.is_symlink()
    assert not file.is_symlink()
    write(_curve([2.0]), tmp_path / "x")
    assert file.read_bytes() == (tmp_path / "x").read_bytes()


@_WRITES
def test_links_in_a_circle(tmp_path: Path, write: _Write) -> None:
    path = tmp_path / "link"
    path.symlink_to(path)
    with pytest.raises(OSError, match="link") as caught:
        write(_curve([2.0]), path)
    assert caught.value.errno == errno.ELOOP
    with pytest.raises(OSError, match="link"):
        LRCurve.load(path)


@_WRITES
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664, 0o755])
def test_a_file_keeps_its_mode(tmp_path: Path, write: _Write, mode: int) -> None:
    path = tmp_path / "x"
    path.touch()
    path.chmod(mode)
    write(_curve([2.0]), path)
    assert stat.S_IMODE(path.stat().st_mode) == mode


@_WRITES
def test_a_new_file_has_the_mode_of_any(tmp_path: Path, write: _Write) -> None:
    (tmp_path / "any").touch()
    write(_curve([2.0]), tmp_path / "x")
    assert (tmp_path / "x").stat().st_mode == (tmp_path / "any").stat().st_mode


@_WRITES
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_is_not_to_be_written(tmp_path: Path, write: _Write) -> None:
    path = tmp_path / "x"
    path.touch(0o444)
    with pytest.raises(PermissionError, match="as before"):
        write(_curve([2.0]), path)
    assert list(tmp_path.iterdir()) == [path]


@_WRITES
def test_the_error_names_the_path_that_was_passed(
    tmp_path: Path, write: _Write
) -> None:
    missing = tmp_path / "missing" / "x"
    with pytest.raises(FileNotFoundError) as caught:
        write(_curve([2.0]), missing)
    assert caught.value.filename == str(missing)
    with pytest.raises(IsADirectoryError) as is_folder:
        write(_curve([2.0]), tmp_path)
    assert is_folder.value.filename == str(tmp_path)


@_WRITES
def test_a_name_may_be_as_long_as_can_be(tmp_path: Path, write: _Write) -> None:
    path = tmp_path / ("x" * 255)
    write(_curve([2.0]), path)
    assert list(tmp_path.iterdir()) == [path]


def test_who_reads_meanwhile_reads_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    lengths = {1, 50, 100}
    curves = [_curve([2.0] * length) for length in lengths]
    curves[0].save(path)

    def save() -> None:
        for _ in range(20):
            for curve in curves:
                curve.save(path)

    writers = [threading.Thread(target=save) for _ in range(2)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert len(LRCurve.load(path)) in lengths
    assert list(tmp_path.iterdir()) == [path]


_GOOD = _curve([2.0, 1.0], num_it=2).to_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "format="),
        ({"format": ["lrwidget.LRCurve"]}, "format="),
        ({"version": 2}, "version=2 is not known"),
        ({"version": True}, "version=True is not known"),
        ({"version": 1.0}, r"version=1\.0 is not known"),
        ({"version": 10**5000}, "version=<int> is not known"),
        ({"num_it": "2"}, "num_it='2' must be an integer"),
        ({"num_it": -1}, "num_it=-1 is less than"),
        ({"num_it": True}, "num_it=True must be an integer"),
        ({"num_it": None}, "num_it=None must be an integer"),
        ({"num_it": 1}, "num_it=1 is less than"),
        ({"num_it": 10**5000}, "num_it=<int> must be at most"),
        ({"num_it": -(10**5000)}, "num_it=<int> is less than"),
        ({"lrs": None}, "lrs must be a list of numbers, not NoneType"),
        ({"losses": "12"}, "losses must be a list"),
        ({"losses": [1.0]}, "must be of one length"),
        ({"losses": [1.0, "1"]}, r"losses\[1\]='1' is not a number"),
        ({"losses": [1.0, [2.0]]}, r"losses\[1\]=\[2.0\] is not a number"),
        ({"losses": [1.0, True]}, r"losses\[1\]=True is not"),
        ({"losses": [1.0, 10**400]}, "too large"),
        ({"losses": [1.0, 10**5000]}, "too large"),
        ({"losses": [1.0, {"nan": 1}]}, r"losses\[1\]={'nan': 1} is not"),
        ({"losses": {"0": 1.0}}, "losses must be a list of numbers, not dict"),
        ({"lrs": [0.1, "nan"]}, "must be finite"),
        ({"stop_reason": "x"}, "stop_reason='x'"),
        ({"stop_reason": ["completed"]}, "stop_reason="),
        ({"stop_reason": {}}, "stop_reason={} is not known"),
        ({"stop_reason": 10**5000}, "stop_reason=<int> is not known"),
    ],
)
def test_bad_data(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LRCurve.from_dict(_GOOD | change)


@pytest.mark.parametrize("name", list(_GOOD))
def test_lists_in_lists_in_lists(name: str) -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    for value in (nested, [nested, 1.0]):
        with pytest.raises(ValueError, match=rf"{name}|format"):
            LRCurve.from_dict({**_GOOD, name: value})


@pytest.mark.parametrize("data", [None, [], "x", {}])
def test_data_that_is_no_curve(data: Any) -> None:
    with pytest.raises(ValueError, match="data must be a dict with format="):
        LRCurve.from_dict(data)


class _Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._path),)


def _with(name: str, json_text: str) -> bytes:
    """Return the file of a curve in which something has another value."""
    others = {key: value for key, value in _GOOD.items() if key != name}
    return f'{json.dumps(others)[:-1]}, "{name}": {json_text}}}'.encode()


_FILES = {
    "empty": b"",
    "cut off": b"{",
    "a list": b"[]",
    "no curve": b'{"format": "lrwidget.LRCurve"}',
    "deep": b"[" * 100_000,
    "deep objects": b'{"":' * 100_000,
    "deep within": _with("losses", "[" * 100_000 + "]" * 100_000),
    "deep beside": _with("more", "[" * 100_000 + "]" * 100_000),
    "no text": b"\x80",
    "UTF-16": json.dumps(_GOOD).encode("utf-16"),
    "two": json.dumps(_GOOD).encode() * 2,
    "a byte more": json.dumps(_GOOD).encode() + b"\0",
    "surrogate": _with("stop_reason", '"\\ud800"'),
    "encoded surrogate": _with("stop_reason", '"?"').replace(b"?", b"\xed\xa0\x80"),
    "large": _with("losses", f"[1.0, {10**400}]"),
    "larger": _with("losses", f"[1.0, {'1' * 5000}]"),
    "many steps": _with("num_it", "1" * 5000),
    "beside": _with("more", "1" * 5000),
    "large rate": _with("lrs", "[0.1, 1e999]"),
    "NaN": _with("losses", "[1.0, NaN]"),
    "infinity": _with("losses", "[1.0, -Infinity]"),
    "NaN beside": _with("more", "NaN"),
    "bool": _with("losses", "[1.0, false]"),
    "null": _with("lrs", "[0.1, null]"),
    "object": _with("lrs", '{"0": 0.1, "1": 0.2}'),
    "reduce": b'{"__reduce__": ["os.system", ["false"]], "py/object": "os.system"}',
    "pickled data": pickle.dumps(_GOOD),
    "pickled curve": pickle.dumps(_curve([2.0, 1.0])),
    "twice": json.dumps(_GOOD)[:-1].encode() + b', "losses": [0, 0]}',
    "twice within": _with("more", '[{"a": 1, "a": 1}]'),
}


@pytest.mark.parametrize("name", _FILES)
def test_bad_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(_FILES[name])
    with pytest.raises(ValueError, match=r"path='.*x.json' holds no curve"):
        LRCurve.load(path)


def test_what_is_wrong_with_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for name, message in {
        "larger": "a number of 5000 digits is too large",
        "infinity": "-Infinity is not strict JSON",
        "twice": "'losses' is there 2 times",
        "null": r"lrs\[1\]=None is not a number",
    }.items():
        path.write_bytes(_FILES[name])
        with pytest.raises(ValueError, match=message):
            LRCurve.load(path)


def test_a_file_may_say_more(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(_with("more", '{"__reduce__": ["os.system", ["false"]]}'))
    assert LRCurve.load(path).to_dict() == _GOOD


def test_no_file_is_unpickled(tmp_path: Path) -> None:
    path, made = tmp_path / "x.json", tmp_path / "made"
    evil = pickle.dumps(_Evil(made))
    for contents in (evil, json.dumps(_GOOD).encode() + evil):
        path.write_bytes(contents)
        with pytest.raises(ValueError, match="holds no curve"):
            LRCurve.load(path)
    assert not made.exists()
    pickle.loads(evil)  # noqa: S301 (which shows that it is)
    assert made.exists()


def test_a_file_that_is_cut_off_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    curve = _curve([2.0, math.inf, 0.5], stop_reason="completed", num_it=12)
    curve.save(path)
    contents = path.read_bytes()
    for length in range(len(contents) - len("}\n")):
        path.write_bytes(contents[:length])
        with pytest.raises(ValueError, match=r"path='.*x.json' holds no curve"):
            LRCurve.load(path)
    path.write_bytes(contents.rstrip())  # which is all of it
    assert LRCurve.load(path).to_dict() == curve.to_dict()


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.touch()
    os.truncate(path, 2**40)  # without a block on the disk
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"holds .* its 1099511627776 bytes are"):
            LRCurve.load(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_what_has_no_end_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    for endless in (path, "/dev/zero"):
        with pytest.raises(ValueError, match="it is no regular file"):
            LRCurve.load(endless)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        LRCurve.load(tmp_path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        LRCurve.load(tmp_path / "none.json")


def test_csv_is_exact(tmp_path: Path) -> None:
    curve = _curve([1 / 3, math.nan, math.inf, 0.1, 0.3])
    curve.to_csv(tmp_path / "x.csv")
    with (tmp_path / "x.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["lr", "loss", "fit", "error"]
    assert [row[2:] for row in rows[1:3]] == [["", ""]] * 2
    values = np.array([[x or "nan" for x in row] for row in rows], float)
    np.testing.assert_array_equal(values, curve.to_pandas())


def test_pandas() -> None:
    curve = _curve([3.0, 2.5, 1.0, math.nan, math.inf])
    frame = curve.to_pandas()
    assert list(frame.columns) == ["lr", "loss", "fit", "error"]
    expected = np.vstack([curve.lrs, curve.losses, fitted(curve)])
    expected[2:, 3:] = math.nan
    np.testing.assert_array_equal(frame.to_numpy(), expected.T)


def test_a_table_of_no_finite_loss_has_no_fit() -> None:
    frame = _curve([math.nan, math.inf]).to_pandas()
    assert frame[["fit", "error"]].isna().all(axis=None)
    assert len(_curve([]).to_pandas()) == 0
