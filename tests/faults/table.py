"""The faults that the widget must handle, and how a test must end after each."""

from __future__ import annotations

import gc
import math
import os
import re
import signal
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import torch
from ipywidgets import Widget

from lrwidget import LRCurve
from tests.engine.training_parts import data
from tests.faults.scene import FAULT_AT, STEPS, Scene
from tests.widget_parts import SECONDS, display_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from lrwidget import LRWidget

_MANY = 100_000
_NEVER = "the other side did not come"


class Fault(NamedTuple):
    """
    A fault, and the check of its end.

    Attributes
    ----------
    name:
        Name of the fault.
    play:
        Function that causes the fault in a scene, and checks how the test ends.
    options:
        Options of the scene's DataLoader.
    """

    name: str
    play: Callable[[Scene, Path], object]
    options: dict[str, Any] = {}  # noqa: RUF012 (nobody writes to it)


class _BreakError(Exception):
    """An error that is raised on purpose."""


def _raise(error: BaseException) -> None:
    raise error


def _failed(widget: LRWidget, error: type[Exception], said: str) -> None:
    """Check that the widget shows the error, and that each `wait` raises it."""
    for _ in range(2):
        with pytest.raises(error, match=said):
            widget.wait(SECONDS)
    assert widget.status.startswith("Failed ")
    assert error.__name__ in widget.status
    assert "Traceback" in display_of(widget).answer.status.value
    assert widget.curve.stop_reason is None


# ---- errors in a training


def _error(where: str, error: Exception, scene: Scene, _folder: Path) -> None:
    scene.faults.plan(where, partial(_raise, error))
    scene.widget.run()
    _failed(scene.widget, type(error), str(error))
    assert len(scene.widget.curve) == FAULT_AT - 1


def _error_of_an_observer(scene: Scene, _folder: Path) -> None:
    def fail(_change: object) -> None:
        raise _BreakError

    scene.widget.observe(fail, "value")
    scene.widget.run()
    with pytest.raises(_BreakError):
        scene.widget.wait(SECONDS)
    scene.widget.unobserve(fail, "value")
    assert "_BreakError" in scene.widget.status
    # The test itself ended before the error.
    assert len(scene.widget.curve) == STEPS
    assert scene.widget.curve.stop_reason == "completed"


def _killed_loader_worker(scene: Scene, _folder: Path) -> None:
    scene.faults.plan("collate", lambda: os.kill(os.getpid(), signal.SIGKILL), 5)
    # The test gets the DataLoader itself, since it could not close the DataLoader
    # inside of a FaultyLoader.
    scene.widget.run(dataloader=scene.loader)
    # The kind of error depends on whether a batch was being transferred.
    with pytest.raises((RuntimeError, OSError, EOFError)) as caught:
        scene.widget.wait(SECONDS)
    assert len(scene.widget.curve) < 5
    assert scene.widget.status.startswith("Failed after")
    assert type(caught.value).__name__ in scene.widget.status


# ---- losses that are not finite


def _not_finite(where: str, value: float, at: int, scene: Scene, _folder: Path) -> None:
    scene.faults.plan(where, lambda: value, at)
    scene.widget.run()
    curve = scene.widget.wait(SECONDS)
    assert (len(curve), curve.stop_reason) == (at, "non_finite")
    assert not math.isfinite(curve.losses[-1])
    assert all(map(math.isfinite, curve.losses[:-1]))
    assert scene.widget.status.startswith("Stopped at ")


# ---- stops


def _hangs(scene: Scene, _folder: Path) -> None:
    told, go_on = threading.Event(), threading.Event()

    def look(change: Any) -> None:
        # The status is written once a second.
        if re.search(
            r"Waiting 1[01] s for the next batch of dataloader=", change["new"]
        ):
            told.set()

    def hang() -> None:
        if not go_on.wait(SECONDS):
            raise TimeoutError(_NEVER)

    display_of(scene.widget).answer.status.observe(look, "value")
    scene.faults.plan("loader", hang)
    scene.widget.run()
    assert told.wait(SECONDS)
    assert "dataloader=&lt;FaultyLoader&gt;" in _shown(scene.widget)
    assert "<FaultyLoader>" in scene.widget.status
    scene.widget.stop()
    with pytest.raises(TimeoutError, match="still running"):
        scene.widget.wait(0)
    go_on.set()
    curve = scene.widget.wait(SECONDS)
    assert (len(curve), curve.stop_reason) == (FAULT_AT, "stopped")


def _shown(widget: LRWidget) -> str:
    said: str = display_of(widget).answer.status.value
    return said


def _interrupt(scene: Scene, _folder: Path) -> None:
    caught = threading.Event()
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        if not caught.is_set():
            signal.pthread_kill(main, signal.SIGINT)
            assert caught.wait(SECONDS), _NEVER

    scene.faults.plan("loss", interrupt)
    scene.widget.run()
    with pytest.raises(KeyboardInterrupt):
        scene.widget.wait(SECONDS)
    caught.set()
    curve = scene.widget.wait(SECONDS)
    assert (len(curve), curve.stop_reason) == (FAULT_AT, "stopped")
    assert scene.widget.status.startswith("Stopped after 7 steps")


def _stop(step: int, scene: Scene, _folder: Path) -> None:
    scene.faults.plan("loss", scene.widget.stop, step)
    scene.widget.run()
    curve = scene.widget.wait(SECONDS)
    assert (len(curve), curve.stop_reason) == (step, "stopped")


def _pressed_twice(scene: Scene, _folder: Path) -> None:
    button = display_of(scene.widget).answer.button
    scene.faults.plan("loss", button.click)
    button.click()
    with pytest.raises(RuntimeError, match="running already"):
        scene.widget.run()
    curve = scene.widget.wait(SECONDS)
    assert (len(curve), curve.stop_reason) == (FAULT_AT, "stopped")
    assert list(scene.widget.curves) == ["run"]


def _in_mid_run(scene: Scene) -> LRWidget:
    """Return a widget in the middle of a long test."""
    reached = threading.Event()
    scene.faults.plan("loss", reached.set)
    widget = scene.another_widget(num_it=_MANY)
    widget.run()
    assert reached.wait(SECONDS), _NEVER
    return widget


def _closed(scene: Scene, _folder: Path) -> None:
    widget = _in_mid_run(scene)
    widget.close()
    assert not widget.running
    curve = widget.wait(SECONDS)
    assert curve.stop_reason == "stopped"
    assert len(curve) >= FAULT_AT - 1
    with pytest.raises(RuntimeError, match="widget is closed; make a new one"):
        widget.run()


def _collected(scene: Scene, _folder: Path) -> None:
    scene.widget.close()
    _in_mid_run(scene)  # no reference to this widget is kept
    gc.collect()
    running = [x for x in threading.enumerate() if x.name.startswith("lrwidget")]
    assert running
    Widget.close_all()
    for thread in running:
        thread.join(SECONDS)
        assert not thread.is_alive()
    scene.widget = scene.another_widget()


# ---- other tests and trainings at the same time


def _two_on_one_model(scene: Scene, _folder: Path) -> None:
    meeting = threading.Barrier(2)
    coming = [meeting, meeting]

    def meet() -> None:
        if coming:
            coming.pop().wait(SECONDS)

    scene.faults.plan("loss", meet)
    other = scene.another_widget()
    for widget in (scene.widget, other):
        widget.run()
    for widget in (scene.widget, other):
        assert len(widget.wait(SECONDS)) == STEPS
    other.close()


def _two_that_train_it_itself(scene: Scene, _folder: Path) -> None:
    go_on = threading.Event()
    scene.faults.plan("loss", lambda: go_on.wait(SECONDS) and None)
    first, second = (scene.another_widget(isolation="restore") for _ in range(2))
    first.run()
    with pytest.raises(RuntimeError, match="training this model itself"):
        second.run()
    _failed(second, RuntimeError, "training this model itself")
    go_on.set()
    assert len(first.wait(SECONDS)) == STEPS
    scene.check_usable(second)
    for widget in (first, second):
        widget.close()


def _beside_a_training(_scene: Scene, _folder: Path) -> None:
    inputs, targets = data().tensors
    beside, alone = (Scene() for _ in range(2))
    trained = []
    for training in (beside, alone):
        training.model.eval()  # no random numbers, which both threads would draw
        if training is beside:
            reached = threading.Event()
            beside.faults.plan("loss", reached.set)
            beside.widget.run(num_it=_MANY)
            assert reached.wait(SECONDS), _NEVER
        for _ in range(50):
            training.optimizer.zero_grad()
            outputs = training.model(inputs)
            torch.nn.functional.cross_entropy(outputs, targets).backward()
            training.optimizer.step()
        trained.append([p.detach().clone() for p in training.model.parameters()])
    beside.widget.stop()
    assert beside.widget.wait(SECONDS).stop_reason in {"stopped", "completed"}
    after = list(beside.model.parameters())
    for one, other, now in zip(*trained, after, strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one, now)
    for training in (beside, alone):
        training.widget.close()


# ---- files


def _full_disk(scene: Scene, folder: Path) -> None:
    curve = scene.check_usable(scene.widget)
    for write in (curve.save, curve.to_csv):
        with pytest.raises(OSError, match="/dev/full"):
            write("/dev/full")
    curve.save(folder / "curve.json")
    assert LRCurve.load(folder / "curve.json").losses.tolist() == curve.losses.tolist()


def _bad_file(text: str, scene: Scene, folder: Path) -> None:
    file = folder / "curve.json"
    scene.check_usable(scene.widget).save(file)
    whole = file.read_text()
    file.write_text(text.format(half=whole[: len(whole) // 2]))
    before = set(Path.cwd().iterdir())
    with pytest.raises(ValueError, match=r"curve\.json' holds no curve"):
        LRCurve.load(file)
    assert set(Path.cwd().iterdir()) == before  # a call would write a file here
    assert [path.name for path in folder.iterdir()] == ["curve.json"]


def _huge_file(scene: Scene, folder: Path) -> None:
    file = folder / "curve.json"
    scene.check_usable(scene.widget).save(file)
    with file.open("r+b") as opened:
        opened.truncate(2**40)  # a sparse file, which takes no space
    with pytest.raises(ValueError, match=r"curve\.json' "):
        LRCurve.load(file)


_CALLS = '{{"__reduce__": ["os.system", ["touch pwned"]], "format": "x"}}'
_OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")

FAULTS = [
    *[
        Fault(f"error in the {where}", partial(_error, where, _BreakError("it broke")))
        for where in ("model", "loss", "loader", "collate", "hook")
    ],
    Fault("out of memory", partial(_error, "model", _OUT_OF_MEMORY)),
    Fault("error in an observer of value", _error_of_an_observer),
    Fault("killed DataLoader worker", _killed_loader_worker, {"num_workers": 1}),
    Fault("NaN in the loss", partial(_not_finite, "loss", math.nan, FAULT_AT)),
    Fault("Inf in the loss", partial(_not_finite, "loss", math.inf, FAULT_AT)),
    Fault("NaN in the weights", partial(_not_finite, "weights", 1.0, FAULT_AT)),
    Fault("NaN in the first step", partial(_not_finite, "loss", math.nan, 1)),
    Fault("a loader that hangs", _hangs),
    Fault("interrupt while waiting", _interrupt),
    *[Fault(f"stop at step {step}", partial(_stop, step)) for step in range(1, 11)],
    Fault("Run pressed twice", _pressed_twice),
    Fault("closed in mid-run", _closed),
    Fault("held by nobody, and garbage-collected, in mid-run", _collected),
    Fault("two widgets on one model", _two_on_one_model),
    Fault("two that train the model itself", _two_that_train_it_itself),
    Fault("beside a training of the same model", _beside_a_training),
    Fault("full disk", _full_disk),
    Fault("JSON that is cut off", partial(_bad_file, "{half}")),
    Fault("JSON that calls", partial(_bad_file, _CALLS)),
    Fault("JSON without an end", partial(_bad_file, "[" * 10**6)),
    Fault("JSON that is huge", _huge_file),
]
