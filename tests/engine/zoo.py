"""Models of all kinds, most of them written by nobody here, each ready to train."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import timm
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm
from torch.utils.data import DataLoader, TensorDataset
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
)

from tests.engine.training_parts import Net

if TYPE_CHECKING:
    from collections.abc import Callable


class Animal(NamedTuple):
    """
    A training in the zoo.

    Attributes
    ----------
    make:
        Makes the model.
    samples:
        The tensors of the data set.
    loss_fn:
        As `RangeTest` takes it.
    collate_fn:
        As a torch loader takes it.
    sparse:
        Whether the gradients are sparse, which not every optimizer takes.
    copied:
        Whether the model can be copied; one that cannot is always put back.
    warm:
        Whether it can be trained before; lazy modules would be lazy no more.
    """

    make: Callable[[], nn.Module]
    samples: tuple[torch.Tensor, ...]
    loss_fn: Any = nn.functional.cross_entropy
    collate_fn: Any = None
    sparse: bool = False
    copied: bool = True
    warm: bool = True

    def loader(self, collate_fn: Any = None) -> DataLoader[Any]:
        return DataLoader(
            TensorDataset(*self.samples),
            batch_size=8,
            shuffle=True,
            generator=torch.Generator().manual_seed(5),
            collate_fn=collate_fn or self.collate_fn,
        )

    def loss_of(self, model: nn.Module, batch: Any) -> Any:
        if self.loss_fn is None:
            return model(**batch).loss
        *inputs, target = batch
        return self.loss_fn(model(*inputs), target)


_generator = torch.Generator().manual_seed(1)
_ROWS = torch.randn(24, 8, generator=_generator)
_SEQUENCES = torch.randn(24, 5, 8, generator=_generator)
_IMAGES = torch.randn(24, 3, 16, 16, generator=_generator)
_WORDS = torch.randint(30, (24, 6), generator=_generator)
_CLASSES = torch.randint(3, (24,), generator=_generator)


def _mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))


def _cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=4),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Flatten(),
        nn.Linear(64, 3),
    )


class Recurrent(nn.Module):
    """It keeps its hidden state from batch to batch."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 6, num_layers=2, dropout=0.1, batch_first=True)
        self.head = nn.Linear(6, 3)
        self.hidden: Any = None

    def forward(self, inputs: torch.Tensor) -> Any:
        outputs, hidden = self.lstm(inputs, self.hidden)
        self.hidden = tuple(part.detach() for part in hidden)
        return self.head(outputs[:, -1])


def _transformer() -> nn.Module:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    return nn.Sequential(layer, nn.Flatten(), nn.Linear(40, 3))


def _normed(norm: Any) -> nn.Module:
    return nn.Sequential(norm(nn.Linear(8, 6)), nn.ReLU(), nn.Linear(6, 3))


def _lazy() -> nn.Module:
    return nn.Sequential(nn.LazyLinear(6), nn.LazyBatchNorm1d(), nn.LazyLinear(3))


class Tied(nn.Module):
    """Its first weight is its last one."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.last = nn.Linear(8, 8)
        self.last.weight = self.first.weight

    def forward(self, inputs: torch.Tensor) -> Any:
        return self.last(self.first(inputs).relu())


def _frozen() -> nn.Module:
    backbone = _cnn().requires_grad_(requires_grad=False).eval()
    return nn.Sequential(backbone, nn.Linear(3, 3))


def _shared() -> nn.Module:
    part = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8))
    return nn.Sequential(part, nn.ReLU(), part, nn.ModuleList([part])[0])


class Hooked(nn.Module):
    """Hooks of every kind look at what passes, and change it."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
        self.passed: list[float] = []
        self.net.register_forward_hook(self._note)
        self.net[1].register_full_backward_hook(lambda *_: None)
        self.net.register_forward_pre_hook(lambda _module, inputs: (inputs[0] * 2,))
        for parameter in self.net.parameters():
            parameter.register_hook(lambda grad: grad.clamp(-1, 1))

    def _note(self, _module: nn.Module, _inputs: Any, outputs: torch.Tensor) -> None:
        self.passed.append(outputs.mean().item())

    def forward(self, inputs: torch.Tensor) -> Any:
        return self.net(inputs)


class Centres(nn.Module):
    """A loss with parameters and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(3, 3))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, outputs: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        self.get_buffer("seen").add_(len(classes))
        apart = (outputs - self.centres[classes]).square().mean()
        return apart + nn.functional.cross_entropy(outputs, classes)


def _bert() -> BertForSequenceClassification:
    sizes: Any = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
    return BertForSequenceClassification(
        BertConfig(vocab_size=30, num_hidden_layers=1, **sizes)
    )


def _gpt2() -> nn.Module:
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=30,
            n_positions=8,
            n_embd=16,
            n_layer=1,
            n_head=2,
            bos_token_id=0,
            eos_token_id=0,
        )
    )


def _lora() -> nn.Module:
    config = LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query", "value"])
    return get_peft_model(_bert(), config)


def _named(samples: list[tuple[torch.Tensor, ...]]) -> dict[str, torch.Tensor]:
    words, labels = (torch.stack(column) for column in zip(*samples, strict=True))
    return {"input_ids": words, "labels": labels}


_WITH_ROWS: Any = {"samples": (_ROWS, _CLASSES)}
_WITH_IMAGES: Any = {"samples": (_IMAGES, _CLASSES)}
_WITH_WORDS: Any = {"loss_fn": None, "collate_fn": _named}
ZOO = {
    "MLP": Animal(_mlp, **_WITH_ROWS),
    "CNN": Animal(_cnn, **_WITH_IMAGES),
    "RNN": Animal(Recurrent, (_SEQUENCES, _CLASSES)),
    "transformer": Animal(_transformer, (_SEQUENCES, _CLASSES)),
    "sparse embedding": Animal(
        lambda: nn.EmbeddingBag(30, 3, sparse=True), (_WORDS, _CLASSES), sparse=True
    ),
    "weight norm, old": Animal(
        lambda: _normed(weight_norm), copied=False, **_WITH_ROWS
    ),
    "weight norm": Animal(lambda: _normed(parametrizations.weight_norm), **_WITH_ROWS),
    "spectral norm, old": Animal(
        lambda: _normed(spectral_norm), copied=False, **_WITH_ROWS
    ),
    "spectral norm": Animal(
        lambda: _normed(parametrizations.spectral_norm), **_WITH_ROWS
    ),
    "lazy": Animal(_lazy, copied=False, warm=False, **_WITH_ROWS),
    "tied weights": Animal(Tied, **_WITH_ROWS),
    "frozen backbone": Animal(_frozen, **_WITH_IMAGES),
    "counter and buffer": Animal(Net, **_WITH_ROWS),
    "compiled": Animal(
        lambda: torch.compile(_mlp(), backend="eager"),  # type: ignore[arg-type, return-value]  # a module
        copied=False,
        **_WITH_ROWS,
    ),
    "loss with parameters": Animal(_mlp, loss_fn=Centres(), **_WITH_ROWS),
    "shared parts": Animal(_shared, **_WITH_ROWS),
    "hooks": Animal(Hooked, copied=False, **_WITH_ROWS),
    "BERT": Animal(_bert, (_WORDS, _CLASSES % 2), **_WITH_WORDS),
    "GPT-2": Animal(_gpt2, (_WORDS, _WORDS), **_WITH_WORDS),
    "LoRA": Animal(_lora, (_WORDS, _CLASSES % 2), **_WITH_WORDS),
    "timm ResNet": Animal(
        lambda: timm.create_model("test_resnet", num_classes=3),
        (_IMAGES.repeat(1, 1, 2, 2), _CLASSES),
    ),
    "timm ViT": Animal(
        lambda: timm.create_model("test_vit", num_classes=3, img_size=32),
        (_IMAGES.repeat(1, 1, 2, 2), _CLASSES),
    ),
}
