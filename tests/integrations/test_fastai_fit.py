"""Tests that a test trains as fastai's own fit does, at the same rates."""

from __future__ import annotations

import copy
import random
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch
from fastai.callback.core import (
    CancelBackwardException,
    CancelFitException,
    CancelStepException,
    CancelValidException,
)
from fastai.callback.fp16 import MixedPrecision
from fastai.callback.hook import ActivationStats
from fastai.callback.mixup import CutMix, MixUp
from fastai.callback.training import (
    BnFreeze,
    GradientAccumulation,
    GradientClip,
    ShortEpochCallback,
)
from fastai.data.block import CategoryBlock, DataBlock
from fastai.data.transforms import ColReader, ColSplitter
from fastai.learner import Callback, Learner
from fastai.optimizer import OptimWrapper, ranger
from fastai.tabular.core import Categorify, FillMissing, Normalize
from fastai.tabular.data import TabularDataLoaders
from fastai.tabular.learner import tabular_learner
from fastai.text.core import BaseTokenizer
from fastai.text.data import TextBlock
from fastai.text.learner import text_classifier_learner
from fastai.text.models.awdlstm import AWD_LSTM, awd_lstm_clas_config
from fastai.vision.augment import aug_transforms
from fastai.vision.core import PILImage
from fastai.vision.data import ImageBlock
from fastai.vision.learner import vision_learner
from torch import nn
from torchvision.models import resnet18  # type: ignore[import-untyped]

from lrwidget import LRWidget
from tests.engine.training_parts import state
from tests.integrations.fastai_parts import learner_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

pytestmark = pytest.mark.filterwarnings(
    # fastai and what it imports, when it trains
    "ignore:.*:DeprecationWarning",
    "ignore:.*:FutureWarning",
    "ignore:.*:UserWarning",
)
_STEPS = 20


class _Rates(Callback):  # type: ignore[misc]  # untyped base
    """
    Sets the rate of each optimizer step, and records its mean loss.

    It leaves out validation, as a test does, which would draw random numbers.
    """

    order = -100

    def __init__(self, lrs: Sequence[float]) -> None:
        self.lrs, self.done = lrs, False
        self.losses: list[float] = []
        self.window: list[float] = []

    def before_fit(self) -> None:
        last = self.opt.hypers[-1]["lr"]
        self.ratios = [hypers["lr"] / last for hypers in self.opt.hypers]

    def before_batch(self) -> None:
        self.done = False
        lr = self.lrs[len(self.losses)]
        self.opt.set_hyper("lr", [lr * ratio for ratio in self.ratios])

    def after_step(self) -> None:
        self.done = True

    def after_batch(self) -> None:
        self.window.append(self.loss.item())
        if self.done:
            self.losses.append(sum(self.window) / len(self.window))
            self.window = []
        if len(self.losses) == len(self.lrs):
            raise CancelFitException

    def before_validate(self) -> None:
        raise CancelValidException


def _attributes(learner: Any) -> list[dict[str, Any]]:
    return [dict(vars(value)) for value in (learner, learner.dls, *learner.cbs)]


def _check_exact(learner: Any, **options: Any) -> None:
    """Compare a test with fastai's fit, and check that it changes nothing."""
    before = state(learner.model), _attributes(learner)
    options = {"start_lr": 1e-4, "end_lr": 1e-1, "stop_div": False, **options}
    widget = LRWidget.from_learner(learner, num_it=_STEPS, **options)
    widget.run()
    curve = widget.wait()
    widget.close()
    assert state(learner.model) == before[0]
    assert _attributes(learner) == before[1]
    assert len(curve) == _STEPS
    rates = _Rates(curve.lrs.tolist())
    with learner.no_bar(), learner.no_logging():
        learner.fit(_STEPS, learner.lr, cbs=rates)
    np.testing.assert_allclose(curve.losses, rates.losses, rtol=0, atol=1e-6)


def _vision(*, freeze: bool = False) -> Any:
    torch.manual_seed(2)
    random.seed(2)
    np.random.seed(2)  # noqa: NPY002 (the one that fastai uses)
    images = np.random.randint(0, 255, (40, 32, 32, 3), dtype=np.uint8)  # noqa: NPY002 (as above)
    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        get_x=lambda i: PILImage.create(images[i]),
        get_y=lambda i: i % 3,
        batch_tfms=aug_transforms(),
    )
    # 4 batches of an epoch
    dls = block.dataloaders(list(range(40)), bs=8, num_workers=0, device="cpu")
    learner = vision_learner(dls, resnet18, pretrained=False, n_out=3)
    if freeze:
        learner.freeze()
    return learner


def _text() -> Any:
    torch.manual_seed(3)
    random.seed(3)
    words = [
        "a",
        "range",
        "test",
        "trains",
        "while",
        "the",
        "learning",
        "rate",
        "grows",
    ]
    rows = [
        {
            "text": " ".join(words[number % 7 :][: 2 + number % 5] * (1 + number % 4)),
            "label": number % 2,
            "is_valid": number % 10 == 0,
        }
        for number in range(200)
    ]
    block = DataBlock(
        blocks=(
            TextBlock.from_df("text", tok=BaseTokenizer(), n_workers=1, seq_len=10),
            CategoryBlock,
        ),
        get_x=ColReader("text"),
        get_y=ColReader("label"),
        splitter=ColSplitter(),
    )
    dls = block.dataloaders(pd.DataFrame(rows), bs=8, seq_len=10, device="cpu")
    config = {**awd_lstm_clas_config, "emb_sz": 12, "n_hid": 16, "n_layers": 2}
    return text_classifier_learner(
        dls, AWD_LSTM, pretrained=False, config=config, seq_len=10, alpha=2.0, beta=1.0
    )


def _tabular() -> Any:
    torch.manual_seed(4)
    random.seed(4)
    frame = pd.DataFrame(
        {
            "color": ["red", "blue", "green", "blue"] * 75,
            "size": [random.gauss(0, 1) for _ in range(300)],
            "label": ["yes", "no", "yes"] * 100,
        }
    )
    dls = TabularDataLoaders.from_df(
        frame,
        procs=[Categorify, FillMissing, Normalize],
        cat_names=["color"],
        cont_names=["size"],
        y_names="label",
        bs=16,
        device="cpu",
    )
    return tabular_learner(dls, layers=[20, 10])


@pytest.mark.parametrize(
    ("make", "isolation"),
    [
        (_vision, "copy"),
        pytest.param(_vision, "restore", marks=pytest.mark.exhaustive),
        (_text, "auto"),  # torch cannot copy the weights of an AWD_LSTM
        pytest.param(_text, "restore", marks=pytest.mark.exhaustive),
        (_tabular, "copy"),
        (_tabular, "restore"),
    ],
)
def test_fastais_own_learners(make: Callable[[], Any], isolation: Any) -> None:
    _check_exact(make(), isolation=isolation)


def test_a_frozen_body_is_in_training_mode() -> None:
    learner = _vision(freeze=True)
    learner.model.eval()
    _check_exact(learner)


@pytest.mark.parametrize(
    "make", [pytest.param(_vision, marks=pytest.mark.slow), _text, _tabular]
)
def test_after_an_earlier_training(make: Callable[[], Any]) -> None:
    learner = make()
    with learner.no_bar(), learner.no_logging():
        learner.fit(1)
    _check_exact(learner, isolation="restore" if make is _text else "copy")


def _torchs(parameters: Any, **options: Any) -> Any:
    return OptimWrapper(parameters, torch.optim.AdamW, **options)


@pytest.mark.parametrize("opt_func", [_torchs, ranger])
def test_optimizers(opt_func: Any) -> None:
    learner = learner_of(opt_func, wd=0.1)
    learner.create_opt()
    _check_exact(learner)


def test_discriminative_rates() -> None:
    learner = learner_of(
        splitter=lambda model: [[*model[0].parameters()], [*model[2].parameters()]],
        lr=[0.001, 0.01],
    )
    _check_exact(learner)


class _AtEachEvent(Callback):  # type: ignore[misc]  # untyped base
    """Acts between the events of fastai, and counts all of them."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int, int, int, float]] = []
        self.layer: Any = None

    def _see(self, event: str) -> None:
        learn = self.learn
        position = learn.epoch, learn.iter, learn.train_iter, learn.pct_train
        self.seen.append((event, *position))

    def before_train(self) -> None:
        self.layer = self.model[2]

    def before_batch(self) -> None:
        self._see("before_batch")
        self.learn.xb = tuple(2 * x for x in self.xb)

    def after_pred(self) -> None:
        self._see("after_pred")
        self.learn.pred = self.pred / 2

    def after_loss(self) -> None:
        self._see("after_loss")
        self.learn.loss_grad = 3 * self.loss_grad

    def before_backward(self) -> None:
        self._see("before_backward")
        self.learn.loss_grad = self.loss_grad + self.layer.weight.square().sum()
        if self.train_iter % 5 == 3:
            raise CancelBackwardException

    def after_cancel_backward(self) -> None:
        self._see("after_cancel_backward")

    def before_step(self) -> None:
        self._see("before_step")
        self.layer.bias.grad.mul_(0.5)
        if self.train_iter % 5 == 4:
            self.seen.clear()

    def after_step(self) -> None:
        self._see("after_step")
        with torch.no_grad():
            self.layer.weight.clamp_(-0.3, 0.3)

    def after_batch(self) -> None:
        self._see("after_batch")
        with torch.no_grad():
            self.layer.bias.add_(0.01 * len(self.seen))

    def after_train(self) -> None:
        with torch.no_grad():
            self.layer.weight.mul_(1.1)


@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_callbacks_at_each_event(isolation: Any) -> None:
    learner = learner_of(cbs=_AtEachEvent())
    _check_exact(learner, isolation=isolation)


@pytest.mark.parametrize(
    "callback",
    [
        GradientClip(0.1),
        GradientAccumulation(64),
        GradientAccumulation(40),  # 3 batches, so that a step is of two epochs
        [GradientAccumulation(32), GradientClip(0.1)],
        MixedPrecision(),
        MixedPrecision(amp_mode="bf16"),
        BnFreeze(),
        ActivationStats(with_hist=True),
        ShortEpochCallback(0.5),
    ],
    ids=str,
)
def test_callbacks_of_fastai(callback: Any) -> None:
    learner = learner_of(cbs=copy.deepcopy(callback))
    _check_exact(learner)


@pytest.mark.slow
@pytest.mark.parametrize(
    "callback", [MixUp, pytest.param(CutMix, marks=pytest.mark.exhaustive)]
)
def test_mixed_images(callback: Any) -> None:
    learner = _vision()
    learner.add_cb(callback())
    _check_exact(learner)


def test_a_step_that_a_callback_skips_is_taken_again() -> None:
    class Skipping(Callback):  # type: ignore[misc]  # untyped base
        run_valid = False

        def before_step(self) -> None:
            if self.train_iter % 3 == 1:
                raise CancelStepException

    seen = []

    class Seeing(Callback):  # type: ignore[misc]  # untyped base
        def after_batch(self) -> None:
            seen.append((self.opt.hypers[-1]["lr"], self.loss.item()))

    learner = learner_of(cbs=[Skipping(), Seeing()])
    with closing(LRWidget.from_learner(learner, num_it=8)) as widget:
        widget.run()
        curve = widget.wait()
    taken = [point for number, point in enumerate(seen) if number % 3 != 1]
    assert list(zip(curve.lrs, curve.losses, strict=True)) == taken


def test_a_learner_with_its_own_program() -> None:
    class Own(Learner):  # type: ignore[misc]  # untyped base
        def _do_one_batch(self) -> None:
            super()._do_one_batch()
            self.seen.append(self.iter)

        def _step(self) -> None:
            self.opt.step()
            with torch.no_grad():
                self.model[2].bias.add_(0.01)

    learner = learner_of()
    learner.__class__ = Own
    learner.seen = []
    _check_exact(learner)


def test_a_loss_that_holds_the_model() -> None:
    class Penalized(nn.Module):
        def __init__(self, layer: nn.Linear) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, outputs: Any, target: Any) -> Any:
            penalty = self.layer.weight.square().sum()
            return nn.functional.cross_entropy(outputs, target) + penalty

    learner = learner_of()
    learner.loss_func = Penalized(learner.model[2])
    _check_exact(learner, isolation="copy")


def test_a_callback_that_holds_models() -> None:
    class Teaching(Callback):  # type: ignore[misc]  # untyped base
        def __init__(self, teacher: nn.Module) -> None:
            self.teacher = teacher

        def before_fit(self) -> None:
            self.first = copy.deepcopy(self.model)

        def after_pred(self) -> None:
            with torch.no_grad():
                taught = self.teacher(*self.xb) + self.first(*self.xb)
            self.learn.pred = self.pred + taught

        def after_step(self) -> None:
            with torch.no_grad():
                for parameter in self.teacher.parameters():
                    parameter.lerp_(self.model[0].weight.sum(), 0.01)

    for isolation in ("copy", "restore"):
        teacher = nn.Linear(8, 3)
        learner = learner_of(cbs=Teaching(teacher))
        before = state(teacher)["objects"]
        with closing(
            LRWidget.from_learner(learner, num_it=3, isolation=isolation)
        ) as widget:
            widget.run()
            widget.wait()
        assert state(teacher)["objects"] == before
        _check_exact(learner, isolation=isolation)


def test_containers_of_a_learner() -> None:
    class Keeping(Callback):  # type: ignore[misc]  # untyped base
        def before_fit(self) -> None:
            self.learn.history = {"losses": []}

        def after_batch(self) -> None:
            self.history["losses"].append(self.loss.item())
            self.learn.kept["iter"] = self.iter

    learner = learner_of(cbs=Keeping())
    learner.history, learner.kept = {"losses": [1.0]}, {"iter": None}
    before = state(learner.history, learner.kept)
    for isolation in ("copy", "restore"):
        with closing(
            LRWidget.from_learner(learner, num_it=3, isolation=isolation)
        ) as widget:
            widget.run()
            widget.wait()
    assert state(learner.history, learner.kept) == before
    _check_exact(learner)
