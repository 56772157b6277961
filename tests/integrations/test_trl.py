"""Tests of TRL's trainers: the losses are those of their own training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

from lrwidget import LRWidget
from tests.integrations.hugging_face import arguments, is_exact, text, tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

trl = pytest.importorskip("trl")
peft = pytest.importorskip("peft")
datasets = pytest.importorskip("datasets")

# TRL uses arguments that transformers will rename.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(autouse=True)
def _no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY", True)


_CONFIG: dict[str, Any] = {
    "vocab_size": 43,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": 2,
    "attention_dropout": 0.1,
}
_LORA = {"r": 2, "lora_dropout": 0.1, "target_modules": ["q_proj", "v_proj"]}


def _model(kind: Any = LlamaForCausalLM, **more: Any) -> Any:
    torch.manual_seed(1)
    return kind(LlamaConfig(**_CONFIG, **more))


def _texts() -> Any:
    return datasets.Dataset.from_list(
        [{"text": text(number, 3 + number % 7)} for number in range(43)]
    )


def _pairs() -> Any:
    return datasets.Dataset.from_list(
        [
            {
                "prompt": text(number, 3),
                "chosen": " " + text(number + 1, 2 + number % 4),
                "rejected": " " + text(number + 2, 3),
            }
            for number in range(43)
        ]
    )


def _sft(folder: Path, peft_config: Any = None, **more: Any) -> Any:
    options = {"max_length": 16, **more}
    return trl.SFTTrainer(
        _model(),
        trl.SFTConfig(**arguments(folder, **options)),
        train_dataset=_texts(),
        processing_class=tokenizer(folder),
        peft_config=peft_config,
    )


def _dpo(folder: Path, peft_config: Any = None, **more: Any) -> Any:
    return trl.DPOTrainer(
        _model(),
        ref_model=None if peft_config else _model(),
        args=trl.DPOConfig(**arguments(folder, **more)),
        train_dataset=_pairs(),
        processing_class=tokenizer(folder),
        peft_config=peft_config,
    )


def _reward(folder: Path, **more: Any) -> Any:
    return trl.RewardTrainer(
        _model(LlamaForSequenceClassification, num_labels=1),
        trl.RewardConfig(**arguments(folder, **more)),
        train_dataset=_pairs(),
        processing_class=tokenizer(folder),
    )


def _lora(task: str = "CAUSAL_LM") -> Any:
    return peft.LoraConfig(task_type=task, **_LORA)


@pytest.mark.parametrize(
    "isolation", ["auto", pytest.param("restore", marks=pytest.mark.exhaustive)]
)
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(_sft, id="sft"),
        pytest.param(
            lambda folder: _sft(folder, gradient_accumulation_steps=2, bf16=True),
            id="sft-accumulated",
        ),
        pytest.param(
            lambda folder: _sft(folder, packing=True, packing_strategy="wrapped"),
            id="sft-packed",
        ),
        pytest.param(lambda folder: _sft(folder, _lora()), id="sft-lora"),
        pytest.param(
            lambda folder: _sft(folder, label_smoothing_factor=0.1), id="sft-smoothed"
        ),
        pytest.param(_dpo, id="dpo"),
        pytest.param(lambda folder: _dpo(folder, _lora()), id="dpo-lora"),
        pytest.param(_reward, id="reward"),
    ],
)
def test_the_losses_are_those_of_the_training(
    tmp_path: Path, make: Callable[[Path], Any], isolation: Any
) -> None:
    trainer = is_exact(lambda: make(tmp_path), isolation=isolation)
    assert trainer._metrics == {"train": {}, "eval": {}}


def test_a_trainer_that_draws_its_samples_is_refused(tmp_path: Path) -> None:
    trainer = trl.GRPOTrainer(
        _model(),
        lambda completions, **_: [float(len(text)) for text in completions],
        trl.GRPOConfig(
            **arguments(tmp_path, num_generations=2, max_completion_length=4)
        ),
        train_dataset=_pairs(),
        processing_class=tokenizer(tmp_path),
    )
    with pytest.raises(TypeError, match="trainer=<GRPOTrainer> draws its samples"):
        LRWidget.from_trainer(trainer)
