"""Tests on the workers of a real Ray."""

from __future__ import annotations

import random
import re
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from lrwidget import LRCurve, LRWidget, range_test, verify
from lrwidget import race as raced
from lrwidget.backends.ray.errors import ClusterError, WorkerTraceback
from lrwidget.backends.verification import VerificationJob
from tests.backends.ray import builds
from tests.backends.ray.builds import OwnError
from tests.backends.ray.conftest import SECONDS, comes
from tests.curves import picked
from tests.widget_parts import display_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    OnRay = Callable[..., LRWidget]


def _by_one_process(**settings: Any) -> LRCurve:
    """Return the curve of the batches of two workers, joined."""
    every = {"num_it": 40, "end_lr": 1.0, **settings}
    return range_test(*builds.build(2 * builds.BATCH), **every)


def test_two_workers_find_what_one_process_does(on_ray: OnRay, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    widget = on_ray(record=path, stop_div=False)
    assert widget.status.startswith("Run tries")
    widget.run()
    assert "Starting 2 workers on the Ray cluster" in widget.status
    curve = widget.wait(SECONDS)
    expected = _by_one_process(stop_div=False)
    np.testing.assert_array_equal(curve.lrs, expected.lrs)
    np.testing.assert_allclose(curve.losses, expected.losses, rtol=1e-6)
    assert curve.stop_reason == "completed"
    assert widget.status.startswith("Done")
    assert widget.suggestions == pytest.approx(expected.suggestions)
    # The record is this process's own.
    loaded = LRCurve.load(path)
    assert loaded.losses.tolist() == curve.losses.tolist()
    memories = loaded.optimizer_memory, curve.optimizer_memory
    assert memories == (expected.optimizer_memory,) * 2
    assert '"num_workers": 2' in path.read_text().partition("\n")[0]
    with pytest.raises(RuntimeError, match="build makes the optimizer on the workers"):
        widget.apply()


def _random_states() -> list[Any]:
    numpys = np.random.get_state(legacy=False)  # noqa: NPY002 (what users draw from)
    return [random.getstate(), repr(numpys), torch.get_rng_state().tolist()]


def test_no_random_number_of_this_process_is_drawn() -> None:
    before = _random_states()
    widget = LRWidget.on_ray(builds.build)
    settings = display_of(widget).settings
    (steps,) = [x for x in settings.children if x.description == "Steps"]
    steps.value = 7
    assert _random_states() == before
    assert "tries 7 learning rates" in widget.status
    widget.close()


def test_what_runs_on_the_workers_draws_no_random_number_here(on_ray: OnRay) -> None:
    widget = on_ray(builds.alone)
    before = _random_states()
    starts: list[Callable[[], None]] = [
        lambda: widget.run(build=builds.build),
        lambda: widget.race([0.01, 0.1], steps=2),
        lambda: widget.compare({"short": {"num_it": 5}}),
    ]
    for start in starts:
        start()
        widget.wait(SECONDS)
        assert _random_states() == before


def test_a_sharded_model_with_more_arguments(on_ray: OnRay) -> None:
    widget = on_ray(builds.sharded_and_validated, stop_div=False)
    widget.run()
    curve = widget.wait(SECONDS)
    more: dict[str, Any] = {"val_loader": [builds.data()[:16]], "clip_grad_norm": 1.0}
    expected = _by_one_process(stop_div=False, **more)
    np.testing.assert_allclose(curve.losses, expected.losses, rtol=1e-6)


def test_a_verification(on_ray: OnRay) -> None:
    widget = on_ray(builds.validated)
    widget.verify(30)
    widget.wait(SECONDS)
    found = widget.verification
    assert found is not None
    assert widget.value == picked(found.lr)
    # The range test is one of two workers, without the validation losses.
    np.testing.assert_allclose(found.curve.losses, _by_one_process().losses, rtol=1e-6)
    parts, more = builds.build(), builds.validated()[-1]
    expected = verify(*parts, **more, curve=found.curve, total_steps=30)
    assert len(found.lanes) == 5
    for lane, other in zip(found.lanes, expected.lanes, strict=True):
        np.testing.assert_allclose(lane.losses, other.losses)
        np.testing.assert_allclose(lane.val_losses, other.val_losses)
        assert lane.stop_reason == other.stop_reason
    assert (found.lr, found.verdict) == (expected.lr, expected.verdict)


def test_a_stop_of_a_verification_starts_no_lane(on_ray: OnRay) -> None:
    backend = on_ray(num_it=1_000_000)._controller._backend
    job = VerificationJob(backend, {}, None, 30)
    for event in job.events():
        job.history.apply(event)
        if len(job.history) == 3:
            job.stop()
    assert 3 <= len(job.history) == len(job.history.sweep)
    assert job.activity().phase == "stopping"


def test_a_loader_with_batches_of_its_own_is_taken_as_it_is(on_ray: OnRay) -> None:
    widget = on_ray(builds.in_batches_of_its_own, stop_div=False)
    widget.run()
    curve = widget.wait(SECONDS)
    # Both workers have the same batches, which are those of one process.
    expected = _by_one_process(stop_div=False)
    np.testing.assert_allclose(curve.losses, expected.losses, rtol=1e-6)


def test_stop_ends_it_and_keeps_its_steps(on_ray: OnRay) -> None:
    widget = on_ray(num_it=1_000_000)
    widget.run()
    assert comes(lambda: len(widget.curve) > 0)
    widget.stop()
    curve = widget.wait(SECONDS)
    assert curve.stop_reason == "stopped"
    assert 0 < len(curve) < 1_000_000
    assert f"Stopped after {len(curve)} step" in widget.status


def test_stop_and_close_end_it_while_it_starts(on_ray: OnRay) -> None:
    widget, other = on_ray(), on_ray(partial(builds.happen, "hang"))
    widget.run()
    widget.stop()
    curve = widget.wait(SECONDS)
    assert (len(curve), curve.stop_reason) == (0, "stopped")
    other.run()
    assert comes(lambda: re.search(r"[1-9] s so far", other.status) is not None)
    other.close()
    assert not other.running


def test_what_the_cluster_does_not_have_is_told(on_ray: OnRay) -> None:
    widget = on_ray(num_workers=8, resources_per_worker={"CPU": 1, "lab": 2})
    words = "It has 2 of 8 CPU, 0 of 16 lab."
    widget.run()
    assert comes(lambda: words in widget.status)
    widget.stop()
    widget.wait(SECONDS)


def test_workers_that_cannot_start_are_an_error(
    on_ray: OnRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lrwidget.backends.ray.job._SECONDS_TO_START", 0.5)
    widget = on_ray(num_workers=8, resources_per_worker={"CPU": 1})
    widget.run()
    with pytest.raises(ClusterError, match=r"no worker has started within 0\.5 s"):
        widget.wait(SECONDS)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (partial(builds.unbuildable, rank=1), "no model today"),
        (partial(builds.faulty, "error", rank=1), "no loss today"),
    ],
    ids=["build", "loss"],
)
def test_an_error_of_a_worker_is_raised_here(
    on_ray: OnRay, build: Callable[[], Any], words: str
) -> None:
    widget = on_ray(build)
    widget.run()
    with pytest.raises(OwnError, match=words) as raised:
        widget.wait(SECONDS)
    assert isinstance(raised.value.__cause__, WorkerTraceback)
    assert str(raised.value.__cause__).startswith("on worker 1 (node ")
    assert "builds.py" in str(raised.value.__cause__)
    assert f"OwnError: {words}" in widget.status


def test_a_worker_is_killed(on_ray: OnRay) -> None:
    widget = on_ray(partial(builds.faulty, "kill", rank=1))
    widget.run()
    with pytest.raises(ClusterError, match=r"worker 1 \(node .*, pid \d+\) was lost"):
        widget.wait(SECONDS)
    assert len(widget.curve) == 4
    assert widget.status.startswith("Failed")


def test_a_race_in_parallel(on_ray: OnRay) -> None:
    widget = on_ray()
    widget.race([0.01, 0.1], steps=20)
    widget.wait(SECONDS)
    expected = raced(*builds.build(), rates=[0.01, 0.1], steps=20)
    assert [curve.lr for curve in widget.race_curves] == [0.01, 0.1]
    for found, alone in zip(widget.race_curves, expected, strict=True):
        np.testing.assert_allclose(found.losses, alone.losses, rtol=1e-12)
        assert found.stop_reason == "completed"
    assert widget.status.startswith("Trainings done")


def test_labelled_runs_in_parallel(on_ray: OnRay) -> None:
    widget = on_ray()
    widget.compare(
        {
            "as it is": {},
            "large batches": {"build": partial(builds.build, 2 * builds.BATCH)},
            "short": {"num_it": 20},
        }
    )
    widget.wait(SECONDS)
    settings: dict[str, Any] = {"num_it": 40, "end_lr": 1.0}
    expected = {
        "as it is": range_test(*builds.build(), **settings),
        "large batches": _by_one_process(),
        "short": range_test(*builds.build(), **{**settings, "num_it": 20}),
    }
    assert list(widget.curves) == list(expected)
    for label, curve in widget.curves.items():
        np.testing.assert_allclose(curve.losses, expected[label].losses, rtol=1e-12)
        assert curve.stop_reason == "completed"


def test_they_run_at_once_and_stop_at_once(on_ray: OnRay) -> None:
    widget = on_ray(num_it=1_000_000)
    widget.compare({"one": {}, "other": {"seed": 1}})
    assert comes(lambda: all(len(curve) for curve in widget.curves.values()))
    assert len(widget.curves) == 2
    widget.stop()
    widget.wait(SECONDS)
    assert {x.stop_reason for x in widget.curves.values()} == {"stopped"}


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("error", OwnError, "no loss today"),
        ("unsendable", RuntimeError, "UnsendableError: 1 and 2"),
        ("exit", RuntimeError, "SystemExit: 3"),
        ("ray", RuntimeError, "ObjectLostError"),
        (
            "kill",
            ClusterError,
            r"the worker of training \d of 2 \(node .*, pid \d+\) was lost",
        ),
    ],
)
def test_a_race_fails(
    on_ray: OnRay, fault: str, error: type[Exception], words: str
) -> None:
    widget = on_ray(partial(builds.faulty, fault))
    widget.race([0.01, 0.1], steps=20)
    with pytest.raises(error, match=words):
        widget.wait(SECONDS)
    assert widget.status.startswith("Training failed")


def test_what_hangs_is_ended(on_ray: OnRay) -> None:
    widget = on_ray(partial(builds.faulty, "hang"))
    widget.race([0.01, 0.1], steps=20)
    assert comes(lambda: len(widget.race_curves) == 2)
    widget.stop()
    widget.wait(SECONDS)


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (
            builds.of_another_kind,
            TypeError,
            r"has returned .*; return \(model, optimizer",
        ),
        (
            builds.with_settings_of_its_own,
            ValueError,
            "has returned num_it=7, which the widget has to know; pass it to",
        ),
    ],
)
def test_what_build_returns_is_looked_at(
    on_ray: OnRay, build: Callable[[], Any], error: type[Exception], words: str
) -> None:
    widget = on_ray(build)
    widget.race([0.01], steps=2)
    with pytest.raises(error, match=words):
        widget.wait(SECONDS)


def test_what_cannot_be_sent_is_named(on_ray: OnRay) -> None:
    lock = threading.Lock()
    widget = on_ray(lambda: lock)
    with pytest.raises(TypeError, match=r"build=.* cannot be sent to the workers"):
        widget.run()


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"num_it": 1}, ValueError, "num_it=1 must be at least 2"),
        ({"val_loader": [1]}, ValueError, "val_loader=.* let build return a dict"),
        ({"grad_scaler": object()}, ValueError, "grad_scaler=.* let build return"),
        ({"device": "cpu"}, ValueError, "device='cpu' is up to the cluster"),
        ({"lr": 1}, TypeError, "'lr'"),
        ({"build": 3}, TypeError, "build=3 must be a function"),
    ],
)
def test_bad_settings_are_refused_at_once(
    settings: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        LRWidget.on_ray(**{"build": builds.build, **settings})
