"""The training of a Lightning module, by the loops of a Lightning trainer."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from inspect import signature
from itertools import islice
from threading import get_ident
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lrwidget.config import is_kind
from lrwidget.engine.framework import FrameworkStep, Trained
from lrwidget.engine.losses import NoLossError
from lrwidget.engine.stepping import StepSkippedError, mean
from lrwidget.integrations import Parts, aside, check_kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch.optim import Optimizer

    from lrwidget.engine.losses import LossOf

_RATES = ("lr", "learning_rate")
# The settings of a trainer that its modules may ask for, or that change a training.
_SETTINGS = (
    "max_epochs min_epochs max_steps min_steps limit_train_batches default_root_dir "
    "accumulate_grad_batches gradient_clip_val gradient_clip_algorithm "
    "check_val_every_n_epoch log_every_n_steps num_sanity_val_steps"
).split()
_USUAL_EPOCHS = 1000  # of a trainer without limits
# The callbacks that only show, store or stop a training.
_WATCHING = (
    "Checkpoint DeviceStatsMonitor EarlyStopping LearningRateMonitor ModelSummary "
    "ProgressBar ThroughputMonitor Timer"
).split()


def parts_of(
    module: Any,  # noqa: ANN401 (Lightning is not imported)
    data: Any,  # noqa: ANN401 (as above)
    trainer: Any,  # noqa: ANN401 (as above)
    optimizer: Optimizer | None,
) -> Parts:
    """
    Return the parts of a training of a ``LightningModule``.

    The module and the data module are prepared and set up as for ``Trainer.fit``. The
    only optimizer of ``configure_optimizers`` is used if none is given.
    """
    example = "one, with configure_optimizers and training_step"
    check_kind("module", module, "LightningModule", example)
    if trainer is None:
        trainer = vars(module)["_trainer"]
    else:
        check_kind("trainer", trainer, "Trainer", "that of Lightning, or None")
    _check(module, trainer)
    has_hooks = hasattr(data, "train_dataloader")
    fit = _Fit(module, trainer, data if has_hooks else None)
    with _attached_again(module, data):
        stand_in = fit.stand_in(module, module.device, data if has_hooks else None)
        stand_in._data_connector.prepare_data()  # noqa: SLF001 (Lightning has no other way)
        fit.call._call_setup_hook(stand_in)  # noqa: SLF001 (as above)
        fit.call._call_configure_model(stand_in)  # noqa: SLF001 (as above)
        if data is None or has_hooks:
            data = (module if data is None else data).train_dataloader()
        loader = fit.combine(data, stand_in)
        configs: list[Any] = []
        if optimizer is None:
            optimizer, configs = fit.configured(module)
    settings = {"training_step": LightningStep(fit, configs), **_settings(trainer)}
    return Parts(module, optimizer, loader, settings, partial(_write_rate, module))


def _check(module: Any, trainer: Any) -> None:  # noqa: ANN401 (as above)
    """Raise where a training cannot be done batch by batch from outside."""
    name = f"module=<{type(module).__name__}>"
    if "dataloader_iter" in signature(module.training_step).parameters:
        msg = (
            f"{name} fetches its batches itself, by the dataloader_iter of its "
            "training_step; give training_step a batch instead"
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
        self.callbacks = list(() if trainer is None else trainer.callbacks)
        self.combined: Any = None  # the loader, as Lightning has it
        self.count: float = float("inf")  # the number of batches in an epoch

    def __deepcopy__(self, memo: object) -> _Fit:
        return self

    def part(self, name: str) -> Any:  # noqa: ANN401 (as above)
        """Return a module of the package of the Lightning module."""
        return import_module(f"{self._package}.{name}")

    def stand_in(self, module: Any, device: torch.device, datamodule: Any) -> Any:  # noqa: ANN401 (as above)
        """Return a new trainer that stands for the user's, writes and shows nothing."""
        user = self.trainer
        settings = {} if user is None else {x: getattr(user, x) for x in _SETTINGS}
        if settings.get("max_epochs") is None and settings.get("max_steps", -1) == -1:
            settings["max_epochs"] = _USUAL_EPOCHS
        with _silence():
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
        given = isinstance(data, kind)
        several = given or _holds_loaders(data)
        own = data if several or not isinstance(data, list | tuple) else _Sized(data)
        with _silence():
            self.combined = data if given else kind(own, "max_size_cycle")
        mode = self.combined._mode  # noqa: SLF001 (as above)
        if mode == "sequential":
            msg = (
                "data=<CombinedLoader> has mode='sequential', which Trainer.fit does "
                "not take; pass one with another mode"
            )
            raise ValueError(msg)
        connector = self.part("trainer.connectors.data_connector")
        stage = self.part("trainer.states").RunningStage.TRAINING
        limit = trainer.limit_train_batches
        lengths = [_length(loader) for loader in self.combined.flattened]
        counts = [
            connector._parse_num_batches(stage, length, limit)  # noqa: SLF001 (as above)
            for length in lengths
        ]
        self.count = (min if mode == "min_size" else max)(counts)
        self._give_loader(trainer)
        return data if not several and counts == lengths else _Epoch(self)

    def _give_loader(self, trainer: Any) -> None:  # noqa: ANN401 (as above)
        trainer.fit_loop._combined_loader = self.combined  # noqa: SLF001 (as above)
        trainer.fit_loop.max_batches = self.count

    def configured(self, module: Any) -> tuple[Optimizer, list[Any]]:  # noqa: ANN401 (as above)
        """Return the only optimizer of a module, and the settings of its schedulers."""
        parse = self.part("core.optimizer")
        call = self.call._call_lightning_module_hook  # noqa: SLF001 (as above)
        returned = call(module.trainer, "configure_optimizers", pl_module=module)
        optimizers, schedulers, monitor = (
            ([], [], None)
            if returned is None
            else parse._configure_optimizers(returned)  # noqa: SLF001 (as above)
        )
        if len(optimizers) != 1:
            msg = (
                f"configure_optimizers returned {returned!r}, but a range test trains "
                "with one optimizer; pass it as optimizer=..."
            )
            raise ValueError(msg)
        if module.automatic_optimization:
            read = partial(parse._configure_schedulers_automatic_opt, monitor=monitor)  # noqa: SLF001 (as above)
        else:
            read = parse._configure_schedulers_manual_opt  # noqa: SLF001 (as above)
        return optimizers[0], read(schedulers)


@contextmanager
def _silence() -> Iterator[None]:
    """Drop what Lightning tells about the machine and about torch."""
    thread = get_ident()
    log: logging.Logger = import_module("lightning_utilities.core.rank_zero").log

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
def _attached_again(module: nn.Module, data: object) -> Iterator[None]:
    """Attach modules, and the data module, to the same trainers again at the end."""
    names = ("_trainer", "trainer")
    holders = [x for x in (*module.modules(), data) if hasattr(x, "__dict__")]
    before = [
        (vars(holder), name, vars(holder)[name])
        for holder in holders
        for name in names
        if name in vars(holder)
    ]
    try:
        yield
    finally:
        for part in module.modules():  # those that setup has made
            if "_trainer" in vars(part):
                vars(part)["_trainer"] = vars(module)["_trainer"]
        for attributes, name, trainer in before:
            attributes[name] = trainer


def _holds_loaders(data: object) -> bool:
    """Whether a value is a collection of loaders, rather than a list of batches."""
    if not isinstance(data, list | tuple | dict) or not data:
        return False
    items = data.values() if isinstance(data, dict) else data
    return all(
        _holds_loaders(item)
        or (
            isinstance(item, Iterable)
            and not isinstance(item, list | tuple | dict | Tensor)
        )
        for item in items
    )


def _length(loader: Any) -> float:  # noqa: ANN401 (any loader)
    try:
        return len(loader)
    except Exception:  # noqa: BLE001 (a loader of any class)
        return float("inf")


class _Sized:
    """A list of batches, which Lightning would take apart."""

    def __init__(self, batches: Sequence[Any]) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[Any]:
        return iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)


class _Epoch:
    """The batches of an epoch, as Lightning combines and limits them."""

    def __init__(self, fit: _Fit) -> None:
        self._combined, self._count = fit.combined, fit.count
        # where the state of the loaders is looked for
        for number, loader in enumerate(fit.combined.flattened):
            setattr(self, f"loader_{number}", loader)

    def __iter__(self) -> Iterator[Any]:
        combined = copy.copy(self._combined)
        # A loader has one iterator if its workers persist, and Lightning ends it.
        combined.flattened = [
            aside(loader) if isinstance(loader, DataLoader) else loader
            for loader in self._combined.flattened
        ]
        for loader in combined.flattened:
            if isinstance(loader, DataLoader):
                loader._iterator = None  # noqa: SLF001 (torch has no other way)
        endless = self._count == float("inf")
        try:
            count = None if endless else int(self._count)
            for batch, _, _ in islice(combined, count):
                yield batch
        finally:
            combined.reset()

    def __len__(self) -> int:
        if self._count == float("inf"):
            msg = "the number of batches is not known"
            raise TypeError(msg)
        return int(self._count)


class _Fetcher:
    """The source of the next batch for Lightning's loop."""

    batch: Any = None
    done = False  # whether the batch is known to be the last one of its epoch

    def __next__(self) -> tuple[Any, int, int]:
        return self.batch, 0, 0


class LightningStep(FrameworkStep):
    """The training step of Lightning: the loops of its trainer, batch by batch."""

    def __init__(self, fit: _Fit, configs: list[Any]) -> None:
        super().__init__()
        self._fit = fit
        self._configs = configs  # of the schedulers
        self._schedulers = [config.scheduler for config in configs]

    @property
    def notices(self) -> Sequence[str]:
        """What Trainer.fit does and this does not, in sentences."""
        found = []
        user = self._fit.trainer
        names = [type(x).__name__ for x in self._fit.callbacks]
        kept = [
            name
            for name, x in zip(names, self._fit.callbacks, strict=True)
            if not is_kind(x, *_WATCHING)
        ]
        if kept:
            found.append(f"The callbacks of the trainer are not called: {kept}.")
        if user is not None:
            strategy = type(user.strategy).__name__
            if strategy != "SingleDeviceStrategy":
                found.append(
                    f"The trainer's {strategy} is not used: one device trains."
                )
            if user.reload_dataloaders_every_n_epochs:
                found.append("The trainer would make new loaders after some epochs.")
        return found

    def start(self, trained: Trained) -> None:
        """Attach a new trainer to the module, and call the hooks of the start."""
        fit, module, config = self._fit, trained.model, trained.config
        self._optimizer, self._scaler = trained.optimizer, trained.grad_scaler
        datamodule = None if fit.datamodule is None else _twin(fit.datamodule)
        self._trainer = trainer = fit.stand_in(module, trained.device, datamodule)
        self._loop = trainer.fit_loop.epoch_loop
        trainer.accumulate_grad_batches = self._accumulate = config.accumulate
        if config.clip_grad_norm is not None:
            trainer.gradient_clip_val = config.clip_grad_norm
            trainer.gradient_clip_algorithm = None
        elif trainer.gradient_clip_algorithm != "value":
            trainer.gradient_clip_val = None
        strategy = trainer.strategy
        strategy.precision_plugin = self._precision(config.autocast, trained.device)
        strategy.precision_plugin.convert_module(module)
        strategy.optimizers = [trained.optimizer]
        strategy.lr_scheduler_configs = self._configs
        # The test sets the rates.
        self._loop.update_lr_schedulers = _do_nothing
        for part in module.modules():
            if is_kind(part, "LightningModule"):
                vars(part).update(log=_do_nothing, log_dict=_do_nothing)
        self._fetcher = _Fetcher()
        self._results: list[Any] = []  # of the training steps of a batch
        self._losses: list[Tensor] = []  # since the last optimizer step
        self._steps = 0  # of the optimizer
        self._rates: list[Any] = []
        strategy.training_step = partial(self._training_step, strategy.training_step)
        strategy.optimizer_step = partial(self._optimizer_step, strategy.optimizer_step)
        self._hook("on_fit_start")
        module.zero_grad()
        self._hook("on_train_start")

    def _precision(self, autocast: torch.dtype | None, device: torch.device) -> Any:  # noqa: ANN401 (as above)
        """Return the precision of the trainer, or that of the settings of the test."""
        plugins = self._fit.part("plugins.precision")
        if autocast is not None:
            name = "16-mixed" if autocast is torch.float16 else "bf16-mixed"
            mixed = plugins.MixedPrecision(name, device.type)
            mixed.scaler = self._scaler
            return mixed
        if self._scaler is not None:
            msg = "grad_scaler without autocast is not Lightning's; pass autocast, too"
            raise ValueError(msg)
        user = self._fit.trainer
        if user is None or is_kind(user.precision_plugin, "MixedPrecision"):
            return plugins.Precision()
        return copy.deepcopy(user.precision_plugin)

    def _hook(self, name: str) -> None:
        self._fit.call._call_lightning_module_hook(self._trainer, name)  # noqa: SLF001 (Lightning has no other way)

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
                "batch; a range test needs all batches"
            )
            raise ValueError(msg) from None
        result = self._results[0] if self._results else None
        loss = result.get("loss") if isinstance(result, Mapping) else result
        return loss if isinstance(loss, Tensor) else None

    def step(self, train_on: LossOf, batches: Sequence[Any]) -> Tensor:
        """Do the optimizer step of some batches, and return its mean loss."""
        self._rates = [group["lr"] for group in self._optimizer.param_groups]
        self._steps = 0
        scale = None if self._scaler is None else self._scaler.get_scale()
        for number, batch in enumerate(batches, 1):
            self._fetcher.done = (
                number == len(batches) < self._accumulate
                or self._loop.batch_idx + 2 == self._fit.count
            )
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
            if (
                self._steps
                and not self._trainer.lightning_module.automatic_optimization
            ):
                msg = (
                    "the training_step of the module returned no loss; return it, also "
                    "with automatic_optimization=False"
                )
                raise TypeError(msg)
            raise StepSkippedError(None)
        losses = self._losses
        loss = losses[0] if len(losses) == 1 else mean(losses)
        if not self._steps:  # the module accumulates gradients itself
            raise StepSkippedError(loss)
        self._losses = []
        if scale is not None and self._scaler.get_scale() < scale:
            raise StepSkippedError(loss)
        return loss

    def _training_step(self, own: Any, *args: Any) -> Any:  # noqa: ANN401 (as above)
        """Call the training step of the module, and store its result."""
        result = own(*args)
        self._results.append(result)
        return result

    def _optimizer_step(self, own: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (as above)
        """Call the optimizer step, and check that it was at the rates of the test."""
        result = own(*args, **kwargs)
        self._steps += 1
        if self._rates != [group["lr"] for group in self._optimizer.param_groups]:
            name = type(self._trainer.lightning_module).__name__
            msg = (
                f"module=<{name}> sets the learning rate of its optimizer before an "
                "optimizer step, so a test cannot; leave that out, for example by an "
                "attribute of the module"
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


def _twin(datamodule: Any) -> Any:  # noqa: ANN401 (as above)
    """Return a data module with the same data and containers of its own."""
    twin = aside(datamodule)
    for name, value in vars(twin).items():
        if type(value) in (dict, list, set):
            vars(twin)[name] = copy.copy(value)
    return twin


def _do_nothing(*_args: object, **_kwargs: object) -> None: ...


def _write_rate(module: Any, lr: float) -> str:  # noqa: ANN401 (as above)
    """Write a rate to the attributes to which Lightning's own finder writes it."""
    for name in _RATES:
        own, hyper = hasattr(module, name), name in module.hparams
        if own:
            setattr(module, name, lr)
        if hyper:
            module.hparams[name] = lr
        if own or hyper:
            return f"module.{name}" if own else f"module.hparams.{name}"
    msg = (
        "the module has no lr or learning_rate, nor in its hparams, to write to; "
        "use widget.value in its configure_optimizers"
    )
    raise RuntimeError(msg)
