"""Data sets that need no download: they come with scikit-learn and Python."""

from __future__ import annotations

import functools
import importlib
import inspect
from pydoc_data import topics
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn import datasets
from torch import Tensor

LETTERS = 128
CONTEXT = 32
_UNKNOWN = 127
_MISLABELLED = 0.3


class Data(NamedTuple):
    """Inputs and targets for the training, and others for the validation."""

    inputs: Tensor
    targets: Tensor
    val_inputs: Tensor
    val_targets: Tensor


def _split(inputs: Any, targets: Any, seed: int = 0) -> Data:  # noqa: ANN401 (arrays)
    """Return the data in random order, a quarter of it for validation."""
    order = np.random.default_rng(seed).permutation(len(inputs))
    x, y = torch.as_tensor(inputs)[order], torch.as_tensor(targets)[order]
    if x.is_floating_point():
        x = x.float()
    if y.is_floating_point():
        y = y.float()
    quarter = len(x) // 4
    return Data(x[quarter:], y[quarter:], x[:quarter], y[:quarter])


def _standard(values: Any) -> Any:  # noqa: ANN401 (arrays)
    return (values - values.mean(0)) / values.std(0)


@functools.cache
def digits() -> Data:
    """Return the images of digits."""
    inputs, targets = datasets.load_digits(return_X_y=True)
    return _split(inputs.reshape(-1, 1, 8, 8) / 8 - 1, targets)


@functools.cache
def flat_digits() -> Data:
    """Return digits as vectors."""
    data = digits()
    return data._replace(
        inputs=data.inputs.flatten(1), val_inputs=data.val_inputs.flatten(1)
    )


@functools.cache
def digits_up_to(top: float) -> Data:
    """Return digits as vectors of values from 0 to `top`."""
    data = flat_digits()
    inputs, val_inputs = ((x + 1) / 2 * top for x in (data.inputs, data.val_inputs))
    return data._replace(inputs=inputs, val_inputs=val_inputs)


@functools.cache
def images_up_to(top: float) -> Data:
    """Return digits as images of values from 0 to `top`."""
    data = digits_up_to(top)
    inputs, val_inputs = (
        x.reshape(-1, 1, 8, 8) for x in (data.inputs, data.val_inputs)
    )
    return data._replace(inputs=inputs, val_inputs=val_inputs)


@functools.cache
def noisy_pixels() -> Data:
    """Return digits as vectors of values from 0 to 255, with noise."""
    data = digits_up_to(255)
    rng = torch.Generator().manual_seed(9)
    inputs, val_inputs = (
        x + 64 * torch.randn(x.shape, generator=rng)
        for x in (data.inputs, data.val_inputs)
    )
    return data._replace(inputs=inputs, val_inputs=val_inputs)


@functools.cache
def small_deviations() -> Data:
    """Return deviations below 0.1 from the mean digit, with the same as targets."""
    data = digits_up_to(0.1)
    mean = data.inputs.mean(0)
    inputs, val_inputs = data.inputs - mean, data.val_inputs - mean
    return Data(inputs, inputs, val_inputs, val_inputs)


@functools.cache
def rows_of_digits() -> Data:
    """Return digits as sequences of eight rows."""
    data = digits()
    return data._replace(
        inputs=data.inputs.squeeze(1), val_inputs=data.val_inputs.squeeze(1)
    )


@functools.cache
def turned_digits() -> Data:
    """Return 400 digits, turned by 90 degrees and negative, for fine-tuning."""
    data = digits()
    return Data(
        -data.inputs.rot90(1, (2, 3))[:400],
        data.targets[:400],
        -data.val_inputs.rot90(1, (2, 3)),
        data.val_targets,
    )


@functools.cache
def images_of_digits() -> Data:
    """Return digits whose targets are the digits themselves, as vectors."""
    data = flat_digits()
    return data._replace(targets=data.inputs, val_targets=data.val_inputs)


@functools.cache
def mislabelled_digits() -> Data:
    """Return digits; 30% of the training labels are random."""
    data = flat_digits()
    rng = np.random.default_rng(1)
    wrong = torch.as_tensor(rng.random(len(data.targets)) < _MISLABELLED)
    others = torch.as_tensor(rng.integers(0, 10, len(data.targets)))
    return data._replace(targets=torch.where(wrong, others, data.targets))


@functools.cache
def mislabelled_images() -> Data:
    """Return digits as images; 30% of the training labels are random."""
    data = mislabelled_digits()
    return digits()._replace(targets=data.targets)


@functools.cache
def squares_of_digits() -> Data:
    """Return digits whose targets are the digits themselves, as images."""
    data = digits()
    return data._replace(targets=data.inputs, val_targets=data.val_inputs)


@functools.cache
def noisy_digits() -> Data:
    """Return digits with noise, whose targets are the digits without noise."""
    data = images_of_digits()
    rng = torch.Generator().manual_seed(5)
    noise, val_noise = (
        0.5 * torch.randn(x.shape, generator=rng)
        for x in (data.inputs, data.val_inputs)
    )
    return data._replace(
        inputs=data.inputs + noise, val_inputs=data.val_inputs + val_noise
    )


@functools.cache
def tumours() -> Data:
    """Return measurements of tumours, and whether each tumour is malignant."""
    inputs, targets = datasets.load_breast_cancer(return_X_y=True)
    return _split(_standard(inputs), targets)


@functools.cache
def unscaled_tumours() -> Data:
    """Return the measurements of tumours in their units, from 0 to 4,254."""
    return _split(*datasets.load_breast_cancer(return_X_y=True))


@functools.cache
def wines() -> Data:
    """Return measurements of wines, and the producer of each wine."""
    inputs, targets = datasets.load_wine(return_X_y=True)
    return _split(_standard(inputs), targets)


@functools.cache
def small_wines() -> Data:
    """Return the measurements of wines, each from 0 to 0.01."""
    inputs, targets = datasets.load_wine(return_X_y=True)
    low, high = inputs.min(0), inputs.max(0)
    return _split((inputs - low) / (high - low) / 100, targets)


@functools.cache
def diabetes() -> Data:
    """Return measurements of patients, and the progress of their disease in a year."""
    inputs, targets = datasets.load_diabetes(return_X_y=True)
    return _split(_standard(inputs), _standard(targets)[:, None])


@functools.cache
def progress_of_diabetes() -> Data:
    """Return measurements of patients, and the progress in its unit, from 25 to 346."""
    inputs, targets = datasets.load_diabetes(return_X_y=True)
    return _split(_standard(inputs), targets[:, None])


@functools.cache
def unscaled_diabetes() -> Data:
    """Return inputs up to 0.2; targets are deviations from the mean, up to 194."""
    inputs, targets = datasets.load_diabetes(return_X_y=True)
    return _split(inputs, (targets - targets.mean())[:, None])


@functools.cache
def friedman() -> Data:
    """Return Friedman's first regression; a third of its variance is noise."""
    inputs, targets = datasets.make_friedman1(2000, noise=3.5, random_state=0)
    return _split(_standard(inputs), _standard(targets)[:, None])


@functools.cache
def unscaled_friedman() -> Data:
    """Return Friedman's regression of inputs from 0 to 1; the targets' mean is 0."""
    inputs, targets = datasets.make_friedman1(2000, noise=1.0, random_state=1)
    return _split(inputs, (targets - targets.mean())[:, None])


@functools.cache
def noisy_line() -> Data:
    """Return a linear regression with more noise than signal, badly scaled."""
    rng = np.random.default_rng(2)
    inputs = rng.normal(size=(2000, 20)) * np.geomspace(0.3, 3, 20)
    signal = inputs @ rng.normal(size=20)
    noise = rng.normal(size=2000) * 1.5 * signal.std()
    return _split(inputs, (signal + noise)[:, None] / signal.std())


@functools.cache
def few_examples() -> Data:
    """Return a linear regression of 100 inputs from 300 examples; half is noise."""
    rng = np.random.default_rng(8)
    inputs = rng.normal(size=(400, 100))
    signal = inputs @ rng.normal(size=100) / 10
    return _split(inputs, (signal + rng.normal(size=400))[:, None])


@functools.cache
def moons() -> Data:
    """Return two noisy crescents."""
    inputs, targets = datasets.make_moons(2000, noise=0.25, random_state=0)
    return _split(inputs, targets)


def _windows(text: str, count: int) -> Data:
    codes = np.frombuffer(text.encode("ascii", "replace"), np.uint8)
    letters = torch.as_tensor(np.minimum(codes, _UNKNOWN).astype(np.int64))
    starts = np.random.default_rng(3).integers(0, len(letters) - CONTEXT - 1, count)
    windows = torch.stack([letters[s : s + CONTEXT + 1] for s in starts])
    return _split(windows[:, :-1], windows[:, 1:])


@functools.cache
def english() -> Data:
    """Return windows of the letters of Python's documentation."""
    return _windows("\n".join(topics.topics.values()), 4000)


@functools.cache
def code() -> Data:
    """Return windows of the letters of Python's source."""
    names = ("argparse", "dataclasses", "inspect", "typing")
    sources = [inspect.getsource(importlib.import_module(name)) for name in names]
    return _windows("\n".join(sources), 1000)


@functools.cache
def words() -> Data:
    """Return rows of hashed words from five modules, and the module of each row."""
    names = ("argparse", "decimal", "inspect", "socket", "tarfile")
    rows, targets = [], []
    for target, name in enumerate(names):
        module = importlib.import_module("_pydecimal" if name == "decimal" else name)
        words = inspect.getsource(module).split()
        for start in range(0, len(words) - 12, 12):
            chosen = words[start : start + 12]
            rows.append([sum(w.encode()) * len(w) % 2000 for w in chosen])
            targets.append(target)
    return _split(np.array(rows), np.array(targets))


@functools.cache
def sums() -> Data:
    """Return the adding problem: the sum of the two marked numbers of a sequence."""
    rng = np.random.default_rng(4)
    values = rng.random((3000, 16))
    marks = np.zeros((3000, 16))
    rows = np.arange(3000)
    marks[rows, rng.integers(0, 8, 3000)] = 1
    marks[rows, rng.integers(8, 16, 3000)] = 1
    return _split(np.stack([values, marks], 2), (values * marks).sum(1)[:, None])


@functools.cache
def sine() -> Data:
    """Return a sine of several periods with a little noise."""
    rng = np.random.default_rng(6)
    inputs = rng.uniform(-3, 3, (2000, 1))
    return _split(inputs, np.sin(3 * inputs) + 0.1 * rng.normal(size=(2000, 1)))


@functools.cache
def ratings() -> Data:
    """Return noisy ratings of 100 things by 200 users, from a model of rank 3."""
    rng = np.random.default_rng(7)
    users, things = rng.normal(size=(200, 3)), rng.normal(size=(100, 3))
    pairs = np.stack([rng.integers(0, 200, 6000), rng.integers(0, 100, 6000)], 1)
    opinions = (users[pairs[:, 0]] * things[pairs[:, 1]]).sum(1)
    return _split(pairs, opinions + 0.5 * rng.normal(size=6000))


@functools.cache
def percentages() -> Data:
    """Return the ratings with a standard deviation of about 20."""
    data = ratings()
    return data._replace(targets=12 * data.targets, val_targets=12 * data.val_targets)
