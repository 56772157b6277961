"""
Small trainings of many kinds, which judge suggestions of learning rates.

Everything runs offline on a CPU. The constants of lrwidget's rule are fitted to the first
half; the second half was added after the fit. Nothing is fitted to the tasks of other
scales: their inputs, targets, widths, batches, lengths and best rates lie outside of the
usual ones.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import nn

from benchmarks import data as sets
from benchmarks import models
from benchmarks.training import Task


def _pretrained(task: Task, lr: float) -> dict[str, Any]:
    """Train a task at a rate, and return the weights of its model."""
    # Otherwise the first task of a process that needs the weights sees other batches.
    with torch.random.fork_rng():
        training = task.start(seed=1234)
        task.train(training, lr)
    state: dict[str, Any] = training.model.state_dict()
    return state


@functools.cache
def _weights_of_cnn() -> dict[str, Any]:
    return _pretrained(
        Task("", lambda: models.cnn(nn.BatchNorm2d), _adam, sets.digits, 64, 300),
        3e-3,
    )


@functools.cache
def _weights_of_transformer() -> dict[str, Any]:
    return _pretrained(Task("", models.Transformer, _adam, sets.english, 32, 600), 3e-3)


@functools.cache
def _weights_of_wide_mlp() -> dict[str, Any]:
    task = Task(
        "", _wide_mlp, _adamw, lambda: sets.digits_up_to(255), 64, 5000, one_cycle=True
    )
    return _pretrained(task, 1e-4)


@functools.cache
def _weights_of_n_gram() -> dict[str, Any]:
    task = Task(
        "",
        models.NeuralNGram,
        _adamw,
        sets.english,
        32,
        4000,
        models.last_letters,
        one_cycle=True,
    )
    return _pretrained(task, 5e-3)


def _tuned_cnn() -> nn.Module:
    """Return a pretrained network with a new head."""
    model = models.cnn(nn.BatchNorm2d)
    weights = _weights_of_cnn()
    body = {k: v for k, v in weights.items() if not k.startswith("9.")}
    model.load_state_dict(body, strict=False)
    return model


def _tuned_head() -> nn.Module:
    """Return a pretrained network of which only the new head is trained."""
    model = _tuned_cnn().requires_grad_(requires_grad=False)
    model.get_submodule("9").requires_grad_()
    return model


def _tuned_transformer() -> nn.Module:
    model = models.Transformer()
    model.load_state_dict(_weights_of_transformer())
    return model


def _wide_mlp() -> nn.Sequential:
    return models.mlp_from_zero(64, 1024, 10)


def _tuned_wide_mlp() -> nn.Module:
    model = _wide_mlp()
    model.load_state_dict(_weights_of_wide_mlp())
    return model


def _tuned_n_gram() -> nn.Module:
    model = models.NeuralNGram()
    model.load_state_dict(_weights_of_n_gram())
    return model


# Optimizers, whose rates are set later

_sgd = functools.partial(torch.optim.SGD, lr=1e-3)
# Without the decay, the good rates of few examples span 0.5 decades; with it, 1.5.
_decayed_sgd = functools.partial(torch.optim.SGD, lr=1e-3, weight_decay=0.3)
_momentum = functools.partial(torch.optim.SGD, lr=1e-3, momentum=0.9)
_nesterov = functools.partial(torch.optim.SGD, lr=1e-3, momentum=0.9, nesterov=True)
_adam = functools.partial(torch.optim.Adam, lr=1e-3)
_adamw = functools.partial(torch.optim.AdamW, lr=1e-3, weight_decay=0.01)
_rmsprop = functools.partial(torch.optim.RMSprop, lr=1e-3)
_adagrad = functools.partial(torch.optim.Adagrad, lr=1e-3)
_mse = nn.functional.mse_loss


def _deep(activation: type[nn.Module]) -> nn.Sequential:
    return models.mlp(64, *[48] * 10, 10, activation=activation)


FIRST_HALF = (
    Task("digits MLP, SGD", lambda: models.mlp(64, 64, 10), _sgd, sets.flat_digits, 32, 1500),
    Task("digits CNN, Adam", lambda: models.cnn(None), _adam, sets.digits, 32, 600),
    Task(
        "digits CNN with BatchNorm, momentum",
        lambda: models.cnn(nn.BatchNorm2d), _momentum, sets.digits, 32, 600,
    ),
    Task(
        "digits CNN with BatchNorm, AdamW, one-cycle",
        lambda: models.cnn(nn.BatchNorm2d), _adamw, sets.digits, 64, 500, one_cycle=True,
    ),
    Task(
        "digits ResNet, Nesterov, one-cycle",
        models.resnet, _nesterov, sets.digits, 64, 400, one_cycle=True,
    ),
    Task("tumours MLP, Nesterov", lambda: models.mlp(30, 32, 2), _nesterov, sets.tumours, 32, 600),
    Task("wines linear, Adagrad", lambda: nn.Linear(13, 3), _adagrad, sets.wines, 16, 800),
    Task(
        "diabetes MLP, Adam",
        lambda: models.mlp(10, 32, 1), _adam, sets.diabetes, 32, 600, _mse,
    ),
    Task(
        "Friedman's regression MLP, RMSprop",
        lambda: models.mlp(10, 64, 64, 1), _rmsprop, sets.friedman, 32, 1500, _mse,
    ),
    Task(
        "noisy line, batches of 4, momentum",
        lambda: nn.Linear(20, 1), _momentum, sets.noisy_line, 4, 1500, _mse,
    ),
    Task("two moons MLP, SGD", lambda: models.mlp(2, 32, 32, 2), _sgd, sets.moons, 32, 2000),
    Task(
        "letters GRU, Adam",
        lambda: models.Recurrent(nn.GRU, 32, sets.LETTERS, each=True), _adam, sets.english, 32, 400,
    ),
    Task("letters transformer, AdamW", models.Transformer, _adamw, sets.english, 32, 400),
    Task("letters n-gram MLP, SGD", models.NeuralNGram, _sgd, sets.english, 32, 800, models.last_letters),
    Task(
        "letters n-gram MLP, RMSprop",
        models.NeuralNGram, _rmsprop, sets.english, 32, 400, models.last_letters,
    ),
    Task(
        "autoencoder, Adam",
        lambda: models.mlp(64, 32, 8, 32, 64), _adam, sets.images_of_digits, 32, 1500, _mse,
    ),
    Task(
        "autoencoder, Nesterov",
        lambda: models.mlp(64, 32, 8, 32, 64), _nesterov, sets.images_of_digits, 32, 1500, _mse,
    ),
    Task(
        "rows of digits LSTM, RMSprop",
        lambda: models.Recurrent(nn.LSTM, 8, 10), _rmsprop, sets.rows_of_digits, 32, 600,
    ),
    Task(
        "adding problem GRU, AdamW",
        lambda: models.Recurrent(nn.GRU, 2, 1), _adamw, sets.sums, 32, 600, _mse,
    ),
    Task("fine-tuned CNN, AdamW", _tuned_cnn, _adamw, sets.turned_digits, 32, 300),
    Task("fine-tuned CNN, momentum", _tuned_cnn, _momentum, sets.turned_digits, 32, 300),
    Task("fine-tuned transformer, Adam", _tuned_transformer, _adam, sets.code, 16, 250),
    Task("fine-tuned transformer, SGD", _tuned_transformer, _sgd, sets.code, 16, 250),
    Task(
        "mislabelled digits, batches of 4, momentum",
        lambda: models.mlp(64, 32, 10), _momentum, sets.mislabelled_digits, 4, 1500,
    ),
    Task(
        "mislabelled digits, batches of 4, Adam",
        lambda: models.mlp(64, 32, 10), _adam, sets.mislabelled_digits, 4, 1500,
    ),
    Task("deep MLP, AdamW", lambda: _deep(nn.ReLU), _adamw, sets.flat_digits, 32, 900),
    Task("deep MLP, momentum", lambda: _deep(nn.Tanh), _momentum, sets.flat_digits, 32, 900),
    Task("words sparse, Adagrad", lambda: models.bag_of_words(sparse=True), _adagrad, sets.words, 32, 1200),
    Task("words sparse, SGD", lambda: models.bag_of_words(sparse=True), _sgd, sets.words, 32, 1500),
)  # fmt: skip

SECOND_HALF = (
    Task("digits MLP, Adam", lambda: models.mlp(64, 48, 48, 10), _adam, sets.flat_digits, 64, 800),
    Task("digits CNN, Nesterov, one-cycle", lambda: models.cnn(None), _nesterov, sets.digits, 32, 500, one_cycle=True),
    Task("digits CNN with GroupNorm, RMSprop", lambda: models.cnn(models.group_norm), _rmsprop, sets.digits, 32, 500),
    Task("digits ResNet, SGD", models.resnet, _sgd, sets.digits, 32, 500),
    Task("digits vision transformer, AdamW", models.VisionTransformer, _adamw, sets.rows_of_digits, 32, 500),
    Task("tumours logistic, SGD", lambda: nn.Linear(30, 2), _sgd, sets.tumours, 16, 1000),
    Task("wines MLP, RMSprop", lambda: models.mlp(13, 24, 3), _rmsprop, sets.wines, 16, 500),
    Task("two moons MLP, Adagrad", lambda: models.mlp(2, 32, 32, 2, activation=nn.Tanh), _adagrad, sets.moons, 32, 1500),
    Task("diabetes linear, momentum", lambda: nn.Linear(10, 1), _momentum, sets.diabetes, 16, 600, _mse),
    Task("Friedman's regression MLP, Adam", lambda: models.mlp(10, 64, 64, 1), _adam, sets.friedman, 64, 1000, _mse),
    Task("noisy line MLP, batches of 8, AdamW", lambda: models.mlp(20, 32, 1), _adamw, sets.noisy_line, 8, 1000, _mse),
    Task("sine MLP, Nesterov", lambda: models.mlp(1, 48, 48, 1, activation=nn.Tanh), _nesterov, sets.sine, 32, 1500, _mse),
    Task("letters LSTM, momentum", lambda: models.Recurrent(nn.LSTM, 32, sets.LETTERS, each=True), _momentum, sets.english, 32, 400),
    Task("letters GRU, RMSprop", lambda: models.Recurrent(nn.GRU, 32, sets.LETTERS, each=True), _rmsprop, sets.code, 16, 400),
    Task("letters transformer, Adam, one-cycle", models.Transformer, _adam, sets.code, 32, 300, one_cycle=True),
    Task("letters n-gram MLP, AdamW", models.NeuralNGram, _adamw, sets.code, 32, 500, models.last_letters),
    Task("convolutional autoencoder, AdamW", models.convolutional_autoencoder, _adamw, sets.squares_of_digits, 32, 600, _mse),
    Task("denoising autoencoder, SGD", lambda: models.mlp(64, 48, 64), _sgd, sets.noisy_digits, 32, 1200, _mse),
    Task("rows of digits GRU, Nesterov", lambda: models.Recurrent(nn.GRU, 8, 10), _nesterov, sets.rows_of_digits, 32, 500),
    Task("adding problem LSTM, Adam", lambda: models.Recurrent(nn.LSTM, 2, 1), _adam, sets.sums, 32, 600, _mse),
    Task("fine-tuned CNN, SGD", _tuned_cnn, _sgd, sets.turned_digits, 32, 300),
    Task("fine-tuned CNN, head only, Adam", _tuned_head, _adam, sets.turned_digits, 32, 300),
    Task("fine-tuned transformer, AdamW, one-cycle", _tuned_transformer, _adamw, sets.code, 16, 250, one_cycle=True),
    Task("fine-tuned transformer, RMSprop", _tuned_transformer, _rmsprop, sets.code, 16, 250),
    Task("mislabelled digits CNN, batches of 8, RMSprop", lambda: models.cnn(None), _rmsprop, sets.mislabelled_images, 8, 800),
    Task("mislabelled digits, batches of 2, SGD", lambda: models.mlp(64, 32, 10), _sgd, sets.mislabelled_digits, 2, 2000),
    Task("deep MLP, Adam", lambda: _deep(nn.Tanh), _adam, sets.flat_digits, 32, 900),
    Task("words, Adam", lambda: models.bag_of_words(sparse=False), _adam, sets.words, 32, 1000),
    Task("matrix factorization, Adagrad", models.Factorization, _adagrad, sets.ratings, 64, 1500, _mse),
)  # fmt: skip

OTHER_SCALES = (
    Task("digits of 0 to 0.01 MLP, Adam", lambda: models.mlp(64, 64, 10), _adam, lambda: sets.digits_up_to(0.01), 32, 800),
    Task("digits of 0 to 0.01 CNN with BatchNorm, momentum", lambda: models.cnn(nn.BatchNorm2d), _momentum, lambda: sets.images_up_to(0.01), 32, 300),
    Task("wines of 0 to 0.01 linear, Adagrad", lambda: nn.Linear(13, 3), _adagrad, sets.small_wines, 16, 1000, end_lr=1e4),
    Task("unscaled diabetes linear, Adam", lambda: nn.Linear(10, 1), _adam, sets.unscaled_diabetes, 32, 800, _mse, end_lr=1e3),
    Task("words linear, batches of 512, SGD", lambda: nn.EmbeddingBag(2000, 5), _sgd, sets.words, 512, 500, end_lr=1e4),
    Task("small deviations linear autoencoder, Nesterov", models.linear_autoencoder, _nesterov, sets.small_deviations, 32, 1500, _mse, end_lr=1e4),
    Task("digits of 0 to 1,023 wide MLP, Adam", _wide_mlp, _adam, lambda: sets.digits_up_to(1023), 32, 500),
    Task("unscaled tumours MLP, momentum", lambda: models.mlp_from_zero(30, 32, 2), _momentum, sets.unscaled_tumours, 16, 800),
    Task("progress of diabetes MLP, momentum", lambda: models.mlp(10, 32, 1), _momentum, sets.progress_of_diabetes, 32, 800, _mse),
    Task("wide MLP, batches of 512, Nesterov, one-cycle", lambda: models.mlp(64, 1024, 10), _nesterov, sets.flat_digits, 512, 150, one_cycle=True),
    Task("two moons narrow MLP, 5,000 steps, AdamW", lambda: models.mlp(2, 8, 2), _adamw, sets.moons, 32, 5000),
    Task("unscaled Friedman narrow MLP, 5,000 steps, SGD", lambda: models.mlp(10, 8, 1), _sgd, sets.unscaled_friedman, 32, 5000, _mse),
    Task("few examples linear, SGD with weight decay", lambda: nn.Linear(100, 1), _decayed_sgd, sets.few_examples, 16, 1500, _mse),
    Task("percentages factorization, batches of 512, RMSprop", models.Factorization, _rmsprop, sets.percentages, 512, 600, _mse),
    Task("fine-tuned wide MLP, AdamW", _tuned_wide_mlp, _adamw, sets.noisy_pixels, 32, 500),
    Task("fine-tuned n-gram MLP, RMSprop", _tuned_n_gram, _rmsprop, sets.code, 16, 300, models.last_letters),
)  # fmt: skip

TASKS = (*FIRST_HALF, *SECOND_HALF)
