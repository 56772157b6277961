from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import lightning
import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import StepLR

from lrwidget import LRWidget, range_test, verify
from tests.engine.training_parts import data, loader, state
from tests.integrations.quiet import lightning_trainer
from tests.widget_parts import display_of, optimizer_of

if TYPE_CHECKING:
    from pathlib import Path

_SETTINGS: Any = {"num_it": 20, "stop_div": False}


class Module(lightning.LightningModule):
    """A module as in Lightning's own examples."""

    def __init__(self, lr: float = 0.1) -> None:  # noqa: ARG002 (a hyper-parameter)
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.Linear(6, 3))

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        inputs, targets = batch
        loss = nn.functional.cross_entropy(self.net(inputs), targets)
        self.log("train_loss", loss, prog_bar=True)
        self.log_dict({"batch": float(batch_idx), "epoch": float(self.current_epoch)})
        return {"loss": loss}

    def configure_optimizers(self) -> Any:
        optimizer = SGD(self.parameters(), lr=self.hparams["lr"], momentum=0.9)
        return [optimizer], [StepLR(optimizer, 1)]


class Data(lightning.LightningDataModule):
    calls: list[str]

    def __init__(self) -> None:
        super().__init__()
        self.calls = []

    def prepare_data(self) -> None:
        self.calls.append("prepare_data")

    def setup(self, stage: str) -> None:
        self.calls.append(stage)

    def train_dataloader(self) -> Any:
        return loader()


def _losses(widget: LRWidget) -> list[float]:
    widget.run()
    losses = widget.wait().losses
    widget.close()
    return list(losses)


def _by_hand(module: Any, batches: Any) -> list[float]:
    """Return the losses of the same training without Lightning's parts."""
    optimizer = SGD(module.net.parameters(), lr=0.1, momentum=0.9)
    loss_fn = nn.CrossEntropyLoss()
    curve = range_test(module.net, optimizer, batches, loss_fn, **_SETTINGS)
    return list(curve.losses)


@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_the_losses_are_those_of_its_training_step(isolation: Any) -> None:
    module, batches = Module(), loader(generator=torch.Generator())
    before = state(module, batches)
    widget = LRWidget.from_lightning(module, batches, isolation=isolation, **_SETTINGS)
    # Lightning does not ask for the end of an epoch, at which a sampler draws numbers.
    assert _losses(widget)[:6] == _by_hand(module, batches)[:6]
    assert state(module, batches) == before


def test_a_seed() -> None:
    module, batches = Module(), loader(generator=torch.Generator())

    def losses(seed: int) -> list[float]:
        return _losses(LRWidget.from_lightning(module, batches, seed=seed, **_SETTINGS))

    first = losses(5)
    list(batches)
    assert losses(5) == first
    assert losses(6) != first


def test_a_data_module() -> None:
    module, datamodule = Module(), Data()
    widget = LRWidget.from_lightning(module, datamodule, **_SETTINGS)
    assert _losses(widget) == _by_hand(module, loader())
    assert datamodule.calls == ["prepare_data", "fit"]


def test_the_modules_own_loader_and_its_plain_training_step() -> None:
    class Own(Module):
        def setup(self, stage: str) -> None:
            self.stage = stage

        def train_dataloader(self) -> Any:
            assert self.stage == "fit"
            return loader()

        def training_step(self, batch: Any) -> Any:  # type: ignore[override]  # Lightning takes both
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    module = Own()
    assert _losses(LRWidget.from_lightning(module, **_SETTINGS)) == _by_hand(
        module, loader()
    )


def test_the_plain_constructor_refuses_a_training_step_of_lightning() -> None:
    module = Module()
    optimizer = SGD(module.parameters(), lr=0.1, momentum=0.9)
    refused = r"model=<Module> has its own training_step.*LRWidget\.from_lightning"
    with pytest.raises(ValueError, match=refused):
        range_test(module, optimizer, loader(), **_SETTINGS)

    def step(model: Any, batch: Any) -> torch.Tensor:
        return nn.functional.cross_entropy(model.net(batch[0]), batch[1])

    curve = range_test(*(module, optimizer, loader()), training_step=step, **_SETTINGS)
    assert curve.losses.tolist() == _by_hand(module, loader())


@pytest.mark.filterwarnings("ignore")  # of what the machine is short of
def test_before_and_after_a_training_by_lightning(tmp_path: Any) -> None:
    def weights(*, tested: bool) -> list[torch.Tensor]:
        lightning.seed_everything(1)
        module = Module()
        for _ in range(2):
            if tested:
                _losses(LRWidget.from_lightning(module, loader(), **_SETTINGS))
            trainer = lightning_trainer(tmp_path)
            trainer.fit(module, loader())
        if tested:
            assert module.trainer is trainer
        return [value.clone() for value in module.state_dict().values()]

    for tested, bare in zip(weights(tested=True), weights(tested=False), strict=True):
        assert torch.equal(tested, bare)


def _applied(module: Any) -> str:
    """Write a rate to a module, and return what is said beside the button."""
    with closing(LRWidget.from_lightning(module, loader(), value=0.02)) as widget:
        display = display_of(widget)
        before = dict(module.hparams), getattr(module, "learning_rate", None)
        display.answer.apply.click()
        widget.undo()
        assert (dict(module.hparams), getattr(module, "learning_rate", None)) == before
        display.answer.apply.click()
        said: str = display.next_bar.said.value
    return said


def test_apply_writes_where_the_module_takes_its_rate_from() -> None:
    module = Module()
    assert _applied(module) == "Applied: module.hparams.lr is now 2.0e-2."
    assert module.configure_optimizers()[0][0].defaults["lr"] == 0.02

    class Other(Module):
        def __init__(self, learning_rate: float = 0.1) -> None:
            super().__init__()
            del self.hparams["lr"]
            self.learning_rate = learning_rate

        def configure_optimizers(self) -> Any:
            return SGD(self.parameters(), lr=self.learning_rate)

    other = Other()
    assert _applied(other) == "Applied: module.learning_rate is now 2.0e-2."
    assert other.learning_rate == other.hparams["learning_rate"] == 0.02


def test_apply_where_there_is_no_rate() -> None:
    class Fixed(Module):
        def __init__(self) -> None:
            super().__init__()
            del self.hparams["lr"]

        def configure_optimizers(self) -> Any:
            return SGD(self.parameters(), lr=0.1)

    message = "neither the module nor its hparams have an lr or learning_rate to wr"
    assert _applied(Fixed()).startswith(message)
    widget = LRWidget.from_lightning(Fixed(), loader(), value=0.02)
    with pytest.raises(RuntimeError, match=rf"{message}.*; use widget\.value"):
        widget.apply()
    widget.close()


@pytest.mark.parametrize(
    "configured",
    [
        lambda optimizer: optimizer,
        lambda optimizer: [optimizer],
        lambda optimizer: {"optimizer": optimizer, "lr_scheduler": None},
        lambda optimizer: ({"optimizer": optimizer},),
    ],
)
def test_every_form_of_one_optimizer(configured: Any) -> None:
    module: Any = Module()
    optimizer = Adam(module.parameters())
    module.configure_optimizers = lambda: configured(optimizer)
    widget = LRWidget.from_lightning(module, loader())
    assert optimizer_of(widget) is optimizer
    widget.close()


@pytest.mark.parametrize("count", [0, 2])
def test_no_optimizer_or_two(count: int) -> None:
    module: Any = Module()
    optimizers = [SGD(module.parameters(), lr=0.1) for _ in range(2)]
    module.configure_optimizers = lambda: optimizers if count else None
    with pytest.raises(ValueError, match="trains with one optimizer; pass it as optim"):
        LRWidget.from_lightning(module, loader())
    widget = LRWidget.from_lightning(module, loader(), optimizer=optimizers[0])
    assert optimizer_of(widget) is optimizers[0]
    widget.close()


def test_hooks_around_the_transfer_of_batches() -> None:
    class Halving(Module):
        def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            assert dataloader_idx == 0
            return batch[0] / 2, batch[1]

    halving, batches = Halving(), list(loader())
    halved = [(inputs / 2, targets) for inputs, targets in batches]
    losses = _losses(LRWidget.from_lightning(halving, batches, **_SETTINGS))
    assert losses == _by_hand(halving, halved)


def test_a_training_step_that_asks_the_trainer(tmp_path: Path) -> None:
    class Asking(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            assert self.trainer.max_epochs == 7
            return super().training_step(batch, batch_idx)

    module = Asking()
    module.trainer = lightning_trainer(tmp_path, max_epochs=7)
    assert len(_losses(LRWidget.from_lightning(module, loader(), **_SETTINGS))) == 20


def test_bad_modules() -> None:
    with pytest.raises(TypeError, match="module=<Linear> must be a LightningModule"):
        LRWidget.from_lightning(nn.Linear(2, 2), data())


class _OfAnEpoch(Module):
    """A module whose training step needs the start of an epoch."""

    def on_train_epoch_start(self) -> None:
        self.losses: list[Any] = []

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = super().training_step(batch, batch_idx)["loss"]
        self.losses.append(loss.detach())
        return loss


@pytest.mark.filterwarnings("ignore")  # Lightning's, of small trainings
@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"accumulate_grad_batches": 4, "max_epochs": 2}, 4),
        ({"limit_train_batches": 5, "max_epochs": 2}, 10),
        ({"max_steps": 3}, 3),
        ({"max_steps": 8, "max_epochs": None}, 8),
        ({"max_time": "00:01:00:00", "max_epochs": None}, None),
        ({"max_epochs": -1}, None),
    ],
    ids=str,
)
def test_a_verification_knows_the_steps_of_the_trainer(
    tmp_path: Path, settings: Any, steps: int | None
) -> None:
    module, batches = _OfAnEpoch(), loader()
    trainer = lightning_trainer(tmp_path, **settings)
    found = verify.from_lightning(
        *(module, batches, trainer), num_it=20, val_loader=list(batches)[:2]
    )
    assert found.total_steps == steps
    with closing(LRWidget.from_lightning(module, batches, trainer)) as widget:
        assert widget._controller.state.shown.total_steps == steps
    assert [x.num_it for x in found.lanes] == [100 if steps is None else steps] * 5
    assert [len(x.val_losses) for x in found.lanes[:2]] == [2] * 2
    assert verify.from_lightning(module, batches, num_it=20).total_steps is None
    if steps is not None:
        trainer.fit(module, batches)
        assert trainer.global_step == steps
