"""The losses of a test are those of Lightning's own fit at the same rates."""

from __future__ import annotations

import copy
import random
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from lrwidget import LRWidget
from lrwidget.integrations.lightning import parts_of
from tests.engine.training_parts import state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_STEPS = 20
_X = torch.randn(44, 8, generator=torch.Generator().manual_seed(1))
_Y = _X[:, :3].argmax(1)
_PACKAGES = ["lightning.pytorch", "pytorch_lightning"]

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's, of small trainings


def _loader(count: int = 44, size: int = 4, **options: Any) -> DataLoader[Any]:
    return DataLoader(TensorDataset(_X[:count], _Y[:count]), size, **options)


@pytest.fixture(params=_PACKAGES)
def pl(request: pytest.FixtureRequest) -> Any:
    return import_module(request.param)


def _module(pl: Any, **methods: Any) -> Any:
    """Return a module with random numbers in its training, and other methods."""

    class Module(pl.LightningModule):  # type: ignore[misc]  # of either package
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.lr = 0.1
            self.net = nn.Sequential(
                nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Dropout(0.2), nn.Linear(16, 3)
            )

        def on_fit_start(self) -> None:
            torch.manual_seed(7)

        def loss(self, batch: Any) -> Any:
            loss = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
            self.log("loss", loss)
            self.log_dict({"twice": 2 * loss})
            return loss

        def training_step(self, batch: Any, batch_idx: int) -> Any:  # noqa: ARG002
            return self.loss(batch)

        def configure_optimizers(self) -> Any:
            return SGD(self.parameters(), lr=self.lr, momentum=0.9)

    return type("Own", (Module,), methods)()


def _trainer(pl: Any, **settings: Any) -> Any:
    return pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **settings,
    )


def _fitted(
    pl: Any, module: Any, data: Any, rates: list[float], settings: dict[str, Any]
) -> list[float]:
    """Return the losses of `Trainer.fit`, one for each optimizer step."""
    losses: list[float] = []
    window: list[float] = []
    optimizers: list[Any] = []

    class AtRates(pl.Callback):  # type: ignore[misc]  # of either package
        def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
            rate = rates[min(trainer.global_step, len(rates) - 1)]
            optimizers[:] = trainer.optimizers
            for group in trainer.optimizers[0].param_groups:
                group["lr"] = rate
            self.before = trainer.global_step

        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            if trainer.global_step > self.before:
                losses.append(sum(window) / len(window))
                window.clear()

    step = type(module).training_step

    def training_step(self: Any, *args: Any) -> Any:
        result = step(self, *args)
        loss = result["loss"] if isinstance(result, dict) else result
        window.append(loss.item())
        return result

    type(module).training_step = training_step
    try:
        trainer = _trainer(pl, max_steps=len(rates), callbacks=[AtRates()], **settings)
        trainer.fit(module, data)
    finally:
        type(module).training_step = step
    return losses


def _tested(
    module: Any, data: Any, trainer: Any = None, **options: Any
) -> tuple[list[float], list[float]]:
    """Return the rates and losses of a test."""
    options = {"num_it": _STEPS, "start_lr": 1e-3, "end_lr": 1, "stop_div": False} | (
        options
    )
    widget = LRWidget.from_lightning(module, data, trainer, **options)
    try:
        widget.run()
        curve = widget.wait()
    finally:
        widget.close()
    return curve.lrs.tolist(), curve.losses.tolist()


def _check_exact(
    pl: Any,
    make: Callable[[], Any],
    data: Any = None,
    isolation: Any = "auto",
    **settings: Any,
) -> None:
    """Compare a test with a fit, and the module after it with the one before."""
    module = make()
    data = _loader if data is None else data
    trainer = _trainer(pl, max_epochs=50, **settings) if settings else None
    before = state(module, None)
    tested = _tested(module, data(), trainer, isolation=isolation)
    assert state(module, None) == before
    assert vars(module)["_trainer"] is None
    rates, losses = tested
    fitted = _fitted(pl, make(), data(), rates, settings)
    assert len(losses) == _STEPS
    assert losses == pytest.approx(fitted, rel=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"accumulate_grad_batches": 4},  # the last step of an epoch has 3 batches
        {"gradient_clip_val": 0.1},
        {"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"},
        {"precision": "bf16-mixed"},
        {"precision": "64-true"},
        {"limit_train_batches": 5},
        {"limit_train_batches": 0.5, "accumulate_grad_batches": 2},
    ],
)
@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_the_settings_of_a_trainer(pl: Any, settings: Any, isolation: Any) -> None:
    _check_exact(pl, lambda: _module(pl), isolation=isolation, **settings)


def _shuffled() -> Any:
    return _loader(shuffle=True, drop_last=True)


class _Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter(TensorDataset(_X, _Y))


def _of_a_dict(self: Any, batch: Any, batch_idx: int) -> Any:  # noqa: ARG001
    return {"loss": self.loss(batch["a"]) + self.loss(batch["b"])}


def _of_a_list(self: Any, batch: Any, *_: Any) -> Any:
    return self.loss(batch[0]) + self.loss(batch[1])


def test_a_shuffled_loader(pl: Any) -> None:
    _check_exact(pl, lambda: _module(pl), _shuffled)


@pytest.mark.parametrize("count", [40, 43])
def test_a_loader_with_a_generator(pl: Any, count: int) -> None:
    def data() -> Any:
        return _loader(count, shuffle=True, generator=torch.Generator())

    _check_exact(pl, lambda: _module(pl), data)


def test_workers_that_persist(pl: Any) -> None:
    def data() -> Any:
        return _loader(16, num_workers=1, persistent_workers=True)

    _check_exact(pl, lambda: _module(pl), data)


def test_a_stream_without_length(pl: Any) -> None:
    def data() -> Any:
        return DataLoader(_Stream(), 4)

    _check_exact(pl, lambda: _module(pl), data, accumulate_grad_batches=4)


def test_dicts_and_lists_of_loaders(pl: Any) -> None:
    combined = import_module(f"{pl.__name__}.utilities").CombinedLoader

    def named() -> Any:
        return {"a": _loader(), "b": _loader(16, 2, shuffle=True)}

    def shortest() -> Any:
        return combined(list(named().values()), "min_size")

    of_a_dict = _module(pl, training_step=_of_a_dict)
    _check_exact(pl, lambda: copy.deepcopy(of_a_dict), named)
    of_a_list = _module(pl, training_step=_of_a_list)
    _check_exact(pl, lambda: copy.deepcopy(of_a_list), lambda: list(named().values()))
    _check_exact(pl, lambda: copy.deepcopy(of_a_list), shortest)


def test_the_state_of_combined_loaders_is_restored(pl: Any) -> None:
    generator = torch.Generator().manual_seed(3)
    loaders = [_loader(), _loader(shuffle=True, generator=generator)]
    before = generator.get_state()
    _tested(_module(pl, training_step=_of_a_list), loaders)
    assert torch.equal(generator.get_state(), before)


def test_a_sampler_that_is_told_the_epoch(pl: Any) -> None:
    def data() -> Any:
        sampler: Any = torch.utils.data.DistributedSampler(
            TensorDataset(_X, _Y), num_replicas=1, rank=0
        )
        return _loader(sampler=sampler)

    loader: Any = data()
    _tested(_module(pl), loader)
    assert loader.sampler.epoch == 0
    _check_exact(pl, lambda: _module(pl), data)


def test_modes_of_parts_are_kept_as_in_fit(pl: Any) -> None:
    def make() -> Any:
        module = _module(pl)
        module.net[1].eval()
        module.net[2].eval()
        return module

    _check_exact(pl, make)


def _own_backward(self: Any, loss: Any, *args: Any, **kwargs: Any) -> None:
    (loss * 2).backward(*args, **kwargs)
    assert self.trainer.training


def _own_step(self: Any, epoch: int, index: int, optimizer: Any, closure: Any) -> None:  # noqa: ARG001
    optimizer.step(closure=closure)
    # as in Lightning's documentation of a warm-up
    for group in optimizer.param_groups:
        group["lr"] = min(1.0, (self.trainer.global_step + 1) / 500) * self.lr


def _own_clipping(self: Any, optimizer: Any, **_: Any) -> None:
    self.clip_gradients(
        optimizer, gradient_clip_val=0.05, gradient_clip_algorithm="value"
    )


def _own_zero_grad(self: Any, epoch: int, index: int, optimizer: Any) -> None:  # noqa: ARG001
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                parameter.grad.mul_(0.5)


def test_own_hooks_of_the_optimizer_step(pl: Any) -> None:
    for name, method in {
        "backward": _own_backward,
        "optimizer_step": _own_step,
        "configure_gradient_clipping": _own_clipping,
        "optimizer_zero_grad": _own_zero_grad,
    }.items():
        _check_exact(pl, lambda: _module(pl, **{name: method}))  # noqa: B023 (called at once)


def _manual(every: int) -> Any:
    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        self.automatic_optimization = False
        optimizer = self.optimizers()
        loss = self.loss(batch)
        self.manual_backward(loss / every)
        if (batch_idx + 1) % every == 0 or self.trainer.is_last_batch:
            self.clip_gradients(optimizer, gradient_clip_val=0.1)
            optimizer.step()
            optimizer.zero_grad()
            if self.lr_schedulers() is not None:
                self.lr_schedulers().step()
        return loss

    return training_step


@pytest.mark.parametrize("every", [1, 3])
def test_manual_optimization(pl: Any, every: int) -> None:
    def make() -> Any:
        module = _module(pl, training_step=_manual(every))
        module.automatic_optimization = False
        return module

    _check_exact(pl, make)


def test_manual_optimization_that_is_refused(pl: Any) -> None:
    def twice(self: Any, batch: Any) -> Any:
        for _ in range(2):
            self.optimizers().zero_grad()
            loss = self.loss(batch)
            self.manual_backward(loss)
            self.optimizers().step()
        return loss

    def silent(self: Any, batch: Any) -> None:
        self.manual_backward(self.loss(batch))
        self.optimizers().step()

    def at_its_rate(self: Any, batch: Any) -> Any:
        for group in self.optimizers().param_groups:
            group["lr"] = 0.5
        loss = self.loss(batch)
        self.manual_backward(loss)
        self.optimizers().step()
        return loss

    for step, message in {
        twice: "took 2 optimizer steps for one point",
        silent: "returned no loss; return it, also",
        at_its_rate: "module=<Own> sets the learning rate of its optimizer before",
    }.items():
        module = _module(pl, training_step=step)
        module.automatic_optimization = False
        with pytest.raises((ValueError, TypeError), match=message):
            _tested(module, _loader())


def test_schedulers_are_there_and_their_state_is_restored(pl: Any) -> None:
    made: list[Any] = []

    def configure_optimizers(self: Any) -> Any:
        optimizer = Adam(self.parameters(), lr=self.lr)
        steps = self.trainer.estimated_stepping_batches
        made[:] = [OneCycleLR(optimizer, 0.1, total_steps=steps), steps]
        return [optimizer], [{"scheduler": made[0], "interval": "step"}]

    for isolation in ("copy", "restore"):
        module = _module(
            pl, training_step=_manual(1), configure_optimizers=configure_optimizers
        )
        module.automatic_optimization = False
        trainer = _trainer(pl, max_epochs=3)
        options: Any = {"isolation": isolation, "optimizer": None}
        assert len(_tested(module, _loader(), trainer, **options)[0]) == _STEPS
        assert made[1] == 33
        assert made[0].last_epoch == 0
        assert trainer.train_dataloader is None


_HOOKS = [
    "configure_callbacks",
    "prepare_data",
    "setup",
    "configure_model",
    "configure_optimizers",
    "on_fit_start",
    "on_train_start",
    "on_train_epoch_start",
    "on_before_batch_transfer",
    "transfer_batch_to_device",
    "on_after_batch_transfer",
    "on_train_batch_start",
    "on_before_zero_grad",
    "optimizer_zero_grad",
    "on_before_backward",
    "backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "configure_gradient_clipping",
    "optimizer_step",
    "on_train_batch_end",
    "on_train_epoch_end",
    "train_dataloader",
]


def _noting(kind: type, calls: list[Any]) -> dict[str, Any]:
    """Return methods that note their names, their numbers and the counts."""

    def noting(name: str) -> Any:
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            numbers = [x for x in args if type(x) is int]
            trainer = self.trainer
            calls.append((name, numbers, trainer.global_step, trainer.current_epoch))
            return getattr(super(type(self), self), name)(*args, **kwargs)

        return method

    return {name: noting(name) for name in _HOOKS if hasattr(kind, name)}


def test_the_order_of_all_hooks(pl: Any) -> None:
    calls: list[Any] = []
    kind = type(_module(pl))

    class Data(pl.LightningDataModule):  # type: ignore[misc]  # of either package
        def train_dataloader(self) -> Any:
            return _loader(20)

    data = type("OwnData", (Data,), _noting(Data, calls))()
    rates, _ = _tested(
        type("Noting", (kind,), _noting(kind, calls))(),
        data,
        _trainer(pl, accumulate_grad_batches=2, max_epochs=50),
        num_it=7,
    )
    tested = list(calls)
    assert data.trainer is None
    calls.clear()
    module = type("Noting", (kind,), _noting(kind, calls))()
    data = type("OwnData", (Data,), _noting(Data, calls))()
    _fitted(pl, module, data, rates, {"accumulate_grad_batches": 2})
    first = {"prepare_data", "setup", "configure_model", "configure_optimizers"}
    first |= {"train_dataloader", "configure_callbacks"}
    assert {name for name, *_ in tested} == {*_HOOKS}
    for among in (True, False):
        of_test, of_fit = (
            [call for call in made if (call[0] in first) == among]
            for made in (tested, calls)
        )
        if among:  # the loader is made earlier
            of_test, of_fit = (
                [x for x in made if x[0] != "train_dataloader"]
                for made in (of_test, of_fit)
            )
        else:
            of_fit = of_fit[: len(of_test)]
        assert of_test == of_fit


def test_hooks_of_a_data_module_leave_nothing(pl: Any) -> None:
    class Data(pl.LightningDataModule):  # type: ignore[misc]  # of either package
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[int] = []
            self.count = 0
            self.rng = random.Random(4)  # noqa: S311 (no secret)

        def train_dataloader(self) -> Any:
            return _loader()

        def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            self.seen.append(dataloader_idx)
            self.count += 1
            return batch[0] / 2 + self.rng.random(), batch[1]

    data = Data()
    rates, losses = _tested(_module(pl), data)
    assert (data.seen, data.count, data.trainer) == ([], 0, None)
    assert data.rng.getstate() == Data().rng.getstate()
    assert losses == pytest.approx(_fitted(pl, _module(pl), Data(), rates, {}))


def test_attributes_that_a_module_asks_for(pl: Any, capfd: Any) -> None:
    def training_step(self: Any, batch: Any, index: int) -> Any:
        assert self.trainer.num_training_batches == 11
        assert self.trainer.estimated_stepping_batches == 11 * 1000
        assert len(self.trainer.train_dataloader) == 11
        assert self.lr_schedulers() is None
        assert self.optimizers().param_groups is self.trainer.optimizers[0].param_groups
        self.logger.log_metrics({"x": 1.0}, step=self.global_step)
        self.logger.experiment.add_scalar("x", 1.0, self.global_step)
        if index == self.global_step == 3:
            self.print("the fourth")
        return self.loss(batch)

    _tested(_module(pl, training_step=training_step), _loader())
    assert capfd.readouterr() == ("the fourth\n", "")


def test_batches_without_a_loss(pl: Any) -> None:
    def training_step(self: Any, batch: Any, index: int) -> Any:
        return None if index % 2 else self.loss(batch)

    rates, losses = _tested(_module(pl, training_step=training_step), _loader())
    assert len(rates) == _STEPS
    assert all(loss > 0 for loss in losses)


def test_lbfgs(pl: Any) -> None:
    def configure_optimizers(self: Any) -> Any:
        return torch.optim.LBFGS(self.parameters(), lr=0.1, max_iter=3)

    def training_step(self: Any, batch: Any) -> Any:
        return nn.functional.cross_entropy(self.net[0](batch[0])[:, :3], batch[1])

    methods = {
        "training_step": training_step,
        "configure_optimizers": configure_optimizers,
    }
    _, losses = _tested(_module(pl, **methods), _loader(), num_it=3)
    start = training_step(_module(pl), next(iter(_loader())))
    assert losses[0] == pytest.approx(start.item())


def test_a_validation_loader(pl: Any) -> None:
    _, losses = _tested(_module(pl), _loader(), val_loader=_loader(8))
    assert len(losses) == _STEPS
    assert losses[0] == losses[0]


def test_trainers_and_hooks_that_are_refused(pl: Any) -> None:
    def of_an_iterator(self: Any, dataloader_iter: Any) -> Any:
        return self.loss(next(dataloader_iter)[0])

    refused: list[tuple[Any, Any, Any, str]] = [
        ({"training_step": of_an_iterator}, None, {}, "dataloader_iter of its trai"),
        ({}, None, {"overfit_batches": 2}, "trainer has overfit_batches=2, which"),
        ({"on_train_batch_start": lambda *_: -1}, None, {}, "returned -1, which ends"),
    ]
    for methods, data, settings, message in refused:
        trainer = _trainer(pl, **settings)
        with pytest.raises(ValueError, match=message):
            _tested(_module(pl, **methods), data or _loader(), trainer)
    with pytest.raises(TypeError, match="trainer=<Linear> must be a Trainer"):
        LRWidget.from_lightning(_module(pl), _loader(), nn.Linear(1, 1))
    module = _module(pl)
    several: Any = [module.configure_optimizers()]
    with pytest.raises(TypeError, match="optimizer=<list> must be one optimizer"):
        LRWidget.from_lightning(module, _loader(), optimizer=several)


def test_notices_of_differences_from_fit(pl: Any) -> None:
    class Pruning(pl.Callback):  # type: ignore[misc]  # of either package
        pass

    def notices(trainer: Any, **methods: Any) -> Any:
        parts = parts_of(_module(pl, **methods), _loader(), trainer, None)
        return parts.settings["training_step"].notices

    assert not notices(None)
    assert not notices(pl.Trainer(accelerator="cpu", logger=False))
    settings: Any = {"callbacks": [Pruning()], "reload_dataloaders_every_n_epochs": 2}
    assert notices(_trainer(pl, **settings)) == [
        "The callbacks Pruning are not called.",
        "The loaders are kept, but the trainer reloads them after some epochs.",
    ]
    for own in (Pruning(), [Pruning(), pl.callbacks.Timer()]):
        of_module = notices(None, configure_callbacks=lambda _, own=own: own)
        assert of_module == ["The callbacks Pruning are not called."]


def test_a_compiled_module(pl: Any) -> None:
    compiled = torch.compile(_module(pl), backend="eager")
    assert _tested(compiled, _loader()) == _tested(_module(pl), _loader())
    step = parts_of(compiled, _loader(), None, None).settings["training_step"]
    assert step.notices == ["The module is not compiled."]


def test_options_come_before_the_trainer(pl: Any) -> None:
    trainer = _trainer(pl, gradient_clip_val=1e-9, accumulate_grad_batches=2)
    options: Any = {"clip_grad_norm": None, "accumulate": 1}
    tested = _tested(_module(pl), _loader(), trainer, **options)
    assert tested == _tested(_module(pl), _loader())
