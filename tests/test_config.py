from __future__ import annotations

import inspect
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from lrwidget.config import (
    FIELDS,
    SETTINGS,
    Changes,
    EmptyLoaderError,
    Settings,
    TestConfig,
    check_loader,
    config_of,
    with_settings,
)
from lrwidget.curve.history import Plan
from lrwidget.engine.range_test import RangeTest


def test_a_default_config_needs_no_torch() -> None:
    program = (
        "import sys; import lrwidget.config; lrwidget.config.TestConfig(); "
        "print(sorted({'torch', 'bqplot', 'ipywidgets'} & sys.modules.keys()))"
    )
    run = [sys.executable, "-c", program]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_each_setting_is_in_all_signatures_with_one_default() -> None:
    config = inspect.signature(TestConfig).parameters
    test = inspect.signature(RangeTest).parameters
    assert set(SETTINGS) == set(config) == set(Settings.__annotations__)
    assert [test[name].default for name in SETTINGS] == [
        config[name].default for name in SETTINGS
    ]
    assert set(FIELDS) < set(SETTINGS)


def test_every_argument_of_the_test_can_be_changed() -> None:
    parameters = set(inspect.signature(RangeTest).parameters)
    names = {*Changes.__annotations__, *Settings.__annotations__}
    assert names == parameters | {"build"}


def test_a_signature_has_the_settings_in_place_of_the_keywords() -> None:
    def function(model: object, *, label: str = "", **settings: object) -> object:
        return model, label, settings

    parameters = inspect.signature(with_settings(function)).parameters
    assert list(parameters) == ["model", "label", *SETTINGS]
    assert function(1, num_it=3) == (1, "", {"num_it": 3})


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ({"start_lr": np.float32(0.5), "end_lr": 1}, {"start_lr": 0.5, "end_lr": 1.0}),
        ({"num_it": np.int64(7)}, {"num_it": 7}),
        ({"accumulate": np.uint8(3)}, {"accumulate": 3}),
        ({"steps_per_lr": np.int32(3)}, {"steps_per_lr": 3}),
        ({"seed": np.int64(0)}, {"seed": 0}),
        ({"seed": 2**32 - 1}, {"seed": 2**32 - 1}),
        ({"clip_grad_norm": 2}, {"clip_grad_norm": 2.0}),
        ({"clip_grad_norm": math.inf}, {"clip_grad_norm": math.inf}),
        ({"device": "cpu"}, {"device": torch.device("cpu")}),
        ({"record": Path("a.jsonl")}, {"record": Path("a.jsonl")}),
    ],
)
def test_settings_have_plain_types(
    given: dict[str, Any], plain: dict[str, Any]
) -> None:
    settings = TestConfig(**given).settings()
    assert settings == {**TestConfig().settings(), **plain}
    assert [type(settings[name]) for name in plain] == [type(x) for x in plain.values()]


def test_plain_settings_make_the_same_config() -> None:
    config = TestConfig(start_lr=1e-5, end_lr=1, num_it=30, device="cpu", accumulate=2)
    assert TestConfig(**config.settings()) == config
    assert config.plan == Plan(1e-5, 1.0, 30)
    assert replace(config, step_mode="linear").plan.step_mode == "linear"


@pytest.mark.parametrize("num_it", [2, 3, 50])
def test_the_rates_have_equal_ratios_or_differences(num_it: int) -> None:
    ends = {"start_lr": 1e-6, "end_lr": 1.0, "num_it": num_it}
    exponential = TestConfig(**ends, step_mode="exp")  # type: ignore[arg-type]  # of mixed types
    np.testing.assert_allclose(exponential.lrs, np.geomspace(1e-6, 1, num_it))
    linear = TestConfig(**ends, step_mode="linear")  # type: ignore[arg-type]  # as above
    np.testing.assert_allclose(linear.lrs, np.linspace(1e-6, 1, num_it))


def test_one_step_at_each_rate() -> None:
    config = TestConfig(steps_per_lr=3, num_it=7)
    assert config.with_one_step_a_rate() == TestConfig(num_it=7)
    assert TestConfig().with_one_step_a_rate() == TestConfig()


class _Path:
    """A path of bytes, which JSON cannot hold."""

    def __fspath__(self) -> bytes:
        return b"a.jsonl"


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"start_lr": 0}, ValueError, "start_lr=0 must be finite and above 0"),
        ({"start_lr": -1e-3}, ValueError, "start_lr=-0.001 must be finite and above"),
        ({"start_lr": math.nan}, ValueError, "start_lr=nan must be finite and above 0"),
        ({"start_lr": 10**400}, ValueError, "start_lr=1000.* is too large for a float"),
        ({"start_lr": "1"}, TypeError, "start_lr='1' must be a number"),
        (
            {"start_lr": 1.0, "end_lr": 0.5},
            ValueError,
            "start_lr=1.0 must be below end_",
        ),
        ({"end_lr": 1e39}, ValueError, "end_lr=1e\\+39 must be at most"),
        ({"num_it": 1}, ValueError, "num_it=1 must be at least 2"),
        ({"num_it": 10**7}, ValueError, "num_it=10000000 must be at most 1000000"),
        ({"num_it": 10.5}, TypeError, "num_it=10.5 must be an integer; pass"),
        ({"num_it": True}, TypeError, "num_it=True must be an integer; pass"),
        ({"step_mode": "x"}, ValueError, "step_mode='x' is not known; pass one of"),
        ({"stop_div": "x"}, ValueError, "stop_div='x' must be True, .fastai. or False"),
        ({"stop_div": 1}, TypeError, "stop_div=1 must be True, .fastai. or False"),
        ({"closure": 1}, TypeError, "closure=1 must be True or False"),
        ({"create_graph": None}, TypeError, "create_graph=None must be True or False"),
        ({"training_step": 3}, TypeError, "training_step=3 must be callable; pass"),
        ({"val_loader": 3}, TypeError, "val_loader=3 must be an iterable of batches"),
        ({"val_loader": []}, ValueError, r"val_loader=\[\] is empty"),
        ({"val_loader": iter([1])}, TypeError, "val_loader=.* is an iterator, which"),
        ({"accumulate": 0}, ValueError, "accumulate=0 must be at least 1"),
        ({"accumulate": 1.5}, TypeError, "accumulate=1.5 must be an integer"),
        ({"accumulate": 10**7}, ValueError, "accumulate=10000000 must be at most"),
        ({"steps_per_lr": True}, TypeError, "steps_per_lr=True must be an integer"),
        ({"steps_per_lr": -1}, ValueError, "steps_per_lr=-1 must be at least 1"),
        ({"clip_grad_norm": 0}, ValueError, "clip_grad_norm=0 must be above 0"),
        ({"clip_grad_norm": math.nan}, ValueError, "clip_grad_norm=nan must be above"),
        ({"clip_grad_norm": 10**400}, ValueError, "clip_grad_norm=10.* is too large"),
        ({"clip_grad_norm": "1"}, TypeError, "clip_grad_norm='1' must be a number"),
        ({"clip_grad_norm": True}, TypeError, "clip_grad_norm=True must be a number"),
        ({"seed": True}, TypeError, "seed=True must be an integer"),
        ({"seed": 1.0}, TypeError, r"seed=1\.0 must be an integer"),
        ({"seed": "1"}, TypeError, "seed='1' must be an integer; pass for example 0"),
        ({"seed": -1}, ValueError, r"seed=-1 must be from 0 to 2\*\*32 - 1"),
        ({"seed": 2**32}, ValueError, "seed=4294967296 must be from 0 to"),
        ({"autocast": "bf16"}, ValueError, "autocast='bf16' must be one of"),
        ({"autocast": torch.float32}, ValueError, "autocast=torch.float32 must be one"),
        ({"grad_scaler": 2}, TypeError, "grad_scaler=2 must be a torch.amp.GradScaler"),
        ({"isolation": "x"}, ValueError, "isolation='x' is not known; pass one of"),
        ({"isolation": []}, ValueError, r"isolation=\[\] is not known; pass one of"),
        ({"device": "x"}, ValueError, "device='x' cannot be used here: .* pass None"),
        ({"device": "cuda:99"}, ValueError, "device='cuda:99' cannot be used here"),
        ({"device": 10**30}, ValueError, f"device={10**30} cannot be used here"),
        ({"device": "meta"}, ValueError, "device='meta' cannot be used here: .* pass"),
        ({"record": 3}, TypeError, "record=3 must be the path of a file; pass for"),
        ({"record": b"a"}, TypeError, "record=b'a' must be the path of a file"),
        ({"record": _Path()}, TypeError, "record=.* must be the path of a file"),
        (
            {"learning_rate": 1},
            TypeError,
            "^unexpected keyword argument 'learning_rate'; pass one of model, start_lr",
        ),
    ],
)
def test_a_bad_setting_is_named_with_its_value(
    settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        config_of(settings, ("model",))


@pytest.mark.parametrize(
    "loader",
    [
        *("abc", b"abc", {}, 3, None),
        *(torch.ones(3), np.ones(3), pd.Series([1, 2]), pd.DataFrame({"x": [1]})),
    ],
)
def test_what_is_no_loader(loader: object) -> None:
    with pytest.raises(TypeError, match=r"^batches=.* must be an iterable of batches"):
        check_loader("batches", loader)


def test_an_empty_loader() -> None:
    with pytest.raises(EmptyLoaderError, match=r"^batches=\[\] is empty; pass one"):
        check_loader("batches", [])
    samples = TensorDataset(torch.ones(2))
    loader = DataLoader(samples, batch_size=3, drop_last=True)
    with pytest.raises(EmptyLoaderError, match=r"is empty; .* drop_last=True"):
        check_loader("batches", loader)


@pytest.mark.parametrize("error", [NotImplementedError, RuntimeError, KeyError])
def test_a_loader_whose_length_is_not_known(error: type[Exception]) -> None:
    class Unknown:
        def __iter__(self) -> Any:
            return iter([1])

        def __len__(self) -> int:
            raise error

    check_loader("batches", Unknown())
    check_loader("batches", iter([]))
