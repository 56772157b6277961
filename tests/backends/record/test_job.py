"""What a followed record gives, step by step."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import fsspec
import pytest
import torch

from lrwidget import range_test
from lrwidget.backends.record import RecordJob
from lrwidget.curve.history import Ended, JobHistory, Plan, Started, Stepped
from lrwidget.curve.lr_curve import Step
from lrwidget.curve.records.store import LocalStore, RemoteStore, store_of
from lrwidget.curve.records.writer import recorded
from lrwidget.curve.short_repr import short_repr
from tests.jobs import eventually
from tests.widget_parts import SECONDS

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from typing_extensions import Self

    from lrwidget.backends.base import Job
    from lrwidget.curve.history import Event
    from lrwidget.curve.lr_curve import StopReason

_SETTINGS = {"start_lr": 1e-3, "end_lr": 1.0, "num_it": 4}
_STEPS = [Step(i, 1e-3 * 10.0**i, 4.0 - i) for i in range(4)]
_STEPPED = [Stepped(0, step) for step in _STEPS]
_STARTED = Started(0, Plan(1e-3, 1.0, 4))


def _steps(count: int) -> Generator[Step, None, StopReason]:
    yield from _STEPS[:count]
    return "completed"


def _following(path: Path | str) -> RecordJob:
    return RecordJob(store_of(path))


class _Taken:
    """The events of a job so far, which a thread takes until the job ends."""

    def __init__(self, job: RecordJob) -> None:
        self.events: list[Event] = []
        self._thread = threading.Thread(target=self._take, args=(job,))

    def _take(self, job: RecordJob) -> None:
        for event in job.events():
            self.events.append(event)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()


def _header(**changes: Any) -> dict[str, Any]:
    header = {"format": "lrwidget.record", "version": 1, "test": "a"}
    return {**header, "settings": _SETTINGS, **changes}


def _written(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def _line(number: int, **changes: Any) -> dict[str, Any]:
    step = _STEPS[number]
    return {"iteration": number, "lr": step.lr, "loss": 1.0, **changes}


def test_it_is_a_job_that_goes_on_when_it_is_abandoned(tmp_path: Path) -> None:
    job: Job = _following(tmp_path / "run.jsonl")
    assert job.goes_on
    assert job.plans == (None,)


def test_it_gives_what_is_there_and_what_comes(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    job = _following(path)
    assert (job.activity().phase, job.activity().detail) == ("starting", str(path))
    writing = recorded(_steps(4), LocalStore(str(path), path), _SETTINGS)
    next(writing)
    next(writing)
    events = job.events()
    assert [next(events) for _ in range(3)] == [_STARTED, *_STEPPED[:2]]
    assert (job.activity().phase, job.activity().problem) == ("running", "")
    next(writing)
    assert next(events) == _STEPPED[2]
    list(writing)
    assert list(events) == [_STEPPED[3], Ended(0, "completed")]
    seconds = job.activity().seconds
    assert seconds is not None
    assert seconds >= 0
    assert job.activity().where == "record"


def test_a_request_goes_to_the_test(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    writing = recorded(_steps(4), LocalStore(str(path), path), _SETTINGS)
    next(writing)
    job = _following(path)
    with _Taken(job) as taken:
        eventually(
            lambda: taken.events == [_STARTED, _STEPPED[0]], lambda: taken.events
        )
        job.stop()
        eventually(lambda: job.activity().phase == "stopping", job.activity)
        assert list(writing) == []
    assert taken.events == [_STARTED, _STEPPED[0], Ended(0, "stopped")]


@pytest.mark.parametrize("begun", [False, True])
def test_who_leaves_it_waits_no_longer(tmp_path: Path, *, begun: bool) -> None:
    path = tmp_path / "run.jsonl"
    job = _following(path)
    events = job.events()
    if begun:
        _written(path, _header())
        assert next(events) == _STARTED
        job.stop()
    threading.Timer(0.05, job.abandon if begun else job.stop).start()
    assert list(events) == []
    assert path.with_name("run.jsonl.stop").exists() == begun
    if begun:
        assert path.with_name("run.jsonl.stop").read_text() == "a"


def test_a_request_is_written_though_following_ends_at_once(tmp_path: Path) -> None:
    path = _written(tmp_path / "run.jsonl", _header())
    job = _following(path)
    events = job.events()
    assert next(events) == _STARTED
    job.stop()
    job.abandon()
    assert list(events) == []
    assert path.with_name("run.jsonl.stop").read_text() == "a"


def test_another_test_takes_over(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    killed = recorded(_steps(4), LocalStore(str(path), path), _SETTINGS)
    next(killed)
    next(killed)
    with path.open("a") as file:
        file.write('{"iteration": ')  # torn
    job = _following(path)
    events = job.events()
    history = JobHistory(job.plans)
    for _ in range(3):
        history.apply(next(events))
    assert len(history) == 2
    writing = recorded(
        _steps(4), LocalStore(str(path), path), {**_SETTINGS, "num_it": 9}
    )
    next(writing)
    new = [next(events), next(events)]
    assert new == [Started(0, Plan(1e-3, 1.0, 9)), _STEPPED[0]]
    for event in new:
        history.apply(event)
    curve = history.runs[0].curve()
    assert curve.losses.tolist() == [4.0]
    assert curve.num_it == history.num_it == 9
    killed.close()
    writing.close()


def test_the_test_that_takes_over_is_not_asked_for_the_other(tmp_path: Path) -> None:
    path = _written(tmp_path / "run.jsonl", _header())
    job = _following(path)
    with _Taken(job) as taken:
        eventually(lambda: taken.events == [_STARTED], lambda: taken.events)
        job.stop()
        eventually(lambda: job.activity().phase == "stopping", job.activity)
        _written(path, _header(test="b"))
        eventually(lambda: taken.events == [_STARTED] * 2, lambda: taken.events)
        assert job.activity().phase == "running"
        job.stop()
        eventually(lambda: job.activity().phase == "stopping", job.activity)
        assert path.with_name("run.jsonl.stop").read_text() == "b"
        job.abandon()


def test_silence_is_told_from_the_time_of_the_file_on(tmp_path: Path) -> None:
    header = _header(process=3, host="<b>a\0\ud800")
    path = _written(tmp_path / "run.jsonl", header, _line(0))
    an_hour_ago = time.time() - 3600
    os.utime(path, (an_hour_ago, an_hour_ago))
    job = _following(path)
    events = job.events()
    assert next(events) == _STARTED
    assert next(events) == Stepped(0, _STEPS[0]._replace(loss=1.0))
    activity = job.activity()
    assert activity.since is not None
    assert time.monotonic() - activity.since == pytest.approx(3600, abs=60)
    assert activity.detail == "process 3 on <b>a  "
    _written(path, header, _line(0), _line(1))
    next(events)
    activity = job.activity()
    assert activity.since is not None
    assert time.monotonic() - activity.since < 60


def test_what_could_be_read_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _written(tmp_path / "run.jsonl", _header(), _line(0))
    job = _following(path)
    events = job.events()
    assert next(events) == _STARTED
    next(events)
    read, problems = LocalStore.read, []

    def failing(*arguments: Any) -> Any:
        problems.append(job.activity().problem)
        if len(problems) < 3:
            msg = "no route"
            raise OSError(msg)
        return read(*arguments)

    monkeypatch.setattr(LocalStore, "read", failing)
    _written(path, _header(), _line(0), _line(1))
    assert next(events) == Stepped(0, _STEPS[1]._replace(loss=1.0))
    assert problems[2] == "Reading failed, and is tried again: no route."
    assert job.activity().problem == ""
    problems.clear()
    with pytest.raises(OSError, match="no route"):
        next(_following(path).events())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("start_lr", "end_lr"), [(1e-3, 0.3), (8e-8, 0.999)])
def test_rates_may_be_rounded_to_the_type_of_a_tensor(
    tmp_path: Path, dtype: torch.dtype, start_lr: float, end_lr: float
) -> None:
    path = tmp_path / "run.jsonl"
    model = torch.nn.Linear(8, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=torch.tensor(0.1, dtype=dtype))
    batches = [(torch.zeros(4, 8), torch.zeros(4, dtype=torch.int64))]
    settings: Any = {"start_lr": start_lr, "end_lr": end_lr, "num_it": 9}
    loss_fn = torch.nn.CrossEntropyLoss()
    curve = range_test(model, optimizer, batches, loss_fn, record=path, **settings)
    rounded = torch.tensor([start_lr, end_lr], dtype=dtype).tolist()
    assert [curve.lrs[0], curve.lrs[-1]] == rounded != [start_lr, end_lr]
    steps = [x.step.lr for x in _following(path).events() if isinstance(x, Stepped)]
    assert steps == curve.lrs.tolist()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([{"lrs": []}], "line 1: it must be the header"),
        ([_header(version=2)], "line 1: version=2 is not known"),
        (
            [_header(settings={})],
            "settings cannot be used: start_lr=None must be",
        ),
        ([_header(settings={**_SETTINGS, "end_lr": 1e-4})], "must be below end_lr"),
        ([_header(settings={**_SETTINGS, "end_lr": 1e300})], "must be at most 1e"),
        ([_header(settings={**_SETTINGS, "num_it": 10**9})], "must be at most 1000000"),
        ([_header(settings={**_SETTINGS, "num_it": 2.5})], "must be an integer"),
        ([_header(settings={**_SETTINGS, "num_it": [9]})], "must be an integer"),
        ([_header(settings={**_SETTINGS, "step_mode": []})], "step_mode=.. is not kn"),
        ([_header(), _line(0, lr=1e-5)], "lr=1e-05 is not between start_lr=0.001"),
        ([_header(), _line(0, lr=9.0)], "lr=9.0 is not between start_lr=0.001 and"),
        ([_header(), _line(0), _line(1, lr=5.0)], "lr=5.0 is not between"),
        ([_header(), _line(0, lr=9.0), _line(1, lr=9.5)], "lr=9.0 is not between"),
        ([_header(), _line(0, loss=None)], "line 2: loss=None is not a number"),
        ([_header(), {"stop_reason": "tired"}], "stop_reason='tired'"),
    ],
)
def test_what_is_malformed_is_a_clear_error(
    tmp_path: Path, lines: list[Any], said: str
) -> None:
    path = _written(tmp_path / "run.jsonl", *lines)
    with pytest.raises(ValueError, match=said) as raised:
        list(_following(path).events())
    assert f"path={short_repr(str(path))} holds no record of a test" in str(
        raised.value
    )


def test_a_failed_test_is_an_error_in_its_own_words(tmp_path: Path) -> None:
    failed = {"error": "KeyError: '\ud800'" + "x" * 10**4}
    path = _written(tmp_path / "run.jsonl", _header(), _line(0), failed)
    events = _following(path).events()
    assert len([next(events), next(events)]) == 2
    with pytest.raises(RuntimeError, match="has failed: KeyError: ' 'xxx") as raised:
        next(events)
    assert len(str(raised.value)) < 2100


def test_steps_before_a_malformed_line_are_given(tmp_path: Path) -> None:
    path = _written(tmp_path / "run.jsonl", _header(), _line(0), _line(1), {"lr": 1})
    events = _following(path).events()
    assert next(events) == _STARTED
    assert [next(events).step.iteration for _ in range(2)] == [0, 1]  # type: ignore[union-attr]  # two steps
    with pytest.raises(ValueError, match="line 4: "):
        next(events)


def test_a_record_of_fsspec_is_followed(
    tmp_path: Path, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy() -> None:
        fsspec.filesystem("memory").pipe_file(memory, path.read_bytes())

    monkeypatch.setattr(RemoteStore, "seconds_between_reads", 0.01)
    path = tmp_path / "run.jsonl"
    writing = recorded(_steps(4), LocalStore(str(path), path), _SETTINGS)
    job = _following(memory)
    next(writing)
    copy()
    events = job.events()
    assert [next(events), next(events)] == [_STARTED, _STEPPED[0]]
    list(writing)
    copy()
    assert list(events) == [*_STEPPED[1:], Ended(0, "completed")]
