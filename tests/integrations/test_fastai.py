from __future__ import annotations

import random
from contextlib import closing
from typing import TYPE_CHECKING, Any

import fastai.callback.schedule  # noqa: F401 (it adds lr_find to the learner)
import numpy as np
import pytest
import torch
from fastai.callback.core import CancelBatchException
from fastai.callback.mixup import MixUp
from fastai.callback.progress import CSVLogger
from fastai.callback.training import GradientAccumulation, GradientClip
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Callback, Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.optimizer import SGD, Adam, OptimWrapper
from torch import nn

from lrwidget import LRWidget, range_test
from tests.engine.training_parts import data, state
from tests.widget_parts import display_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings(
    # fastai and what it imports, when it trains
    "ignore:.*:DeprecationWarning",
    "ignore:.*:FutureWarning",
)
_LOSS = nn.CrossEntropyLoss()


def _learner(opt_func: Any = Adam, **options: Any) -> Any:
    random.seed(1)  # from which fastai's loaders draw
    torch.manual_seed(1)
    loaders = [DataLoader(data(), bs=16, shuffle=shuffle) for shuffle in (True, False)]
    model = nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.Linear(6, 3))
    return Learner(
        *(DataLoaders(*loaders), model, _LOSS),
        opt_func=opt_func,
        **{"train_bn": True, **options},
    )


def _curve(learner: Any, **options: Any) -> Any:
    with closing(LRWidget.from_learner(learner, num_it=20, **options)) as widget:
        widget.run()
        return widget.wait()


def _torchs(parameters: Any, **options: Any) -> Any:
    return OptimWrapper(parameters, torch.optim.SGD, **options)


@pytest.mark.parametrize("isolation", ["copy", "restore"])
@pytest.mark.parametrize("opt_func", [SGD, _torchs])
def test_the_curve_is_that_of_torchs_optimizer(opt_func: Any, isolation: Any) -> None:
    learner = _learner(opt_func, wd=0.0)
    curve = _curve(learner, isolation=isolation)
    optimizer = torch.optim.SGD(learner.model.parameters(), lr=0.1)
    expected = range_test(learner.model, optimizer, learner.dls.train, _LOSS, num_it=20)
    np.testing.assert_allclose(curve.losses, expected.losses, rtol=1e-5)
    np.testing.assert_array_equal(curve.lrs, expected.lrs)


@pytest.mark.parametrize("isolation", ["copy", "restore"])
@pytest.mark.parametrize("opt_func", [Adam, _torchs])
def test_the_learner_stays_as_it_is(opt_func: Any, isolation: Any) -> None:
    learner = _learner(opt_func)
    with learner.no_bar(), learner.no_logging():
        learner.fit(1)
    rng = learner.dls.train.rng
    hypers = [dict(hypers) for hypers in learner.opt.hypers]
    states = {id(p): learner.opt.state[p] for p in learner.model.parameters()}
    before = state(learner.model, states), dict(vars(learner)), rng.getstate()
    curve = _curve(learner, isolation=isolation)
    assert state(learner.model, states) == before[0]
    assert vars(learner) == before[1]
    assert learner.dls.train.rng is rng
    assert rng.getstate() == before[2]
    assert [dict(hypers) for hypers in learner.opt.hypers] == hypers
    assert _curve(learner, isolation=isolation).to_dict() == curve.to_dict()


def test_training_goes_on_as_if_there_had_been_no_test() -> None:
    def weights(*, tested: bool) -> list[torch.Tensor]:
        learner = _learner()
        for _ in range(2):
            if tested:
                _curve(learner)
            with learner.no_bar(), learner.no_logging():
                learner.fit_one_cycle(1)
        return [value.clone() for value in learner.model.state_dict().values()]

    for tested, bare in zip(weights(tested=True), weights(tested=False), strict=True):
        assert torch.equal(tested, bare)


def test_a_seed_is_that_of_fastais_loaders() -> None:
    learner = _learner()
    first = _curve(learner, seed=5).losses.tolist()
    list(learner.dls.train)
    assert _curve(learner, seed=5).losses.tolist() == first
    assert _curve(learner, seed=6).losses.tolist() != first


def test_as_fastais_own_finder() -> None:
    learner = _learner()
    curve = _curve(learner)
    with learner.no_bar(), learner.no_logging():
        learner.lr_find(num_it=20, show_plot=False, stop_div=False)
    # Its rates stop one short of the end, so that only the first losses are alike.
    assert curve.losses[0] == pytest.approx(float(learner.recorder.losses[0]), rel=1e-5)


def test_callbacks_take_part_up_to_the_loss() -> None:
    class Doubling(Callback):  # type: ignore[misc]  # untyped base
        def before_batch(self) -> None:
            self.learn.xb = tuple(2 * x for x in self.xb)

        def after_loss(self) -> None:
            self.learn.loss_grad = 3 * self.loss_grad

    learner = _learner(SGD, wd=0.0)
    plain = _curve(learner, training_step=_tripled)
    learner.add_cb(Doubling())
    before = dict(vars(learner))
    np.testing.assert_array_equal(_curve(learner).losses, plain.losses)
    assert vars(learner) == before
    assert learner.doubling.learn is learner


def test_events_that_a_callback_is_made_of() -> None:
    seen: list[Any] = []

    def before_batch(self: Any) -> None:
        seen.append(self.learn)

    learner = _learner(cbs=Callback(before_batch=before_batch))
    _curve(learner)
    assert len(seen) == 20
    assert learner not in seen
    with pytest.raises(ValueError, match=r"Callback acts at \['before_step'\]"):
        LRWidget.from_learner(_learner(cbs=Callback(before_step=before_batch)))


@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_what_callbacks_keep_stays(isolation: Any) -> None:
    class Keeping(Callback):  # type: ignore[misc]  # untyped base
        def __init__(self) -> None:
            self.kept: list[int] = []

        def before_batch(self) -> None:
            self.kept.append(self.iter)

    callback = Keeping()
    learner = _learner(cbs=callback)
    first = _curve(learner, isolation=isolation)
    assert callback.kept == []
    assert _curve(learner, isolation=isolation).to_dict() == first.to_dict()


def test_what_logs_does_not(tmp_path: Path) -> None:
    history = tmp_path / "history.csv"
    history.write_text("of another training")
    _curve(_learner(cbs=CSVLogger(history)))
    assert history.read_text() == "of another training"


def test_a_callback_that_skips_batches() -> None:
    class Skipping(Callback):  # type: ignore[misc]  # untyped base
        def before_batch(self) -> None:
            if self.train_iter % 2:
                raise CancelBatchException

    assert len(_curve(_learner(cbs=Skipping()))) == 20


def _tripled(model: nn.Module, batch: Any) -> torch.Tensor:
    loss: torch.Tensor = 3 * _LOSS(model(2 * batch[0]), batch[1])
    return loss


def test_mixup() -> None:
    learner = _learner(cbs=MixUp())
    learner.loss_func = CrossEntropyLossFlat()  # which can do without its mean
    loss_func = learner.loss_func
    assert np.isfinite(_curve(learner).losses).all()
    assert learner.loss_func is loss_func
    assert not hasattr(learner, "pct_train")


@pytest.mark.parametrize("callback", [GradientClip(), GradientAccumulation()])
def test_callbacks_between_loss_and_step_are_refused(callback: Any) -> None:
    name = type(callback).__name__
    with pytest.raises(ValueError, match=f"callback {name} acts at .*clip_grad_norm"):
        LRWidget.from_learner(_learner(cbs=callback))


def test_apply_writes_to_the_learners_rate() -> None:
    learner = _learner()
    with closing(LRWidget.from_learner(learner, value=0.02)) as widget:
        bar = display_of(widget).apply_bar
        bar.button.click()
        assert bar.said.value == "Wrote 2e-2 to learner.lr."
    with learner.no_bar(), learner.no_logging():
        learner.fit(1)
    assert learner.opt.hypers[-1]["lr"] == 0.02


def test_parameter_groups_keep_their_ratios() -> None:
    learner = _learner(splitter=lambda m: [[*m[0].parameters()], [*m[2].parameters()]])
    learner.create_opt()
    learner.opt.set_hyper("lr", [0.01, 0.1])
    with closing(LRWidget.from_learner(learner, value=0.02)) as widget:
        assert widget.values == pytest.approx([0.002, 0.02])
        _curve(learner)
        assert [hypers["lr"] for hypers in learner.opt.hypers] == [0.01, 0.1]
        widget.apply()
    with learner.no_bar(), learner.no_logging():
        learner.fit(1)
    assert [hypers["lr"] for hypers in learner.opt.hypers] == [0.002, 0.02]


def test_what_is_no_learner() -> None:
    with pytest.raises(TypeError, match="learner=<Linear> must be a Learner"):
        LRWidget.from_learner(nn.Linear(2, 2))
