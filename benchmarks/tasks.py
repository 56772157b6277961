"""
Small trainings of many kinds, to judge suggestions of learning rates by.

Everything runs offline on a CPU: the data comes with scikit-learn and with Python, or is
drawn from a generator, and what is fine-tuned is first trained here.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from pydoc_data import topics
from sklearn import datasets
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

Half: TypeAlias = Literal["A", "B"]
Loss: TypeAlias = Callable[[Any, Any], Tensor]
_UNKNOWN = 127
_LETTERS = 128
_CONTEXT = 32


class Data(NamedTuple):
    """Inputs and targets to train on, and others to validate with."""

    inputs: Tensor
    targets: Tensor
    val_inputs: Tensor
    val_targets: Tensor


class Training(NamedTuple):
    """All that a training consists of but the learning rate."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    dataloader: DataLoader[Any]
    loss_fn: Loss
    data: Data

    @torch.no_grad()
    def val_loss(self) -> float:
        """Return the loss on the data that is not trained on."""
        self.model.eval()
        outputs = self.model(self.data.val_inputs)
        return self.loss_fn(outputs, self.data.val_targets).item()

    def batches(self) -> Iterator[Any]:
        """Return the batches of one epoch after the other."""
        while True:
            yield from self.dataloader


class Task(NamedTuple):
    """
    A kind of training.

    Attributes
    ----------
    name:
        What is trained, and how.
    half:
        In which of the two halves it is, which take turns at being held out.
    model:
        Makes the model; what it draws comes from torch's generator.
    optimizer:
        Makes the optimizer of some parameters.
    data:
        Returns the data.
    batch_size, steps:
        How it is trained.
    loss_fn:
        What is trained for.
    one_cycle:
        Whether it is trained with PyTorch's ``OneCycleLR`` and not at a constant rate.
    """

    name: str
    half: Half
    model: Callable[[], nn.Module]
    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
    data: Callable[[], Data]
    batch_size: int
    steps: int
    loss_fn: Loss = nn.functional.cross_entropy
    one_cycle: bool = False

    def start(self, seed: int) -> Training:
        """Return a training at its start; all that is random comes from the seed."""
        data = self.data()
        torch.manual_seed(seed)
        model = self.model()
        examples = TensorDataset(data.inputs, data.targets)
        sampler = RandomSampler(examples)
        # Whole batches are indexed at once, which is many times as fast.
        batches = BatchSampler(sampler, self.batch_size, drop_last=True)
        loader = DataLoader(examples, sampler=batches, batch_size=None)
        optimizer = self.optimizer(model.parameters())
        return Training(model, optimizer, loader, self.loss_fn, data)

    def train(self, training: Training, lr: float) -> float:
        """Train at a rate, and return the validation loss in the end."""
        optimizer = training.optimizer
        for group in optimizer.param_groups:
            group["lr"] = lr
        schedule = None
        if self.one_cycle:
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, lr, total_steps=self.steps
            )
        training.model.train()
        for _, (inputs, targets) in zip(
            range(self.steps), training.batches(), strict=False
        ):
            optimizer.zero_grad()
            loss = training.loss_fn(training.model(inputs), targets)
            if not loss.isfinite():  # which no further step mends
                return float("nan")
            loss.backward()
            optimizer.step()
            if schedule is not None:
                schedule.step()
        return training.val_loss()


# Data


def _split(inputs: Any, targets: Any, seed: int = 0) -> Data:  # noqa: ANN401 (arrays)
    """Set a quarter apart for validation."""
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
def _digits() -> Data:
    inputs, targets = datasets.load_digits(return_X_y=True)
    return _split(inputs.reshape(-1, 1, 8, 8) / 8 - 1, targets)


@functools.cache
def _flat_digits() -> Data:
    data = _digits()
    return data._replace(
        inputs=data.inputs.flatten(1), val_inputs=data.val_inputs.flatten(1)
    )


@functools.cache
def _rows_of_digits() -> Data:
    """Return digits as sequences of eight rows."""
    data = _digits()
    return data._replace(
        inputs=data.inputs.squeeze(1), val_inputs=data.val_inputs.squeeze(1)
    )


@functools.cache
def _turned_digits() -> Data:
    """Return few digits, on their side and negative, for fine-tuning."""
    data = _digits()
    return Data(
        -data.inputs.rot90(1, (2, 3))[:400],
        data.targets[:400],
        -data.val_inputs.rot90(1, (2, 3)),
        data.val_targets,
    )


@functools.cache
def _images_of_digits() -> Data:
    """Return digits to be encoded and decoded."""
    data = _flat_digits()
    return data._replace(targets=data.inputs, val_targets=data.val_inputs)


@functools.cache
def _mislabelled_digits() -> Data:
    """Return digits of which three in ten have any label, to train on."""
    data = _flat_digits()
    rng = np.random.default_rng(1)
    wrong = torch.as_tensor(rng.random(len(data.targets)) < 0.3)
    others = torch.as_tensor(rng.integers(0, 10, len(data.targets)))
    return data._replace(targets=torch.where(wrong, others, data.targets))


@functools.cache
def _tumours() -> Data:
    inputs, targets = datasets.load_breast_cancer(return_X_y=True)
    return _split(_standard(inputs), targets)


@functools.cache
def _wines() -> Data:
    inputs, targets = datasets.load_wine(return_X_y=True)
    return _split(_standard(inputs), targets)


@functools.cache
def _diabetes() -> Data:
    inputs, targets = datasets.load_diabetes(return_X_y=True)
    return _split(_standard(inputs), _standard(targets)[:, None])


@functools.cache
def _friedman() -> Data:
    """Return Friedman's first regression, a third of whose variance is noise."""
    inputs, targets = datasets.make_friedman1(2000, noise=3.5, random_state=0)
    return _split(_standard(inputs), _standard(targets)[:, None])


@functools.cache
def _noisy_line() -> Data:
    """Return a linear regression with more noise than signal, badly scaled."""
    rng = np.random.default_rng(2)
    inputs = rng.normal(size=(2000, 20)) * np.geomspace(0.3, 3, 20)
    signal = inputs @ rng.normal(size=20)
    noise = rng.normal(size=2000) * 1.5 * signal.std()
    return _split(inputs, (signal + noise)[:, None] / signal.std())


@functools.cache
def _moons() -> Data:
    inputs, targets = datasets.make_moons(2000, noise=0.25, random_state=0)
    return _split(inputs, targets)


def _windows(text: str, count: int) -> Data:
    codes = np.frombuffer(text.encode("ascii", "replace"), np.uint8)
    letters = torch.as_tensor(np.minimum(codes, _UNKNOWN).astype(np.int64))
    starts = np.random.default_rng(3).integers(0, len(letters) - _CONTEXT - 1, count)
    windows = torch.stack([letters[s : s + _CONTEXT + 1] for s in starts])
    return _split(windows[:, :-1], windows[:, 1:])


@functools.cache
def _english() -> Data:
    """Return windows of Python's own documentation."""
    return _windows("\n".join(topics.topics.values()), 4000)


@functools.cache
def _code() -> Data:
    """Return windows of Python's own source."""
    names = ("argparse", "dataclasses", "inspect", "typing")
    sources = [inspect.getsource(importlib.import_module(name)) for name in names]
    return _windows("\n".join(sources), 1000)


@functools.cache
def _words() -> Data:
    """Return lines of five modules as hashed words, to tell which module it was."""
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
def _sums() -> Data:
    """Return the adding problem: the sum of the two marked numbers of a sequence."""
    rng = np.random.default_rng(4)
    values = rng.random((3000, 16))
    marks = np.zeros((3000, 16))
    rows = np.arange(3000)
    marks[rows, rng.integers(0, 8, 3000)] = 1
    marks[rows, rng.integers(8, 16, 3000)] = 1
    return _split(np.stack([values, marks], 2), (values * marks).sum(1)[:, None])


# Models


def _mlp(*sizes: int, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes[:-2], sizes[1:-1], strict=True):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


def _cnn(norm: Callable[[int], nn.Module] | None) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in ((1, 12), (12, 24)):
        layers.append(nn.Conv2d(inputs, outputs, 3, padding=1))
        if norm is not None:
            layers.append(norm(outputs))
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(24 * 4, 10))


class _Residual(nn.Module):
    """A residual block of convolutions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.GroupNorm(4, width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(4, width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        result: Tensor = inputs + self.layers(inputs)
        return result


def _resnet() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1),
        _Residual(12),
        nn.MaxPool2d(2),
        _Residual(12),
        nn.Flatten(),
        nn.Linear(12 * 16, 10),
    )


class _Recurrent(nn.Module):
    """A recurrent network that answers by its last state, or by each."""

    def __init__(
        self, cell: type[nn.RNNBase], inputs: int, outputs: int, *, each: bool = False
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(_LETTERS, inputs) if each else nn.Identity()
        self.cell = cell(inputs, 48, batch_first=True)
        self.head = nn.Linear(48, outputs)
        self._each = each

    def forward(self, inputs: Tensor) -> Tensor:
        states, _ = self.cell(self.embedding(inputs))
        result: Tensor = self.head(states if self._each else states[:, -1])
        return result.transpose(1, 2) if self._each else result


class _Transformer(nn.Module):
    """A small causal language model."""

    def __init__(self) -> None:
        super().__init__()
        self.letters = nn.Embedding(_LETTERS, 48)
        self.places = nn.Parameter(0.02 * torch.randn(_CONTEXT, 48))
        layer = nn.TransformerEncoderLayer(
            48, 4, 96, dropout=0.0, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(48, _LETTERS)
        mask = nn.Transformer.generate_square_subsequent_mask(_CONTEXT)
        self.register_buffer("mask", mask)

    def forward(self, inputs: Tensor) -> Tensor:
        states = self.letters(inputs) + self.places
        states = self.layers(states, mask=self.mask, is_causal=True)
        result: Tensor = self.head(states).transpose(1, 2)
        return result


class _NeuralNGram(nn.Module):
    """A language model of the last eight letters, as Bengio's."""

    def __init__(self) -> None:
        super().__init__()
        self.letters = nn.Embedding(_LETTERS, 16)
        self.layers = _mlp(8 * 16, 96, _LETTERS, activation=nn.Tanh)

    def forward(self, inputs: Tensor) -> Tensor:
        states = self.letters(inputs).unfold(1, 8, 1).flatten(2)
        result: Tensor = self.layers(states).transpose(1, 2)
        return result


def _last_letters(outputs: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.cross_entropy(outputs, targets[:, 7:])


def _bag_of_words(*, sparse: bool) -> nn.Sequential:
    return nn.Sequential(nn.EmbeddingBag(2000, 32, sparse=sparse), nn.Linear(32, 5))


def _pretrained(task: Task, lr: float) -> dict[str, Any]:
    """Return the weights of a model that was trained here."""
    training = task.start(seed=1234)
    task.train(training, lr)
    state: dict[str, Any] = training.model.state_dict()
    return state


@functools.cache
def _weights_of_cnn() -> dict[str, Any]:
    return _pretrained(
        Task(
            "", "A", lambda: _cnn(nn.BatchNorm2d), _adam, _digits, 64, 300
        ),
        3e-3,
    )


@functools.cache
def _weights_of_transformer() -> dict[str, Any]:
    return _pretrained(
        Task("", "A", _Transformer, _adam, _english, 32, 600), 3e-3
    )


def _tuned_cnn() -> nn.Module:
    """Return a pretrained network with a new head."""
    model = _cnn(nn.BatchNorm2d)
    weights = _weights_of_cnn()
    body = {k: v for k, v in weights.items() if not k.startswith("9.")}
    model.load_state_dict(body, strict=False)
    return model


def _tuned_transformer() -> nn.Module:
    model = _Transformer()
    model.load_state_dict(_weights_of_transformer())
    return model


# Optimizers, whose rates are set later

_sgd = functools.partial(torch.optim.SGD, lr=1e-3)
_momentum = functools.partial(torch.optim.SGD, lr=1e-3, momentum=0.9)
_nesterov = functools.partial(torch.optim.SGD, lr=1e-3, momentum=0.9, nesterov=True)
_adam = functools.partial(torch.optim.Adam, lr=1e-3)
_adamw = functools.partial(torch.optim.AdamW, lr=1e-3, weight_decay=0.01)
_rmsprop = functools.partial(torch.optim.RMSprop, lr=1e-3)
_adagrad = functools.partial(torch.optim.Adagrad, lr=1e-3)
_mse = nn.functional.mse_loss


def _deep(activation: type[nn.Module]) -> nn.Sequential:
    return _mlp(64, *[48] * 10, 10, activation=activation)


# In pairs of one kind, one for each half.
TASKS = (
    Task("digits MLP, SGD", "A", lambda: _mlp(64, 64, 10), _sgd, _flat_digits, 32, 1500),
    Task("digits CNN, Adam", "B", lambda: _cnn(None), _adam, _digits, 32, 600),
    Task(
        "digits CNN with BatchNorm, momentum",
        "B", lambda: _cnn(nn.BatchNorm2d), _momentum, _digits, 32, 600,
    ),
    Task(
        "digits CNN with BatchNorm, AdamW, one-cycle",
        "A", lambda: _cnn(nn.BatchNorm2d), _adamw, _digits, 64, 500, one_cycle=True,
    ),
    Task(
        "digits ResNet, Nesterov, one-cycle",
        "B", _resnet, _nesterov, _digits, 64, 400, one_cycle=True,
    ),
    Task("tumours MLP, Nesterov", "A", lambda: _mlp(30, 32, 2), _nesterov, _tumours, 32, 600),
    Task("wines linear, Adagrad", "B", lambda: nn.Linear(13, 3), _adagrad, _wines, 16, 800),
    Task(
        "diabetes MLP, Adam",
        "B", lambda: _mlp(10, 32, 1), _adam, _diabetes, 32, 600, _mse,
    ),
    Task(
        "Friedman's regression MLP, RMSprop",
        "A", lambda: _mlp(10, 64, 64, 1), _rmsprop, _friedman, 32, 1500, _mse,
    ),
    Task(
        "noisy line, batches of 4, momentum",
        "A", lambda: nn.Linear(20, 1), _momentum, _noisy_line, 4, 1500, _mse,
    ),
    Task("two moons MLP, SGD", "B", lambda: _mlp(2, 32, 32, 2), _sgd, _moons, 32, 2000),
    Task(
        "letters GRU, Adam",
        "A", lambda: _Recurrent(nn.GRU, 32, _LETTERS, each=True), _adam, _english, 32, 400,
    ),
    Task("letters transformer, AdamW", "B", _Transformer, _adamw, _english, 32, 400),
    Task("letters n-gram MLP, SGD", "A", _NeuralNGram, _sgd, _english, 32, 800, _last_letters),
    Task(
        "letters n-gram MLP, RMSprop",
        "B", _NeuralNGram, _rmsprop, _english, 32, 400, _last_letters,
    ),
    Task(
        "autoencoder, Adam",
        "A", lambda: _mlp(64, 32, 8, 32, 64), _adam, _images_of_digits, 32, 1500, _mse,
    ),
    Task(
        "autoencoder, Nesterov",
        "B", lambda: _mlp(64, 32, 8, 32, 64), _nesterov, _images_of_digits, 32, 1500, _mse,
    ),
    Task(
        "rows of digits LSTM, RMSprop",
        "A", lambda: _Recurrent(nn.LSTM, 8, 10), _rmsprop, _rows_of_digits, 32, 600,
    ),
    Task(
        "adding problem GRU, AdamW",
        "B", lambda: _Recurrent(nn.GRU, 2, 1), _adamw, _sums, 32, 600, _mse,
    ),
    Task("fine-tuned CNN, AdamW", "A", _tuned_cnn, _adamw, _turned_digits, 32, 300),
    Task("fine-tuned CNN, momentum", "B", _tuned_cnn, _momentum, _turned_digits, 32, 300),
    Task("fine-tuned transformer, Adam", "B", _tuned_transformer, _adam, _code, 16, 250),
    Task("fine-tuned transformer, SGD", "A", _tuned_transformer, _sgd, _code, 16, 250),
    Task(
        "mislabelled digits, batches of 4, momentum",
        "B", lambda: _mlp(64, 32, 10), _momentum, _mislabelled_digits, 4, 1500,
    ),
    Task(
        "mislabelled digits, batches of 4, Adam",
        "A", lambda: _mlp(64, 32, 10), _adam, _mislabelled_digits, 4, 1500,
    ),
    Task("deep MLP, AdamW", "B", lambda: _deep(nn.ReLU), _adamw, _flat_digits, 32, 900),
    Task("deep MLP, momentum", "A", lambda: _deep(nn.Tanh), _momentum, _flat_digits, 32, 900),
    Task("words sparse, Adagrad", "A", lambda: _bag_of_words(sparse=True), _adagrad, _words, 32, 1200),
    Task("words sparse, SGD", "B", lambda: _bag_of_words(sparse=True), _sgd, _words, 32, 1500),
)  # fmt: skip
