"""Small models of many kinds."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from benchmarks.data import CONTEXT, LETTERS

if TYPE_CHECKING:
    from collections.abc import Callable


def mlp(*sizes: int, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Return linear layers of these sizes, without normalization."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes[:-1]):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


def mlp_from_zero(*sizes: int) -> nn.Sequential:
    """Return linear layers whose outputs are zero before the training."""
    layers = mlp(*sizes)
    for parameter in layers[-1].parameters():
        nn.init.zeros_(parameter)
    return layers


def linear_autoencoder() -> nn.Sequential:
    """Return an encoder and a decoder without activations and biases."""
    return nn.Sequential(nn.Linear(64, 8, bias=False), nn.Linear(8, 64, bias=False))


def cnn(norm: Callable[[int], nn.Module] | None) -> nn.Sequential:
    """Return a network of two convolutional layers, with normalization or without."""
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


def resnet() -> nn.Sequential:
    """Return a small residual network."""
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1),
        _Residual(12),
        nn.MaxPool2d(2),
        _Residual(12),
        nn.Flatten(),
        nn.Linear(12 * 16, 10),
    )


class Recurrent(nn.Module):
    """A recurrent network with an output for its last state, or for each state."""

    def __init__(
        self,
        cell: type[nn.LSTM | nn.GRU],
        inputs: int,
        outputs: int,
        *,
        each: bool = False,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(LETTERS, inputs) if each else nn.Identity()
        self.cell = cell(inputs, 48, batch_first=True)
        self.head = nn.Linear(48, outputs)
        self._each = each

    def forward(self, inputs: Tensor) -> Tensor:
        states, _ = self.cell(self.embedding(inputs))
        result: Tensor = self.head(states if self._each else states[:, -1])
        return result.transpose(1, 2) if self._each else result


class Transformer(nn.Module):
    """A small causal language model."""

    def __init__(self) -> None:
        super().__init__()
        self.letters = nn.Embedding(LETTERS, 48)
        self.places = nn.Parameter(0.02 * torch.randn(CONTEXT, 48))
        layer = nn.TransformerEncoderLayer(
            48, 4, 96, dropout=0.0, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(48, LETTERS)
        mask = nn.Transformer.generate_square_subsequent_mask(CONTEXT)
        self.register_buffer("mask", mask)

    def forward(self, inputs: Tensor) -> Tensor:
        states = self.letters(inputs) + self.places
        states = self.layers(states, mask=self.mask, is_causal=True)
        result: Tensor = self.head(states).transpose(1, 2)
        return result


class NeuralNGram(nn.Module):
    """A language model of the last eight letters, like Bengio's."""

    def __init__(self) -> None:
        super().__init__()
        self.letters = nn.Embedding(LETTERS, 16)
        self.layers = mlp(8 * 16, 96, LETTERS, activation=nn.Tanh)

    def forward(self, inputs: Tensor) -> Tensor:
        states = self.letters(inputs).unfold(1, 8, 1).flatten(2)
        result: Tensor = self.layers(states).transpose(1, 2)
        return result


def last_letters(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of a model that has no output for the first letters."""
    return nn.functional.cross_entropy(outputs, targets[:, 7:])


def bag_of_words(*, sparse: bool) -> nn.Sequential:
    """Return a model of the mean of embedded words, and a linear layer."""
    return nn.Sequential(nn.EmbeddingBag(2000, 32, sparse=sparse), nn.Linear(32, 5))


def group_norm(width: int) -> nn.Module:
    """Return a normalization layer of four groups."""
    return nn.GroupNorm(4, width)


class VisionTransformer(nn.Module):
    """A transformer over the rows of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Linear(8, 32)
        self.places = nn.Parameter(0.02 * torch.randn(8, 32))
        layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.1, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        states = self.layers(self.embedding(inputs) + self.places)
        result: Tensor = self.head(states.mean(1))
        return result


def convolutional_autoencoder() -> nn.Sequential:
    """Return an encoder and a decoder of images."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 4, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 8, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 1, 4, stride=2, padding=1),
    )


class Factorization(nn.Module):
    """A model of a user's rating of a thing, as the product of two embeddings."""

    def __init__(self) -> None:
        super().__init__()
        self.users = nn.Embedding(200, 8)
        self.things = nn.Embedding(100, 8)
        for table in (self.users, self.things):
            nn.init.normal_(table.weight, std=0.3)

    def forward(self, inputs: Tensor) -> Tensor:
        users, things = self.users(inputs[:, 0]), self.things(inputs[:, 1])
        result: Tensor = (users * things).sum(1)
        return result
