"""The parts of a training in a Hugging Face Trainer."""

from __future__ import annotations

import copy
import math
from contextlib import nullcontext
from functools import wraps
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from lrwidget.config import is_kind
from lrwidget.engine.framework import FrameworkStep, Trained
from lrwidget.engine.isolation.state_snapshot import copied_on_write
from lrwidget.engine.optimizers import apply_rate
from lrwidget.engine.stepping import StepSkippedError
from lrwidget.integrations import Parts, aside, check_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from lrwidget.engine.losses import LossOf

# Trainers whose loss does not fall where a rate is good.
_WITHOUT_A_CURVE = (
    *("GRPOTrainer", "RLOOTrainer", "OnlineDPOTrainer", "PPOTrainer"),
    *("AsyncGRPOTrainer",),
)
# Attributes that a test leaves as they are, and those that it sets itself.
_NOT_COPIED = frozenset(
    {
        *("args", "train_dataset", "eval_dataset", "_eval_dataloaders", "evaluator"),
        *("data_collator", "processing_class", "tokenizer", "callback_handler"),
        *("compute_metrics", "preprocess_logits_for_metrics", "model_init"),
        *("lr_scheduler", "_memory_tracker", "push_in_progress"),
        *("accelerator", "model", "model_wrapped", "optimizer", "state"),
    }
)
_LIBRARIES = {"accelerate", "datasets", "huggingface_hub", "tokenizers", "transformers"}
# The events of a callback within a training epoch.
_EVENTS = (
    *("on_train_begin", "on_epoch_begin", "on_step_begin", "on_substep_end"),
    *("on_pre_optimizer_step", "on_optimizer_step", "on_step_end", "on_epoch_end"),
)


def parts_of(trainer: Any) -> Parts:  # noqa: ANN401 (transformers is not imported)
    """
    Return the parts of a training in a Hugging Face ``Trainer``.

    The parts are its model, its optimizer or the one that it would make, its training
    loader, and its own program for the steps, with its accumulation, clipping and
    precision.
    """
    check_kind("trainer", trainer, "Trainer", "that of transformers, or one like it")
    _check_program(trainer)
    # To make an optimizer and a loader changes a trainer and its accelerator.
    twin = _twin(trainer)
    twin.accelerator._dataloaders = []  # noqa: SLF001 (the list of the loaders that it has prepared)

    def write_rate(lr: float) -> str:
        trainer.args.learning_rate = lr
        if trainer.optimizer is None:
            return "trainer.args.learning_rate"
        apply_rate(trainer.optimizer, lr)
        return "trainer.args.learning_rate and trainer.optimizer"

    optimizer = twin.create_optimizer()  # or the existing one
    dataloader = twin.get_train_dataloader()
    step = TrainerStep(trainer, twin, dataloader)
    settings = {"training_step": step, **_settings(trainer.args)}
    return Parts(trainer.model, optimizer, dataloader, settings, write_rate)


def _check_program(trainer: Any) -> None:  # noqa: ANN401 (as above)
    """Raise unless the steps of a trainer are those of the Trainer of transformers."""
    name = type(trainer).__name__
    if is_kind(trainer, *_WITHOUT_A_CURVE):
        msg = (
            f"trainer=<{name}> trains on samples that its model draws meanwhile, and "
            "its loss does not tell a good rate from a bad one; pass a trainer with "
            "fixed data, such as an SFTTrainer or a DPOTrainer"
        )
        raise TypeError(msg)
    for method in ("_inner_training_loop", "_run_epoch"):
        if _overridden(trainer, method):
            msg = (
                f"trainer=<{name}> has its own {method}, which a test cannot call; "
                "pass a trainer that overrides training_step or compute_loss instead"
            )
            raise TypeError(msg)
    if trainer.is_deepspeed_enabled:
        msg = (
            f"trainer=<{name}> trains with DeepSpeed, whose engine cannot be copied or "
            "put back; pass a trainer without args.deepspeed"
        )
        raise ValueError(msg)


def _overridden(trainer: Any, method: str) -> bool:  # noqa: ANN401 (as above)
    """Whether the method of a trainer is not that of transformers."""
    function = getattr(type(trainer), method, None)
    return function is not None and not _of_library(function.__module__)


def _of_library(module: str) -> bool:
    return module.partition(".")[0] in _LIBRARIES


def _twin(trainer: Any) -> Any:  # noqa: ANN401 (as above)
    """Return a trainer and accelerator aside, with the same content."""
    twin = aside(trainer)
    twin.accelerator = aside(trainer.accelerator)
    return twin


def _settings(args: Any) -> dict[str, Any]:  # noqa: ANN401 (as above)
    settings = {
        "accumulate": args.gradient_accumulation_steps,
        "clip_grad_norm": args.max_grad_norm or None,
    }
    if args.bf16:
        settings["autocast"] = torch.bfloat16
    elif args.fp16:
        settings["autocast"] = torch.float16
        settings["grad_scaler"] = torch.amp.GradScaler(args.device.type)
    return settings


class TrainerStep(FrameworkStep):
    """
    The optimizer step of a ``Trainer``, by the ``training_step`` of its twin.

    The twin refers to the model that is trained. It has copies of the containers,
    modules and other objects of the trainer, and shares its data and its arguments.
    """

    def __init__(self, original: Any, twin: Any, dataloader: Any) -> None:  # noqa: ANN401 (as above)
        super().__init__()
        self._original, self._trainer, self._loader = original, twin, dataloader
        # In a dictionary, since a test that makes no copy restores its content.
        self._own = {
            name: value
            for name, value in vars(twin).items()
            if not _is_shared(name, value)
        }

    def __deepcopy__(self, memo: dict[int, Any]) -> TrainerStep:
        twin = _twin(self._trainer)
        # The forward that TRL gives a model calls the original for its logits.
        replaced = any("forward" in vars(module) for module in twin.model.modules())
        if replaced and (twin.label_smoother or twin.compute_loss_func):
            msg = "the forward of its model is replaced by a function"
            raise ValueError(msg)
        for trainer in (self._original, self._trainer):
            memo[id(trainer)], memo[id(trainer.accelerator)] = twin, twin.accelerator
        for name in vars(twin).keys() - self._own.keys():
            memo.setdefault(id(vars(self._trainer)[name]), vars(twin)[name])
        # The parameters of a reference model share their memory with the copy.
        modules = [x for x in self._own.values() if isinstance(x, nn.Module)]
        for parameter in (p for module in modules for p in module.parameters()):
            if id(parameter) not in memo and type(parameter) is nn.Parameter:
                shared = copied_on_write(parameter.detach())
                memo[id(parameter)] = nn.Parameter(shared, parameter.requires_grad)
        vars(twin).update(copy.deepcopy(self._own, memo))
        return TrainerStep(self._original, twin, self._loader)

    @property
    def notices(self) -> Sequence[str]:
        """The callbacks, methods and settings of the trainer that have no part here."""
        trainer, args = self._original, self._original.args
        name = type(trainer).__name__
        callbacks = [
            type(callback).__name__
            for callback in trainer.callback_handler.callbacks
            if _acts(type(callback))
        ]
        notices = [f"The callback {each} is not called." for each in callbacks]
        notices += [
            f"{name}.{method} is not called: that of transformers is."
            for method in ("train", "_clip_grad_norm")
            if _overridden(trainer, method)
        ]
        if args.torch_compile:
            notices.append("The model is not compiled, in spite of args.torch_compile.")
        if trainer.is_fsdp_enabled:
            notices.append("The model is trained without FSDP.")
        return notices

    def start(self, trained: Trained) -> None:
        """Prepare the twin and the model as the trainer's ``train`` does."""
        trainer, args = self._trainer, self._trainer.args
        if trained.device.type != args.device.type:
            msg = (
                f"device={str(trained.device)!r} is not that of the trainer, "
                f"{str(args.device)!r}; pass it to its TrainingArguments"
            )
            raise ValueError(msg)
        self._trained, self._epoch, self._items = trained, -1, None
        accelerator = trainer.accelerator
        accelerator.gradient_state = copy.copy(accelerator.gradient_state)
        accelerator.scaler = trained.grad_scaler
        model = trainer.model = accelerator.unwrap_model(trained.model)
        trainer.model_wrapped = model
        trainer.optimizer = trained.optimizer
        trainer.log = _log_nothing
        self._set_state()
        _as_before_training(trainer)
        if trained.precision is not nullcontext:
            _cast(model, trained.precision)
        trainer.model_wrapped = trainer._wrap_model(trained.model)  # noqa: SLF001 (in DataParallel)

    def _set_state(self) -> None:
        """Give the twin the state of a trainer before its first step."""
        trainer, args = self._trainer, self._trainer.args
        steps, epochs = args.max_steps, math.ceil(args.num_train_epochs)
        try:
            self._length = len(self._loader)
        except TypeError:
            self._length = max(steps, 1) * args.gradient_accumulation_steps
        updates = math.ceil(self._length / args.gradient_accumulation_steps)
        trainer.state = type(trainer.state)(
            epoch=0,
            max_steps=steps if steps > 0 else math.ceil(args.num_train_epochs * updates),
            num_train_epochs=math.ceil(steps / updates) if steps > 0 else epochs,
            train_batch_size=trainer._train_batch_size,  # noqa: SLF001 (as in train)
            is_local_process_zero=trainer.is_local_process_zero(),
            is_world_process_zero=trainer.is_world_process_zero(),
        )

    def start_epoch(self) -> None:
        """Tell the loader the number of the epoch, which is a part of its seed."""
        self._epoch += 1
        self._batches = 0
        sampler = getattr(self._loader, "batch_sampler", None)
        for part in (self._loader, getattr(sampler, "batch_sampler", None)):
            if hasattr(part, "set_epoch"):
                part.set_epoch(self._epoch)

    def train_on(self, batch: Any) -> Tensor | None:  # noqa: ANN401 (any batch)
        """Add the gradients of a batch, and return its part of the loss of the step."""
        trainer = self._trainer
        loss: Tensor = trainer.training_step(trainer.model_wrapped, batch, self._items)
        return loss

    def step(self, train_on: LossOf, batches: Sequence[Any]) -> Tensor:
        """Do an optimizer step, and return its loss as the trainer logs it."""
        trainer, trained = self._trainer, self._trained
        trained.model.zero_grad()
        trained.optimizer.zero_grad()  # also of parameters that a loss has
        samples, self._items = trainer.get_batch_samples(
            iter(batches), len(batches), trainer.args.device
        )
        trainer.current_gradient_accumulation_steps = len(samples)
        losses = []
        for number, batch in enumerate(samples, 1):
            last = number == len(samples)
            trainer.accelerator.gradient_state._set_sync_gradients(last)  # noqa: SLF001 (as in train)
            loss = train_on(batch)
            if loss is not None:
                losses.append(loss)
        if not losses:
            raise StepSkippedError(None)
        trained.clip(trained.model.parameters())
        loss = trained.take(torch.stack(losses).sum())
        self._batches += len(batches)
        trainer.state.global_step += 1
        trainer.state.epoch = self._epoch + self._batches / self._length
        return loss

    def forward(self, model: nn.Module, batch: Any) -> Any:  # noqa: ANN401 (any batch)
        """Return the loss of a batch by the trainer's ``compute_loss``."""
        trainer = self._trainer
        inputs = trainer._prepare_inputs(batch)  # noqa: SLF001 (subclasses override it)
        # The model casts its inputs and its outputs itself.
        with (
            torch.autocast(self._trained.device.type, enabled=False),
            trainer.compute_loss_context_manager(),
        ):
            return trainer.compute_loss(model, inputs)


def _is_shared(name: str, value: object) -> bool:
    """Whether a twin has an attribute of its trainer itself, and no copy of it."""
    if name in _NOT_COPIED or isinstance(value, DataLoader | Dataset):
        return True
    return _of_library(type(value).__module__) and not isinstance(
        value, nn.Module | dict
    )


def _acts(kind: type) -> bool:
    """Whether a class of callbacks, not of transformers, acts within an epoch."""
    found = [getattr(kind, event) for event in _EVENTS if hasattr(kind, event)]
    modules = {function.__module__.partition(".")[0] for function in found}
    return not modules <= {*_LIBRARIES, "sentence_transformers"}


def _as_before_training(trainer: Any) -> None:  # noqa: ANN401 (as above)
    """Call the ``train`` of transformers without its loop: it prepares the model."""
    kinds = type(trainer).__mro__
    base = next(kind for kind in kinds if kind.__module__ == "transformers.trainer")
    trainer.model_init = None  # else it would make another model
    trainer._inner_training_loop = _log_nothing  # noqa: SLF001 (of this twin)
    base.train(trainer)
    del trainer._inner_training_loop  # noqa: SLF001 (as above)
    args = trainer.args
    if not hasattr(args, "activation_checkpointing") and args.gradient_checkpointing:
        # before transformers 5, in the loop
        trainer.model.gradient_checkpointing_enable(args.gradient_checkpointing_kwargs)


def _cast(model: Any, precision: Callable[[], Any]) -> None:  # noqa: ANN401 (of any class)
    """Make a model compute in a precision, and return float32, as Accelerate does."""
    from accelerate.utils import convert_outputs_to_fp32

    # without the cast of an earlier training
    forward = vars(model).get("_original_forward", model.forward)

    @wraps(forward)
    def cast(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (of any model)
        with precision():
            return forward(*args, **kwargs)

    model.forward = convert_outputs_to_fp32(cast)


def _log_nothing(*_args: object, **_kwargs: object) -> None: ...
