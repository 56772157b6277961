from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lrwidget.backends.ray.backend import RayBackend, usable_scaling
from tests.backends.ray import builds

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((2, False, None), (2, False, {"CPU": 1})),
        ((np.int64(3), True, {}), (3, True, {"CPU": 1, "GPU": 1})),
        ((1, True, {"CPU": 4, "GPU": 2}), (1, True, {"CPU": 4, "GPU": 2})),
        (
            (1, False, {"CPU": np.float32(0.5), "lab": 1}),
            (1, False, {"CPU": 0.5, "lab": 1}),
        ),
    ],
)
def test_what_each_worker_needs(
    arguments: tuple[Any, ...], expected: tuple[Any, ...]
) -> None:
    assert usable_scaling(*arguments) == expected


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((0, False, None), ValueError, "num_workers=0"),
        ((2.5, False, None), TypeError, "num_workers=2.5"),
        ((2, "yes", None), TypeError, "use_gpu='yes'"),
        ((2, False, 4), TypeError, "resources_per_worker=4 must be a dict"),
        ((2, False, {1: 1}), TypeError, "must be a dict of numbers by their names"),
        ((2, False, {"CPU": "2"}), TypeError, r"\['CPU'\]='2' must be a number"),
        ((2, False, {"CPU": -1}), ValueError, r"\['CPU'\]=-1 must be at least 0"),
        ((2, False, {"CPU": 10**400}), ValueError, r"\['CPU'\]=10.* is too large"),
        ((2, False, {"CPU": np.nan}), ValueError, "must be at least 0 and finite"),
        ((2, False, {"CPU": 0}), ValueError, "must have something above 0"),
        ((2, True, {"GPU": 0}), ValueError, "must have a GPU above 0"),
        ((2, False, {"GPU": 1}), ValueError, "pass use_gpu=True"),
    ],
)
def test_what_cannot_be(
    arguments: tuple[Any, ...], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        usable_scaling(*arguments)


def test_the_options_of_a_task() -> None:
    scaling = usable_scaling(2, use_gpu=True, resources_per_worker={"lab": 1})
    expected: dict[str, Any] = {"num_cpus": 1, "num_gpus": 1, "resources": {"lab": 1}}
    assert scaling.task_options() == expected
    scaling = usable_scaling(2, use_gpu=False, resources_per_worker={"memory": 1e8})
    assert scaling.task_options() == {"num_cpus": 1, "memory": 1e8, "resources": {}}


def test_what_a_cluster_lacks() -> None:
    scaling = usable_scaling(8, use_gpu=True, resources_per_worker={"CPU": 0.5})
    assert scaling.lacking(8, {"CPU": 4, "GPU": 2}) == "2 of 8 GPU"
    assert scaling.lacking(8, {"CPU": 3}) == "3 of 4 CPU, 0 of 8 GPU"
    assert scaling.lacking(2, {"CPU": 3, "GPU": 2}) == ""


def test_only_a_test_needs_a_place_for_its_record(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    settings = {"record": folder / "run.jsonl"}
    scaling = usable_scaling(1, use_gpu=False, resources_per_worker=None)
    backend = RayBackend(builds.build, settings, scaling)
    folder.rmdir()
    assert len(backend.race({}, [0.1], 5).plans) == 1
    assert len(backend.compare([{}, {}]).plans) == 2
    with pytest.raises(ValueError, match="record="):
        backend.test({})
    with pytest.raises(ValueError, match="record="):
        RayBackend(builds.build, settings, scaling)
