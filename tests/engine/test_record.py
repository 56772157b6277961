"""Tests that are recorded, and what is left of those that are killed."""

from __future__ import annotations

import inspect
import json
import math
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import fsspec
import numpy as np
import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem
from torch import nn
from torch.optim import SGD, AdamW

from lrwidget import LRCurve, LRWidget, RangeTest, range_test
from lrwidget.curve.records.store import RemoteStore
from tests.engine.training_parts import loader, state, warm

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_LOSS = nn.CrossEntropyLoss()
_KILLED = """
import os, signal, sys
import torch
from torch import nn
from lrwidget import RangeTest

model = nn.Linear(2, 1)
batches = [(torch.ones(4, 2), torch.zeros(4, 1))]
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in RangeTest(model, optimizer, batches, nn.MSELoss(), record=sys.argv[1]):
    print(repr(step.loss), flush=True)
    if step.iteration == 6:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_a_record_is_the_curve_and_nothing_else_differs(
    tmp_path: Path, isolation: Any
) -> None:
    model, optimizer = warm(AdamW)
    batches = loader()
    before = state(model, optimizer, batches)
    settings: Any = {"num_it": 30, "isolation": isolation, "seed": 3}
    expected = range_test(model, optimizer, batches, _LOSS, **settings)
    path = tmp_path / "run.jsonl"
    test = RangeTest(model, optimizer, batches, _LOSS, record=path, **settings)
    for _ in test:
        pass
    assert state(model, optimizer, batches) == before
    for curve in (test.curve, LRCurve.load(path)):
        assert curve.to_dict() == expected.to_dict()
    header = json.loads(path.read_text().partition("\n")[0])
    said = {
        "model": type(model).__name__,
        "optimizer": type(optimizer).__name__,
        "end_lr": 10.0,
        **settings,
    }
    assert said.items() <= header["settings"].items()
    assert header["versions"]["torch"] == torch.__version__


@pytest.mark.slow
def test_a_killed_job_leaves_every_finished_step(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    curve = LRCurve.load(path)
    assert curve.losses.tolist() == [float(x) for x in killed.stdout.split()]
    assert len(curve) == 7
    assert (curve.stop_reason, curve.num_it) == (None, 100)


def test_an_error_is_recorded_and_raised(tmp_path: Path) -> None:
    def failing(outputs: Any, targets: Any) -> Any:
        calls.append(None)
        if len(calls) > 3:
            msg = "at the fourth"
            raise RuntimeError(msg)
        return _LOSS(outputs, targets)

    calls: list[None] = []
    model, optimizer = warm(AdamW)
    batches = loader()
    before = state(model, optimizer, batches)
    path = tmp_path / "run.jsonl"
    with pytest.raises(RuntimeError, match="at the fourth"):
        range_test(model, optimizer, batches, failing, record=path)
    assert state(model, optimizer, batches) == before
    last = json.loads(path.read_text().splitlines()[-1])
    assert last["error"] == "RuntimeError: at the fourth"
    assert len(LRCurve.load(path)) == 3


def test_a_record_at_a_url_grows_and_stops(
    memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, optimizer = warm(AdamW)
    settings: Any = {"num_it": 30, "stop_div": False, "record": memory}
    test = RangeTest(model, optimizer, loader(), _LOSS, **settings)
    monkeypatch.setattr(RemoteStore, "seconds_between_stop_checks", math.inf)
    for number, _ in enumerate(test, 1):
        so_far = LRCurve.load(memory)
        assert so_far.losses.tolist() == test.curve.losses.tolist()
        assert (len(so_far), so_far.stop_reason) == (number, None)
    assert LRCurve.load(memory).to_dict() == test.curve.to_dict()
    earlier = test.curve.to_dict()

    monkeypatch.setattr(RemoteStore, "seconds_between_stop_checks", 0)
    for step in test:
        if step.iteration == 6:
            header = json.loads(
                fsspec.filesystem("memory").head(memory).split(b"\n")[0]
            )
            RemoteStore(memory).request_stop(header["test"])
    assert (len(test.curve), test.curve.stop_reason) == (7, "stopped")
    assert LRCurve.load(memory).to_dict() == test.curve.to_dict()
    assert LRCurve.load(memory.replace("run.", "run.1.")).to_dict() == earlier
    assert len(fsspec.filesystem("memory").ls("folder")) == 2


def test_an_unreachable_url_fails_the_test_and_nothing_else(
    memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        msg = "no route"
        raise RuntimeError(msg)

    model, optimizer = warm(AdamW)
    batches = loader()
    before = state(model, optimizer, batches)
    test = RangeTest(model, optimizer, batches, _LOSS, record=memory)
    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "pipe_file", unreachable)
        with pytest.raises(OSError, match="no route"):
            list(test)
    assert state(model, optimizer, batches) == before
    steps = iter(test)
    for _ in range(3):
        next(steps)
    monkeypatch.setattr(MemoryFileSystem, "open", unreachable)
    with pytest.raises(OSError, match="no route"):
        next(steps)
    assert state(model, optimizer, batches) == before
    assert len(test.curve) == 3


def test_the_password_in_a_url_is_not_shown(memory: str) -> None:
    url = memory.replace("//", "//me:pa@ss:word@")
    system = fsspec.filesystem("memory")
    model, optimizer = warm(AdamW)
    curve = range_test(model, optimizer, loader(), _LOSS, num_it=5, record=url)
    path = system.find("")[0]
    header = json.loads(system.cat_file(path).partition(b"\n")[0])
    assert header["settings"]["record"] == memory.replace("//", "//me:***@")
    assert len(LRCurve.load(url)) == len(curve) == 5
    widgets = [LRWidget.follow(url), LRWidget.follow(f"{url}.later")]
    widgets[0].wait(60)
    told = [*(x.status for x in widgets), *map(repr, widgets), *widgets[0].curves]
    system.pipe_file(path, b"a file of someone else\n")
    widgets.append(LRWidget.follow(url))
    bad: list[Callable[[], object]] = [
        lambda: range_test(model, optimizer, loader(), _LOSS, record=url),
        lambda: RangeTest(model, optimizer, loader(), _LOSS, record=f"no{url}"),
        lambda: LRCurve.load(url),
        lambda: LRCurve.load(f"no{url}"),
        widgets[-1].wait,
    ]
    for ask in bad:
        with pytest.raises((ValueError, OSError)) as raised:
            ask()
        told.append(str(raised.value))
    for widget in widgets:
        widget.close()
    assert all(text and "word" not in text for text in told), told


def test_a_widget_records_each_of_its_runs(
    tmp_path: Path, make: Callable[..., LRWidget]
) -> None:
    path = tmp_path / "run.jsonl"
    widget = make(record=str(path), num_it=20)
    curves = []
    for _ in range(2):
        widget.run()
        curves.append(widget.wait().to_dict())
        assert LRCurve.load(path).to_dict() == curves[-1]
    assert LRCurve.load(tmp_path / "run.1.jsonl").to_dict() == curves[0]


def test_a_file_that_cannot_be_written_raises_at_the_first_step(
    tmp_path: Path,
) -> None:
    model = nn.Linear(8, 3)
    optimizer = SGD(model.parameters(), lr=0.1)
    path = tmp_path / "gone" / "run.jsonl"
    path.parent.mkdir()
    test = RangeTest(model, optimizer, loader(), _LOSS, record=path)
    path.parent.rmdir()
    weights = model.weight.detach().clone()
    with pytest.raises(FileNotFoundError, match=r"run\.jsonl"):
        list(test)
    assert torch.equal(model.weight, weights)
    path.parent.mkdir()
    assert len(list(test)) == len(LRCurve.load(path))


@pytest.mark.parametrize(
    ("record", "kind", "said"),
    [
        (3, TypeError, "record=3 must be the path of a file"),
        (b"run", TypeError, "record=b'run' must be"),
        (
            "no/such/run.jsonl",
            ValueError,
            "record='no/such/run.jsonl' is in a folder",
        ),
        (
            ".",
            ValueError,
            r"record='\.' cannot be a file: Is a directory; pass another",
        ),
        (os.devnull, ValueError, "record='/dev/null' cannot be a file: it is no reg"),
        ("s3://b/run.jsonl", ValueError, "record='s3://b/run.jsonl' is a URL, to wh"),
        ("a\0b", ValueError, r"record='a\\x00b' cannot be a file: embedded null"),
        ("\ud800", ValueError, r"record='\\ud800' cannot be a file: .*surrogates"),
        (
            "a" * 300,
            ValueError,
            r"record='a+\.\.\.a+' cannot be a file: .*too long; pass another",
        ),
        (b"a" * 300, TypeError, r"record=b'a+\.\.\.a+' must be the path"),
    ],
)
def test_bad_paths(record: Any, kind: type[Exception], said: str) -> None:
    model = nn.Linear(8, 3)
    optimizer = SGD(model.parameters(), lr=0.1)
    with pytest.raises(kind, match=said) as raised:
        RangeTest(model, optimizer, loader(), _LOSS, record=record)
    assert len(str(raised.value)) < 250


def test_the_header_has_every_setting(tmp_path: Path) -> None:
    model = nn.Linear(8, 3)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.75)
    path = tmp_path / "run.jsonl"
    settings: Any = {"clip_grad_norm": math.inf, "val_loader": loader()}
    test = RangeTest(model, optimizer, loader(), _LOSS, record=path, **settings)
    next(iter(test))
    said = json.loads(path.read_text().partition("\n")[0])["settings"]
    assert said.pop("optimizer_memory") == 4.0
    assert {*said, "record"} == set(inspect.signature(RangeTest).parameters)
    assert said["clip_grad_norm"] == "inf"
    assert said["val_loader"] == "DataLoader"
    assert said["training_step"] is None


def test_a_relative_path_is_that_of_the_folder_where_the_test_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    model = nn.Linear(8, 3)
    optimizer = SGD(model.parameters(), lr=0.1)
    test = RangeTest(model, optimizer, loader(), _LOSS, record="run.jsonl")
    monkeypatch.chdir(tmp_path / "other")
    list(test)
    assert len(LRCurve.load(tmp_path / "run.jsonl")) == len(test.curve)
    (tmp_path / "other" / "train.py").write_text("import torch")
    with pytest.raises(ValueError, match=r"record='train\.py' is no record, and"):
        RangeTest(model, optimizer, loader(), _LOSS, record="train.py")


def test_numpys_numbers_can_be_recorded(tmp_path: Path) -> None:
    model = nn.Linear(8, 3)
    optimizer = SGD(model.parameters(), lr=0.1)
    settings: Any = {"start_lr": np.float32(1e-3), "end_lr": np.float64(1.0)}
    settings |= {"clip_grad_norm": np.float32(1.0), "seed": np.int64(3)}
    path = tmp_path / "run.jsonl"
    range_test(model, optimizer, loader(), _LOSS, record=path, num_it=5, **settings)
    assert len(LRCurve.load(path)) == 5
