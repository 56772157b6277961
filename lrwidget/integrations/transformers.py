"""The parts of a training in a Hugging Face Trainer."""

from __future__ import annotations

import copy
import math
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lrwidget.config import is_kind, length_of
from lrwidget.engine.framework import FrameworkStep, Trained
from lrwidget.engine.isolation.state_snapshot import GENERATORS, shared_parameter
from lrwidget.engine.optimizers import apply_rate, saved_rates
from lrwidget.engine.stepping import StepSkippedError
from lrwidget.integrations import Parts, aside, check_kind, do_nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from lrwidget.engine.losses import LossOf

_LIBRARIES = {"accelerate", "datasets", "tokenizers", "torch", "transformers"}
# Objects of these libraries are shared with a twin, except those with a state that a
# training changes.
_COPIED = (nn.Module, torch.Tensor, *GENERATORS)
_SHARED = {
    *("model", "model_wrapped", "data_collator"),
    *("train_dataset", "eval_dataset", "_eval_dataloaders"),
}
# The beginnings of the names of the methods of a callback for steps and epochs.
_EVENTS = (
    *("on_train_begin", "on_epoch", "on_step", "on_substep", "on_optimizer"),
    "on_pre_optimizer",
)
_LOOPS = ("_inner_training_loop", "_run_epoch")
_WITHOUT_FIXED_DATA = (
    *("GRPOTrainer", "AsyncGRPOTrainer", "RLOOTrainer", "OnlineDPOTrainer"),
    *("PPOTrainer",),
)


def parts_of(trainer: Any) -> Parts:  # noqa: ANN401 (transformers is not imported)
    """
    Return the parts of a training in a Hugging Face ``Trainer``.

    The parts are its model, its optimizer or the one that it would make, its training
    loader, and its own ``training_step``, accumulation, clipping and precision.
    """
    check_kind("trainer", trainer, "Trainer", "a transformers.Trainer")
    _check_loop(trainer)
    # Creating an optimizer or a loader changes a trainer and its accelerator.
    twin = _twin_of(trainer)
    twin.accelerator._dataloaders = []  # noqa: SLF001 (the list of the loaders that it has prepared)

    def write_rate(lr: float) -> str:
        trainer.args.learning_rate = lr
        if trainer.optimizer is None:
            return "trainer.args.learning_rate"
        apply_rate(trainer.optimizer, lr)
        return "trainer.args.learning_rate and trainer.optimizer"

    def save_rates() -> Callable[[], None]:
        rate, optimizer = trainer.args.learning_rate, trainer.optimizer
        write_back = do_nothing if optimizer is None else saved_rates(optimizer)

        def restore() -> None:
            trainer.args.learning_rate = rate
            write_back()

        return restore

    optimizer = twin.create_optimizer()  # or the existing one
    dataloader = twin.get_train_dataloader()
    step = TrainerStep(trainer, twin, dataloader)
    settings = {"training_step": step, **_settings(trainer)}
    total_steps = _total_steps(trainer.args, dataloader)
    return Parts(
        *(trainer.model, optimizer, dataloader, settings),
        *(write_rate, save_rates, total_steps),
    )


def _total_steps(args: Any, dataloader: Any) -> int | None:  # noqa: ANN401 (as above)
    """Return the optimizer steps of a training, as ``Trainer.train`` counts them."""
    if args.max_steps > 0:
        return int(args.max_steps)
    length = length_of(dataloader)
    if length is None:
        return None
    of_epoch = max(math.ceil(length / args.gradient_accumulation_steps), 1)
    return math.ceil(args.num_train_epochs * of_epoch) or None


def _check_loop(trainer: Any) -> None:  # noqa: ANN401 (as above)
    """Raise unless the steps of a trainer can be taken one by one."""
    reason = ""
    if _base_of(trainer) is None:
        reason = "is no transformers.Trainer"
    elif is_kind(trainer, *_WITHOUT_FIXED_DATA):
        reason = "draws its samples from its model, and its loss does not show progress"
    elif trainer.is_deepspeed_enabled:
        reason = "uses DeepSpeed, whose engine can be neither copied nor put back"
    elif own := [m for m in _LOOPS if _is_own(trainer, m)]:
        reason = f"has its own {own[0]}, which takes the steps itself"
    if reason:
        msg = (
            f"trainer=<{type(trainer).__name__}> {reason}; pass a trainer with fixed "
            "data and the loop of transformers.Trainer"
        )
        raise TypeError(msg)


def _base_of(trainer: Any) -> Any:  # noqa: ANN401 (as above)
    """Return the class Trainer of transformers, or None for another trainer."""
    kinds = type(trainer).__mro__
    found = (kind for kind in kinds if kind.__module__ == "transformers.trainer")
    return next(found, None)


def _is_own(trainer: Any, method: str) -> bool:  # noqa: ANN401 (as above)
    """Whether the class of a trainer overrides a method of the libraries."""
    function = getattr(type(trainer), method, None)
    return function is not None and _library(function) not in _LIBRARIES


def _library(definition: Any) -> str:  # noqa: ANN401 (a class or a function)
    return str(definition.__module__).partition(".")[0]


def _twin_of(trainer: Any) -> Any:  # noqa: ANN401 (as above)
    """Return a shallow copy of a trainer, with a shallow copy of its accelerator."""
    twin = aside(trainer)
    twin.accelerator = aside(trainer.accelerator)
    return twin


def _settings(trainer: Any) -> dict[str, Any]:  # noqa: ANN401 (as above)
    args, accelerator = trainer.args, trainer.accelerator
    settings = {
        "accumulate": args.gradient_accumulation_steps,
        "clip_grad_norm": args.max_grad_norm or None,
        "grad_scaler": accelerator.scaler,
    }
    if accelerator.native_amp:
        half = accelerator.mixed_precision == "fp16"
        settings["autocast"] = torch.float16 if half else torch.bfloat16
    return settings


class TrainerStep(FrameworkStep):
    """
    The optimizer step of a ``Trainer``, by the ``training_step`` of its twin.

    The twin is a copy of the trainer. It has the model that is trained, copies of all
    attributes that a training may change, and the trainer's own data and arguments.
    """

    _trained: Trained

    def __init__(self, trainer: Any, twin: Any, dataloader: Any) -> None:  # noqa: ANN401 (as above)
        super().__init__()
        self._original, self._trainer, self._loader = trainer, twin, dataloader
        # A test that makes no copy restores the content of this dictionary.
        self._copied = {k: v for k, v in vars(twin).items() if not _is_shared(k, v)}

    def __deepcopy__(self, memo: dict[int, Any]) -> TrainerStep:
        twin = _twin_of(self._trainer)
        # The forward that TRL gives a model calls the original for its logits.
        replaced = any("forward" in vars(module) for module in twin.model.modules())
        if replaced and (twin.label_smoother or twin.compute_loss_func):
            msg = "the forward of its model was replaced by a function"
            raise ValueError(msg)
        for trainer in (self._original, self._trainer):
            memo[id(trainer)], memo[id(trainer.accelerator)] = twin, twin.accelerator
        for name, value in vars(self._trainer).items():
            if name not in self._copied:
                memo.setdefault(id(value), value)
        # A reference model shares its memory with its copy.
        modules = [x for x in self._copied.values() if isinstance(x, nn.Module)]
        for parameter in (p for module in modules for p in module.parameters()):
            if id(parameter) not in memo and type(parameter) is nn.Parameter:
                memo[id(parameter)] = shared_parameter(parameter)
        vars(twin).update(copy.deepcopy(self._copied, memo))
        return TrainerStep(self._original, twin, self._loader)

    @property
    def notices(self) -> Sequence[str]:
        """Sentences on the callbacks, methods and settings that are left out."""
        trainer = self._original
        left_out = [
            f"the callback {type(callback).__name__} is not called"
            for callback in trainer.callback_handler.callbacks
            if _has_own_methods(type(callback))
        ]
        left_out += [
            f"{type(trainer).__name__}.{method} is not called"
            for method in ("train", "_clip_grad_norm")
            if _is_own(trainer, method)
        ]
        if trainer.args.torch_compile:
            left_out.append("the model is not compiled")
        if trainer.is_fsdp_enabled:
            left_out.append("the model is trained without FSDP")
        return [f"In the test, {what}." for what in left_out]

    def start(self, trained: Trained) -> None:
        """Prepare the twin and the model as the trainer's ``train`` does."""
        twin, args = self._trainer, self._trainer.args
        if trained.device.type != args.device.type:
            msg = (
                f"device={str(trained.device)!r} is not {str(args.device)!r}, the "
                "device of the trainer; set it in the trainer's arguments"
            )
            raise ValueError(msg)
        self._trained, self._epoch, self._items = trained, -1, None
        twin.accelerator.gradient_state = copy.copy(twin.accelerator.gradient_state)
        twin.accelerator.scaler = trained.grad_scaler
        twin.model = twin.model_wrapped = twin.accelerator.unwrap_model(trained.model)
        twin.optimizer, twin.log = trained.optimizer, do_nothing
        length = length_of(self._loader)
        if length is None:
            length = args.max_steps * args.gradient_accumulation_steps
        self._length = length
        steps = _total_steps(args, self._loader) or args.max_steps
        twin.state = type(twin.state)(epoch=0, max_steps=steps)
        twin.control = copy.copy(twin.control)
        _prepare(twin)
        if trained.precision is not nullcontext:
            _cast(twin.model, trained.precision)
        twin.model_wrapped = twin._wrap_model(trained.model)  # noqa: SLF001 (for DataParallel)

    def start_epoch(self) -> None:
        """Tell the loader the number of the epoch, which changes the order."""
        self._epoch, self._batches = self._epoch + 1, 0
        sampler = getattr(self._loader, "batch_sampler", None)
        for part in (self._loader, getattr(sampler, "batch_sampler", None)):
            set_epoch = getattr(part, "set_epoch", None)
            if set_epoch is not None:
                set_epoch(self._epoch)

    def train_on(self, batch: Any) -> Tensor | None:  # noqa: ANN401 (any batch)
        """Add the gradients of a batch, and return its part of the loss of the step."""
        twin = self._trainer
        loss: Tensor = twin.training_step(twin.model_wrapped, batch, self._items)
        return loss

    def step(self, train_on: LossOf, batches: Sequence[Any]) -> Tensor:
        """Do an optimizer step, and return its loss as the trainer logs it."""
        twin, trained = self._trainer, self._trained
        trained.model.zero_grad()
        trained.optimizer.zero_grad()  # clears the parameters of a loss, too
        samples, self._items = twin.get_batch_samples(
            iter(batches), len(batches), twin.args.device
        )
        twin.current_gradient_accumulation_steps = len(samples)
        losses: list[Tensor] = []
        for number, batch in enumerate(samples, 1):
            last = number == len(samples)
            twin.accelerator.gradient_state._set_sync_gradients(last)  # noqa: SLF001 (as Trainer does)
            loss = train_on(batch)
            losses += [] if loss is None else [loss]
        if not losses:
            raise StepSkippedError(None)
        trained.stepper.clip(trained.model.parameters())
        loss = trained.stepper.take(torch.stack(losses).sum())
        self._batches += len(batches)
        twin.state.global_step += 1
        twin.state.epoch = self._epoch + self._batches / self._length
        return loss

    def forward(self, model: nn.Module, batch: Any) -> Any:  # noqa: ANN401 (any batch)
        """Return the loss of a batch as the trainer's ``evaluate`` does."""
        # The model has its own precision.
        with torch.autocast(self._trained.device.type, enabled=False):
            return self._trainer.prediction_step(model, batch, True)[0]  # noqa: FBT003 (the loss only)


def _is_shared(name: str, value: object) -> bool:
    """Whether a twin shares an attribute with its trainer, instead of a copy."""
    libraries = {_library(kind) for kind in type(value).__mro__}
    of_library = bool(libraries & _LIBRARIES) and not isinstance(value, _COPIED)
    return name in _SHARED or of_library


def _has_own_methods(kind: type) -> bool:
    """Whether a class of callbacks has own methods for steps and epochs."""
    found = [getattr(kind, name) for name in dir(kind) if name.startswith(_EVENTS)]
    own = {_library(function) for function in found}
    return not own <= {*_LIBRARIES, "sentence_transformers"}


def _prepare(twin: Any) -> None:  # noqa: ANN401 (as above)
    """Prepare a model by the ``train`` of transformers without its loop."""
    twin.model_init = None  # else it would make another model
    twin._inner_training_loop = do_nothing  # noqa: SLF001 (of the twin)
    _base_of(twin).train(twin)
    args = twin.args
    if not hasattr(args, "activation_checkpointing") and args.gradient_checkpointing:
        # Before transformers 5, the loop does it.
        twin.model.gradient_checkpointing_enable(args.gradient_checkpointing_kwargs)


def _cast(model: Any, precision: Callable[[], Any]) -> None:  # noqa: ANN401 (of any class)
    """Make a model compute in a precision and return float32, as Accelerate does."""
    from accelerate.utils import convert_outputs_to_fp32  # noqa: PLC0415 (slow)

    # An earlier training may have wrapped the forward in its own precision.
    forward = vars(model).get("_original_forward", model.forward)

    def cast(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (of any model)
        with precision():
            return forward(*args, **kwargs)

    model.forward = convert_outputs_to_fp32(cast)
