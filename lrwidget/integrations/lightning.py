"""The training of a Lightning module, by the loops of a Lightning trainer."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from inspect import signature
from itertools import islice
from threading import get_ident
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader

from lrwidget.config import is_kind, length_of
from lrwidget.curve.short_repr import short_repr
from lrwidget.engine.framework import FrameworkStep, Trained
from lrwidget.engine.isolation.state_snapshot import GENERATORS
from lrwidget.engine.loaders import own_loader
from lrwidget.engine.losses import NoLossError
from lrwidget.engine.stepping import StepSkippedError, mean
from lrwidget.integrations import Parts, aside, check_kind, do_nothing

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator

    from torch import Tensor
    from torch.optim import Optimizer

    from lrwidget.engine.losses import LossOf

_RATES = ("lr", "learning_rate")
_SETTINGS = (
    "max_epochs",
    "max_steps",
    "limit_train_batches",
    "accumulate_grad_batches",
    "gradient_clip_val",
    "gradient_clip_algorithm",
    "default_root_dir",
)
_USUAL_EPOCHS = 1000  # of a trainer without limits
# The callbacks that only show, store or stop a training, and are not in the notices.
_WITHOUT_EFFECT = (
    "Checkpoint",
    "EarlyStopping",
    "LearningRateMonitor",
    "ModelSummary",
    "ProgressBar",
    "Timer",
)


def parts_of(
    module: Any,  # noqa: ANN401 (Lightning is not imported)
    data: Any,  # noqa: ANN401 (as above)
    trainer: Any,  # noqa: ANN401 (as above)
    optimizer: Any,  # noqa: ANN401 (as it was passed)
) -> Parts:
    """
    Return the parts of a training of a ``LightningModule``.

    The module and the data module are prepared and set up as for ``Trainer.fit``. The
    only optimizer of ``configure_optimizers`` is used if none is given.
    """
    example = "a module with configure_optimizers and training_step"
    compiled = module
    module = getattr(compiled, "_orig_mod", compiled)  # as Trainer.fit does
    check_kind("module", module, "LightningModule", example)
    if isinstance(optimizer, list | tuple):
        msg = (
            f"optimizer={short_repr(optimizer)} must be one optimizer, since the loops "
            "of Lightning take the steps of one; pass one of them"
        )
        raise TypeError(msg)
    if trainer is None:
        trainer = vars(module)["_trainer"]
    else:
        check_kind("trainer", trainer, "Trainer", "a Lightning Trainer, or None")
    _check(module, trainer)
    datamodule = data if hasattr(data, "train_dataloader") else None
    fit = _Fit(module, trainer, datamodule)
    fit.is_compiled = compiled is not module
    with _attached_again(module, datamodule):
        stand_in = fit.stand_in(module, module.device, datamodule)
        found = fit.call._call_lightning_module_hook(stand_in, "configure_callbacks")  # noqa: SLF001 (Lightning has no other way)
        fit.callbacks += found if isinstance(found, Sequence) else [found]
        stand_in._data_connector.prepare_data()  # noqa: SLF001 (as above)
        fit.call._call_setup_hook(stand_in)  # noqa: SLF001 (as above)
        fit.call._call_configure_model(stand_in)  # noqa: SLF001 (as above)
        if data is datamodule:
            data = (data or module).train_dataloader()
        loader = fit.combine(data, stand_in)
        schedulers: list[Any] = []
        if optimizer is None:
            optimizer, schedulers = fit.configured(stand_in)
    total_steps = fit.total_steps(stand_in)
    step = LightningStep(fit, schedulers)
    settings = {"training_step": step, **_settings(trainer)}
    rates = partial(_write_rate, module), partial(_save_rates, module)
    return Parts(module, optimizer, loader, settings, *rates, total_steps)


def _check(module: Any, trainer: Any) -> None:  # noqa: ANN401 (as above)
    """Raise where a training cannot be done batch by batch from outside."""
    if "dataloader_iter" in signature(module.training_step).parameters:
        msg = (
            f"module=<{type(module).__name__}> fetches its batches itself, by the "
            "dataloader_iter of its training_step; give training_step a batch instead"
        )
        raise ValueError(msg)
    if trainer is not None and trainer.overfit_batches:
        msg = (
            f"trainer has overfit_batches={trainer.overfit_batches}, which replaces "
            "the order of the batches; pass a trainer with limit_train_batches instead"
        )
        raise ValueError(msg)


def _settings(trainer: Any) -> dict[str, Any]:  # noqa: ANN401 (as above)
    """Return the arguments of a test that a trainer decides."""
    if trainer is None:
        return {}
    settings = {"accumulate": trainer.accumulate_grad_batches}
    if trainer.gradient_clip_algorithm != "value":
        settings["clip_grad_norm"] = trainer.gradient_clip_val or None
    plugin = trainer.precision_plugin
    if is_kind(plugin, "MixedPrecision"):
        is_half = plugin.precision == "16-mixed"
        settings["autocast"] = torch.float16 if is_half else torch.bfloat16
        settings["grad_scaler"] = plugin.scaler
    if trainer.strategy.root_device.type != "cpu":
        settings["device"] = trainer.strategy.root_device
    return settings


class _Fit:
    """The parts of Lightning and of the user that all tests of a module share."""

    def __init__(self, module: Any, trainer: Any, datamodule: Any) -> None:  # noqa: ANN401 (as above)
        kinds = type(module).__mro__
        base = next(kind for kind in kinds if kind.__name__ == "LightningModule")
        # lightning.pytorch or pytorch_lightning
        self._package = base.__module__.partition(".core.")[0]
        self.call = self.part("trainer.call")
        self.trainer, self.datamodule = trainer, datamodule
        self.callbacks: list[Any] = [] if trainer is None else list(trainer.callbacks)
        self.is_compiled = False  # by torch.compile
        self.combined: Any = None  # the loader as a CombinedLoader
        self.count: float = float("inf")  # the number of batches in an epoch

    def __deepcopy__(self, memo: object) -> _Fit:
        return self

    def part(self, name: str) -> Any:  # noqa: ANN401 (as above)
        """Return a module of the package of the Lightning module."""
        return import_module(f"{self._package}.{name}")

    def stand_in(self, module: Any, device: torch.device, datamodule: Any) -> Any:  # noqa: ANN401 (as above)
        """Return a trainer in place of the user's, which writes and shows nothing."""
        user = self.trainer
        settings: dict[str, Any] = {"max_epochs": _USUAL_EPOCHS}
        with _silence():
            if user is not None:
                settings = {x: getattr(user, x) for x in _SETTINGS}
                limits = self.part("loops.utilities")._parse_loop_limits  # noqa: SLF001 (as above)
                _, settings["max_epochs"] = limits(
                    None, user.max_steps, None, user.max_epochs, user
                )
            trainer = self.part("trainer").Trainer(
                devices=1,
                logger=self.part("loggers.logger").DummyLogger(),
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                **settings,
            )
        states = self.part("trainer.states")
        trainer.state.fn = states.TrainerFn.FITTING
        trainer.state.status = states.TrainerStatus.RUNNING
        trainer.training = True
        trainer.strategy._root_device = device  # noqa: SLF001 (as above)
        trainer.strategy.connect(module)
        trainer._data_connector.attach_data(module, datamodule=datamodule)  # noqa: SLF001 (as above)
        self._give_loader(trainer)
        return trainer

    def combine(self, data: Any, trainer: Any) -> Any:  # noqa: ANN401 (as above)
        """Return the loader of a test, and give it to a trainer as Lightning would."""
        kind = self.part("utilities.combined_loader").CombinedLoader
        own = data
        if isinstance(data, list | tuple) and not _holds_loaders(data):
            # Lightning would treat each batch of a list as a loader.
            own = DataLoader(data, batch_size=None, collate_fn=_as_it_is)  # type: ignore[arg-type]  # a list is a data set
        with _silence():
            combined = own if isinstance(own, kind) else kind(own, "max_size_cycle")
        if combined._mode == "sequential":  # noqa: SLF001 (as above)
            msg = (
                "data=<CombinedLoader> has mode='sequential', which Trainer.fit does "
                "not take; pass one with another mode"
            )
            raise ValueError(msg)
        count = partial(
            self.part("trainer.connectors.data_connector")._parse_num_batches,  # noqa: SLF001 (as above)
            self.part("trainer.states").RunningStage.TRAINING,
            limit_batches=trainer.limit_train_batches,
        )
        lengths = map(length_of, combined.flattened)
        counts = [
            count(float("inf") if length is None else length) for length in lengths
        ]
        self.combined = combined
        self.count = (min if combined._mode == "min_size" else max)(counts)  # noqa: SLF001 (as above)
        self._give_loader(trainer)
        # Lightning stops at the known length of a loader. A further next() might draw
        # random numbers before it ends the batches.
        is_stream = counts == [float("inf")] and combined.flattened[0] is data
        return data if is_stream else _Epoch(self)

    def _give_loader(self, trainer: Any) -> None:  # noqa: ANN401 (as above)
        trainer.fit_loop._combined_loader = self.combined  # noqa: SLF001 (as above)
        trainer.fit_loop.max_batches = self.count

    def total_steps(self, trainer: Any) -> int | None:  # noqa: ANN401 (as above)
        """Return the steps of the user's trainer, which its stand-in estimates."""
        # The loaders of several devices have fewer batches than those of the stand-in.
        if self.trainer is None or self.trainer.world_size > 1:
            return None
        steps = trainer.estimated_stepping_batches
        return int(steps) if 0 < steps < float("inf") else None

    def configured(self, trainer: Any) -> tuple[Optimizer, list[Any]]:  # noqa: ANN401 (as above)
        """Return the only optimizer of a trainer's module, and the schedulers."""
        returned = self.call._call_lightning_module_hook(  # noqa: SLF001 (as above)
            trainer, "configure_optimizers"
        )
        read = self.part("core.optimizer")._configure_optimizers  # noqa: SLF001 (as above)
        optimizers, schedulers, _ = read(returned or [])
        if len(optimizers) == 1:
            plain = [x["scheduler"] if isinstance(x, dict) else x for x in schedulers]
            return optimizers[0], plain
        msg = (
            f"configure_optimizers returned {short_repr(returned)}, but a range test "
            "trains with one optimizer; pass it as optimizer=..."
        )
        raise ValueError(msg)


@contextmanager
def _silence() -> Iterator[None]:
    """Suppress the log and the warnings of Lightning in this thread."""
    thread = get_ident()
    log: Any = import_module("lightning_utilities.core.rank_zero").log

    def is_other(record: logging.LogRecord) -> bool:
        return record.thread != thread

    log.addFilter(is_other)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.removeFilter(is_other)


@contextmanager
def _attached_again(module: Any, datamodule: Any) -> Iterator[None]:  # noqa: ANN401 (as above)
    """Attach a module and a data module to their trainers again at the end."""
    before, of_data = vars(module)["_trainer"], getattr(datamodule, "trainer", None)
    try:
        yield
    finally:
        module.trainer = before
        if hasattr(datamodule, "trainer"):
            datamodule.trainer = of_data


def _holds_loaders(data: Any) -> bool:  # noqa: ANN401 (any data)
    """Whether a value is a collection of loaders, rather than a list of batches."""
    if not isinstance(data, list | tuple | dict):
        return isinstance(data, Iterable) and not isinstance(data, torch.Tensor)
    items = list(data.values() if isinstance(data, dict) else data)
    return bool(items) and all(map(_holds_loaders, items))


class _Epoch:
    """The batches of an epoch, as Lightning combines and limits them."""

    def __init__(self, fit: _Fit) -> None:
        self._combined = fit.combined
        self._copy: Any = None  # a copy with its own workers, which may persist
        self._count = None if fit.count == float("inf") else int(fit.count)
        # The search for states of loaders looks at attributes.
        for number, loader in enumerate(fit.combined.flattened):
            setattr(self, f"loader_{number}", loader)

    def __iter__(self) -> Iterator[Any]:
        if self._copy is None:
            self._copy = copy.copy(self._combined)
            self._copy.flattened = list(map(own_loader, self._combined.flattened))
        iter(self._copy)
        return self._batches(self._copy)

    def _batches(self, combined: Any) -> Iterator[Any]:  # noqa: ANN401 (as above)
        batches = iter(partial(next, combined, None), None)
        try:
            for batch, _, _ in islice(batches, self._count):
                yield batch
        except BaseException:  # also where the test ends in an epoch
            combined.reset()
            self._copy = None
            raise


class _Fetcher:
    """The source of the next batch for Lightning's loop."""

    batch: Any = None
    done = False  # whether the batch is known to be the last one of its epoch

    def __next__(self) -> tuple[Any, int, int]:
        return self.batch, 0, 0


class LightningStep(FrameworkStep):
    """The training step of Lightning: the loops of its trainer, batch by batch."""

    def __init__(self, fit: _Fit, schedulers: list[Any]) -> None:
        super().__init__()
        self._fit, self._schedulers = fit, schedulers

    @property
    def notices(self) -> Sequence[str]:
        """Sentences on the parts of ``Trainer.fit`` that are left out."""
        user = self._fit.trainer
        others = [x for x in self._fit.callbacks if not is_kind(x, *_WITHOUT_EFFECT)]
        callbacks = ", ".join(type(callback).__name__ for callback in others)
        differences: dict[str, object] = {
            f"The callbacks {callbacks} are not called.": callbacks,
            "The module is not compiled.": self._fit.is_compiled,
        }
        if user is not None:
            strategy = type(user.strategy).__name__
            differences |= {
                f"The test uses one device, without the trainer's {strategy}.": (
                    strategy != "SingleDeviceStrategy"
                ),
                "The loaders are kept, but the trainer reloads them after some "
                "epochs.": user.reload_dataloaders_every_n_epochs,
            }
        return [sentence for sentence, holds in differences.items() if holds]

    def start(self, trained: Trained) -> None:
        """Attach a new trainer to the module, and call the hooks of the start."""
        fit, module, config = self._fit, trained.model, trained.config
        self._optimizer, self._scaler = trained.optimizer, trained.grad_scaler
        datamodule = fit.datamodule
        if datamodule is not None:
            datamodule = _twin(datamodule, fit.combined.flattened)
        self._trainer = trainer = fit.stand_in(module, trained.device, datamodule)
        self._loop = trainer.fit_loop.epoch_loop
        self._loop.update_lr_schedulers = do_nothing  # the test sets the rates
        trainer.accumulate_grad_batches = self._accumulate = config.accumulate
        if config.clip_grad_norm or trainer.gradient_clip_algorithm != "value":
            trainer.gradient_clip_val = config.clip_grad_norm
            trainer.gradient_clip_algorithm = None
        strategy = trainer.strategy
        strategy.precision_plugin = self._precision(config.autocast, trained.device)
        strategy.precision_plugin.convert_module(module)
        strategy.optimizers = [trained.optimizer]
        kept = fit.part("utilities.types").LRSchedulerConfig
        strategy.lr_scheduler_configs = [kept(x) for x in self._schedulers]
        strategy.training_step = partial(self._training_step, strategy.training_step)
        strategy.optimizer_step = partial(self._optimizer_step, strategy.optimizer_step)
        for part in module.modules():
            if is_kind(part, "LightningModule"):
                vars(part).update(log=do_nothing, log_dict=do_nothing)
        self._fetcher = _Fetcher()
        self._results: list[Any] = []  # of the training steps of a batch
        self._losses: list[Tensor] = []  # since the last optimizer step
        self._steps = 0  # of the optimizer
        self._rates: list[Any] = []
        self._hook("on_fit_start")
        module.zero_grad()
        self._hook("on_train_start")

    def _precision(self, autocast: torch.dtype | None, device: torch.device) -> Any:  # noqa: ANN401 (as above)
        """Return the precision of the settings of the test, or that of the trainer."""
        plugins = self._fit.part("plugins.precision")
        user = self._fit.trainer
        if autocast is not None:
            name = "16-mixed" if autocast is torch.float16 else "bf16-mixed"
            mixed = plugins.MixedPrecision(name, device.type)
            mixed.scaler = self._scaler
            return mixed
        if self._scaler is not None:
            msg = (
                f"grad_scaler=<{type(self._scaler).__name__}> without autocast is no "
                "precision of Lightning; pass autocast=torch.float16, too"
            )
            raise ValueError(msg)
        if user is None or is_kind(user.precision_plugin, "MixedPrecision"):
            return plugins.Precision()
        return copy.deepcopy(user.precision_plugin)

    def _hook(self, name: str) -> None:
        self._fit.call._call_lightning_module_hook(self._trainer, name)  # noqa: SLF001 (as above)

    def start_epoch(self) -> None:
        """Count an epoch, and call the hooks between two of them."""
        progress = self._trainer.fit_loop.epoch_progress
        if progress.current.ready:
            progress.increment_processed()
            self._hook("on_train_epoch_end")
            progress.increment_completed()
        set_epoch = self._fit.part("loops.fit_loop")._set_sampler_epoch  # noqa: SLF001 (as above)
        for loader in self._fit.combined.flattened:
            set_epoch(loader, progress.current.processed)
        progress.increment_ready()
        self._hook("on_train_epoch_start")
        progress.increment_started()
        self._loop.reset()

    def train_on(self, batch: Any) -> Tensor | None:  # noqa: ANN401 (any batch)
        """Do all that Lightning does with a batch, and return its loss."""
        self._results.clear()
        self._fetcher.batch = batch
        try:
            self._loop.advance(self._fetcher)
        except StopIteration:
            msg = (
                "on_train_batch_start returned -1, which ends an epoch before its last "
                "batch; return None, since a range test needs all batches"
            )
            raise ValueError(msg) from None
        result = self._results[0] if self._results else None
        loss = result.get("loss") if isinstance(result, Mapping) else result
        return loss if isinstance(loss, torch.Tensor) else None

    def step(self, train_on: LossOf, batches: Sequence[Any]) -> Tensor:
        """Do the optimizer step of some batches, and return its mean loss."""
        self._rates = [group["lr"] for group in self._optimizer.param_groups]
        self._steps = 0
        scale = 0.0 if self._scaler is None else self._scaler.get_scale()
        for number, batch in enumerate(batches, 1):
            is_last = self._loop.batch_idx + 2 == self._fit.count
            self._fetcher.done = is_last or number == len(batches) < self._accumulate
            loss = train_on(batch)
            if loss is not None:
                self._losses.append(loss.detach())
        if self._steps > 1:
            msg = (
                f"the training_step of the module took {self._steps} optimizer steps "
                "for one point of the curve; a range test needs one step a batch"
            )
            raise ValueError(msg)
        if not self._losses:
            if self._steps and not self._trainer.model.automatic_optimization:
                msg = (
                    "the training_step of the module returned no loss; return it, also "
                    "with automatic_optimization=False"
                )
                raise TypeError(msg)
            raise StepSkippedError(None)
        loss = mean(self._losses)
        if self._steps:  # else the module accumulates gradients itself
            self._losses.clear()
        if not self._steps or (self._scaler and self._scaler.get_scale() < scale):
            raise StepSkippedError(loss)
        return loss

    def _training_step(self, own: Any, *args: Any) -> Any:  # noqa: ANN401 (as above)
        """Call the training step of the module, and store its result."""
        result = own(*args)
        self._results.append(result)
        return result

    def _optimizer_step(self, own: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (as above)
        """Call the optimizer step, and check that it used the rates of the test."""
        result = own(*args, **kwargs)
        self._steps += 1
        if self._rates != [group["lr"] for group in self._optimizer.param_groups]:
            msg = (
                f"module=<{type(self._trainer.model).__name__}> sets the learning rate "
                "of its optimizer before an optimizer step, so the test cannot set "
                "it; leave that out during a test"
            )
            raise ValueError(msg)
        return result

    def forward(self, model: Any, batch: Any) -> Any:  # noqa: ANN401 (as above)
        """Return the result of the training step of a module, for validation."""
        batch = model._on_before_batch_transfer(batch)  # noqa: SLF001 (as above)
        device = self._trainer.strategy.root_device
        batch = model._apply_batch_transfer_handler(batch, device)  # noqa: SLF001 (as above)
        args = self._loop._build_kwargs({}, batch, self._loop.batch_idx)  # noqa: SLF001 (as above)
        result = model.training_step(*args.values())
        if result is None:
            raise NoLossError
        return result


def _twin(datamodule: Any, loaders: Iterable[Any]) -> Any:  # noqa: ANN401 (as above)
    """Return a copy of a data module with its own containers and generators."""
    twin = aside(datamodule)
    of_loaders = [getattr(loader, "generator", None) for loader in loaders]
    for name, value in vars(twin).items():
        if type(value) in (dict, list, set):
            vars(twin)[name] = copy.copy(value)
        elif isinstance(value, GENERATORS) and value not in of_loaders:
            vars(twin)[name] = copy.deepcopy(value)
    return twin


def _as_it_is(batch: Any) -> Any:  # noqa: ANN401 (any batch)
    return batch


def _write_rate(module: Any, lr: float) -> str:  # noqa: ANN401 (as above)
    """Write a rate to the attributes to which Lightning's own finder writes it."""
    name = _rate_name(module)
    if name is not None:
        own = hasattr(module, name)
        if own:
            setattr(module, name, lr)
        if name in module.hparams:
            module.hparams[name] = lr
        return f"module.{name}" if own else f"module.hparams.{name}"
    msg = (
        "neither the module nor its hparams have an lr or learning_rate to write to; "
        "use widget.value in configure_optimizers"
    )
    raise RuntimeError(msg)


def _rate_name(module: Any) -> str | None:  # noqa: ANN401 (as above)
    """Return the first name of a rate that the module or its hparams have."""
    known = (x for x in _RATES if hasattr(module, x) or x in module.hparams)
    return next(known, None)


def _save_rates(module: Any) -> Callable[[], None]:  # noqa: ANN401 (as above)
    """Return a function that writes back what those attributes are now."""
    name = _rate_name(module)
    known = [] if name is None else [name]
    own = {name: getattr(module, name) for name in known if hasattr(module, name)}
    hyper = {name: module.hparams[name] for name in known if name in module.hparams}

    def write_back() -> None:
        for name, rate in own.items():
            setattr(module, name, rate)
        module.hparams.update(hyper)

    return write_back
