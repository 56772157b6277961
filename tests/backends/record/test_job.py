"""What a followed record gives, step by step."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from lrwidget.backends.record import job as followed
from lrwidget.backends.record.job import Began, FollowedRecording, FollowedTest
from lrwidget.curve.lr_curve import Step
from lrwidget.curve.records.local_store import LocalPlace
from lrwidget.curve.records.remote_store import RemotePlace
from lrwidget.curve.records.store import place_of
from lrwidget.curve.records.writer import journaled
from lrwidget.curve.short_repr import shown
from lrwidget.runner import Elsewhere

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from lrwidget.curve.lr_curve import StopReason

_SETTINGS = {"start_lr": 1e-3, "end_lr": 1.0, "num_it": 4}
_STEPS = [Step(i, 1e-3 * 10.0**i, 4.0 - i) for i in range(4)]


def _steps(count: int) -> Generator[Step, None, StopReason]:
    yield from _STEPS[:count]
    return "completed"


def _following(path: Path | str) -> FollowedTest:
    return FollowedTest(place_of(path), 1e-7, 10.0, 100)


def _header(**changes: Any) -> dict[str, Any]:
    header = {"format": "lrwidget.record", "version": 1, "test": "a"}
    return {**header, "settings": _SETTINGS, **changes}


def _written(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def _line(number: int, **changes: Any) -> dict[str, Any]:
    step = _STEPS[number]
    return {"test": "a", "iteration": number, "lr": step.lr, "loss": 1.0, **changes}


def test_it_is_a_source_that_runs_elsewhere(tmp_path: Path) -> None:
    assert isinstance(_following(tmp_path / "run.jsonl"), Elsewhere)


def test_it_gives_what_is_there_and_what_comes(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    test = _following(path)
    assert (test.start_lr, test.end_lr, test.num_it) == (1e-7, 10.0, 100)
    assert "Waiting for a test to begin" in str(test.state)
    writing = journaled(_steps(4), place_of(path), _SETTINGS)
    next(writing)
    next(writing)
    items = iter(test)
    assert [next(items) for _ in range(3)] == [Began(4), *_STEPS[:2]]
    assert (test.start_lr, test.end_lr, test.num_it) == (1e-3, 1.0, 4)
    assert test.state is None
    next(writing)
    assert next(items) == _STEPS[2]
    list(writing)
    assert next(items) == _STEPS[3]
    with pytest.raises(StopIteration) as end:
        next(items)
    assert end.value.value == "completed"
    assert test.seconds >= 0


def test_a_request_goes_to_the_test(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    writing = journaled(_steps(4), place_of(path), _SETTINGS)
    next(writing)
    test = _following(path)
    items = iter(test)
    assert [next(items), next(items)] == [Began(4), _STEPS[0]]
    test.stop()
    assert "Asked process" in str(test.state)
    assert list(writing) == []
    with pytest.raises(StopIteration) as end:
        next(items)
    assert end.value.value == "stopped"


@pytest.mark.parametrize("begun", [False, True])
def test_who_leaves_it_waits_no_longer(tmp_path: Path, *, begun: bool) -> None:
    path = tmp_path / "run.jsonl"
    test = _following(path)
    items = iter(test)
    if begun:
        _written(path, _header())
        assert next(items) == Began(4)
        test.stop()
        assert path.with_name("run.jsonl.stop").read_text() == "a"
    threading.Timer(0.05, test.stop).start()
    with pytest.raises(StopIteration) as end:
        next(items)
    assert end.value.value is None


def test_another_test_takes_over(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    killed = journaled(_steps(4), place_of(path), _SETTINGS)
    next(killed)
    next(killed)
    with path.open("a") as file:
        file.write('{"test": "')  # torn
    items = iter(_following(path))
    recording = FollowedRecording()
    for _ in range(3):
        recording.append(next(items))
    assert len(recording) == 2
    writing = journaled(_steps(4), place_of(path), {**_SETTINGS, "num_it": 9})
    next(writing)
    assert [next(items), next(items)] == [Began(9), _STEPS[0]]
    recording.append(Began(9))
    recording.append(_STEPS[0])
    assert recording.curve().losses.tolist() == [4.0]
    assert recording.curve().num_it == 9
    killed.close()
    writing.close()


def test_silence_is_told_from_the_time_of_the_file_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = _header(process=3, host="<b>a\0\ud800")
    path = _written(tmp_path / "run.jsonl", header, _line(0))
    test = _following(path)
    items = iter(test)
    assert next(items) == Began(4)
    assert next(items) == _STEPS[0]._replace(loss=1.0)
    assert test.state is None
    monkeypatch.setattr(followed, "_LONG_SILENCE", 0.0)
    assert test.state == (
        "No new step for 0 s, at step 1 of 4. The test is process 3 on <b>a  : Stop "
        "asks it to stop, and a second Stop ends following."
    )


def test_what_could_be_read_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _written(tmp_path / "run.jsonl", _header(), _line(0))
    test = _following(path)
    items = iter(test)
    assert next(items) == Began(4)
    next(items)
    look, tries = LocalPlace.look, []

    def failing(*arguments: Any) -> Any:
        tries.append(test.state)
        if len(tries) < 3:
            msg = "no route"
            raise OSError(msg)
        return look(*arguments)

    monkeypatch.setattr(LocalPlace, "look", failing)
    _written(path, _header(), _line(0), _line(1))
    assert next(items) == _STEPS[1]._replace(loss=1.0)
    assert "Reading failed, and is tried again: no route." in str(tries[-1])
    assert test.state is None
    tries.clear()
    with pytest.raises(OSError, match="no route"):
        next(iter(_following(path)))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([{"lrs": []}], "line 1: it is no header"),
        ([_header(version=2)], "line 1: version=2 is not known"),
        ([_header(settings={})], "settings cannot be: start_lr=None must be a number"),
        ([_header(settings={**_SETTINGS, "end_lr": 1e-4})], "must be below end_lr"),
        ([_header(settings={**_SETTINGS, "end_lr": 1e300})], "must be at most 1e"),
        ([_header(settings={**_SETTINGS, "num_it": 10**9})], "must be at most 1000000"),
        ([_header(settings={**_SETTINGS, "num_it": 2.5})], "must be an integer"),
        ([_header(settings={**_SETTINGS, "num_it": [9]})], "must be an integer"),
        ([_header(settings={**_SETTINGS, "step_mode": []})], "step_mode=.. is not kn"),
        ([_header(), _line(0, lr=1e-5)], "lr=1e-05 is not between start_lr=0.001"),
        ([_header(), _line(0, lr=9.0)], "lr=9.0 is not between start_lr=0.001 and"),
        ([_header(), _line(0), _line(1, lr=5.0)], "lr=5.0 is not between"),
        ([_header(), _line(0, loss=None)], "line 2: loss=None is not a number"),
        ([_header(), {"test": "a", "stop_reason": "tired"}], "stop_reason='tired'"),
    ],
)
def test_what_is_malformed_is_a_clear_error(
    tmp_path: Path, lines: list[Any], said: str
) -> None:
    path = _written(tmp_path / "run.jsonl", *lines)
    with pytest.raises(ValueError, match=said) as raised:
        list(_following(path))
    assert f"path={shown(str(path))} holds no record of a test" in str(raised.value)


def test_a_failed_test_is_an_error_in_its_own_words(tmp_path: Path) -> None:
    failed = {"test": "a", "error": "KeyError: '\ud800'" + "x" * 10**4}
    path = _written(tmp_path / "run.jsonl", _header(), _line(0), failed)
    items = iter(_following(path))
    assert len([next(items), next(items)]) == 2
    with pytest.raises(RuntimeError, match="has failed: KeyError: ' 'xxx") as raised:
        next(items)
    assert len(str(raised.value)) < 2100


def test_a_record_of_fsspec_is_followed(
    memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RemotePlace, "seconds_between_looks", 0.01)
    writing = journaled(_steps(4), place_of(memory), _SETTINGS)
    test = _following(memory)
    next(writing)
    items = iter(test)
    assert [next(items), next(items)] == [Began(4), _STEPS[0]]
    list(writing)
    assert list(items) == _STEPS[1:]
