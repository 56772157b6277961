"""Tests of sentence-transformers: the losses are those of its own training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from transformers import BertConfig, BertModel

from tests.integrations.hugging_face import arguments, is_exact, text, tokenizer

if TYPE_CHECKING:
    from pathlib import Path

sentence_transformers = pytest.importorskip("sentence_transformers")
losses = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
datasets = pytest.importorskip("datasets")

pytestmark = pytest.mark.slow


def _model(folder: Path) -> Any:
    torch.manual_seed(1)
    tokenizer(folder)
    config = BertConfig(
        vocab_size=43,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    BertModel(config).save_pretrained(folder)
    return sentence_transformers.SentenceTransformer(str(folder), device="cpu")


def _rows(*columns: str, label: Any = None) -> Any:
    rows = [
        {name: text(n + k, 3 + (n + k) % 5) for k, name in enumerate(columns)}
        for n in range(43)
    ]
    if label is not None:
        rows = [{**row, "label": label(number)} for number, row in enumerate(rows)]
    return datasets.Dataset.from_list(rows)


def _losses() -> dict[str, tuple[Any, Any]]:
    """Return a loss and its data for each kind of loss."""
    pairs, triplets = _rows("a", "b"), _rows("a", "b", "c")
    return {
        "ranking": (losses.MultipleNegativesRankingLoss, pairs),
        "cached": (losses.CachedMultipleNegativesRankingLoss, pairs),
        "cosine": (
            losses.CosineSimilarityLoss,
            _rows("a", "b", label=lambda n: float(n % 2)),
        ),
        "triplet": (losses.TripletLoss, triplets),
        "softmax": (
            lambda model: losses.SoftmaxLoss(model, 16, num_labels=3),
            _rows("a", "b", label=lambda n: n % 3),
        ),
        "matryoshka": (
            lambda model: losses.MatryoshkaLoss(
                model, losses.MultipleNegativesRankingLoss(model), [16, 8]
            ),
            pairs,
        ),
    }


def _trainer(folder: Path, name: str, **more: Any) -> Any:
    model = _model(folder)
    make, data = _losses()[name]
    options = arguments(folder, **more)
    return sentence_transformers.SentenceTransformerTrainer(
        model=model,
        args=sentence_transformers.SentenceTransformerTrainingArguments(**options),
        train_dataset=data,
        loss=make(model),
    )


@pytest.mark.parametrize(
    "isolation", ["copy", pytest.param("restore", marks=pytest.mark.exhaustive)]
)
@pytest.mark.parametrize("name", list(_losses()))
def test_the_losses_are_those_of_the_training(
    tmp_path: Path, name: str, isolation: Any
) -> None:
    trainer = is_exact(lambda: _trainer(tmp_path, name), isolation=isolation)
    assert trainer.loss.model is trainer.model


def test_the_losses_of_several_data_sets(tmp_path: Path) -> None:
    def make() -> Any:
        model = _model(tmp_path)
        loss = losses.MultipleNegativesRankingLoss(model)
        options = arguments(tmp_path, gradient_accumulation_steps=2)
        return sentence_transformers.SentenceTransformerTrainer(
            model=model,
            args=sentence_transformers.SentenceTransformerTrainingArguments(**options),
            train_dataset={"one": _rows("a", "b"), "two": _rows("a", "b", "c")},
            loss={"one": loss, "two": loss},
        )

    is_exact(make)
