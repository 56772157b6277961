from __future__ import annotations

from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Any

import fastai.callback.schedule  # noqa: F401 (it adds fit_one_cycle to the learner)
import numpy as np
import pytest
import torch
from fastai.callback.core import CancelBatchException, CancelFitException
from fastai.callback.fp16 import NonNativeMixedPrecision
from fastai.callback.mixup import MixUp
from fastai.callback.progress import CSVLogger
from fastai.callback.tracker import SaveModelCallback
from fastai.callback.training import GradientAccumulation, GradientClip
from fastai.distributed import DistributedTrainer
from fastai.learner import Callback, Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.optimizer import SGD, Adam, OptimWrapper, ranger
from torch import nn

from lrwidget import LRWidget, RangeTest, range_test, verify
from lrwidget.curve.history import Validated
from lrwidget.curve.race_history import race_plans
from lrwidget.engine.race import race_runs, run_in_turn
from lrwidget.integrations.fastai import parts_of
from tests.engine.training_parts import state
from tests.integrations.fastai_parts import learner_of
from tests.widget_parts import display_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings(
    # fastai and what it imports, when it trains
    "ignore:.*:DeprecationWarning",
    "ignore:.*:FutureWarning",
)
_LOSS = nn.CrossEntropyLoss()


def _curve(learner: Any, **options: Any) -> Any:
    with closing(LRWidget.from_learner(learner, num_it=20, **options)) as widget:
        widget.run()
        return widget.wait()


def _torchs(parameters: Any, **options: Any) -> Any:
    return OptimWrapper(parameters, torch.optim.SGD, **options)


@pytest.mark.parametrize("isolation", ["copy", "restore"])
@pytest.mark.parametrize("opt_func", [Adam, _torchs])
def test_the_learner_stays_as_it_is(opt_func: Any, isolation: Any) -> None:
    learner = learner_of(opt_func)
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
        learner = learner_of()
        for _ in range(2):
            if tested:
                _curve(learner)
            with learner.no_bar(), learner.no_logging():
                learner.fit_one_cycle(1)
        return [value.clone() for value in learner.model.state_dict().values()]

    for tested, bare in zip(weights(tested=True), weights(tested=False), strict=True):
        assert torch.equal(tested, bare)


def test_a_seed_is_that_of_fastais_loaders() -> None:
    learner = learner_of()
    first = _curve(learner, seed=5).losses.tolist()
    list(learner.dls.train)
    assert _curve(learner, seed=5).losses.tolist() == first
    assert _curve(learner, seed=6).losses.tolist() != first


def test_callbacks_take_part() -> None:
    class Doubling(Callback):  # type: ignore[misc]  # untyped base
        def before_batch(self) -> None:
            self.learn.xb = tuple(2 * x for x in self.xb)

        def after_loss(self) -> None:
            self.learn.loss_grad = 3 * self.loss_grad

    learner = learner_of(SGD, wd=0.0)
    plain = _curve(learner, training_step=_tripled)
    learner.add_cb(Doubling())
    before = dict(vars(learner))
    # fastai shows the loss before the callbacks change it.
    np.testing.assert_allclose(3 * _curve(learner).losses, plain.losses, rtol=1e-6)
    assert vars(learner) == before
    assert learner.doubling.learn is learner


def test_events_that_a_callback_is_made_of() -> None:
    seen: list[Any] = []

    def before_batch(self: Any) -> None:
        seen.append(self.learn)

    learner = learner_of(cbs=Callback(before_batch=before_batch))
    _curve(learner)
    assert len(seen) == 20
    assert learner not in seen


@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_the_state_of_callbacks_is_unchanged(isolation: Any) -> None:
    class Keeping(Callback):  # type: ignore[misc]  # untyped base
        def __init__(self) -> None:
            self.kept: list[int] = []

        def before_batch(self) -> None:
            self.kept.append(self.iter)

    callback = Keeping()
    learner = learner_of(cbs=callback)
    first = _curve(learner, isolation=isolation)
    assert callback.kept == []
    assert _curve(learner, isolation=isolation).to_dict() == first.to_dict()


def test_callbacks_that_log_are_not_called(tmp_path: Path) -> None:
    history = tmp_path / "history.csv"
    history.write_text("of another training")
    _curve(learner_of(cbs=CSVLogger(history)))
    assert history.read_text() == "of another training"


def test_a_callback_that_skips_batches() -> None:
    class Skipping(Callback):  # type: ignore[misc]  # untyped base
        def before_batch(self) -> None:
            if self.train_iter % 2:
                raise CancelBatchException

    assert len(_curve(learner_of(cbs=Skipping()))) == 20


def _tripled(model: nn.Module, batch: Any) -> torch.Tensor:
    loss: torch.Tensor = 3 * _LOSS(model(2 * batch[0]), batch[1])
    return loss


def test_mixup() -> None:
    learner = learner_of(cbs=MixUp())
    learner.loss_func = CrossEntropyLossFlat()  # which can do without its mean
    loss_func = learner.loss_func
    assert np.isfinite(_curve(learner).losses).all()
    assert learner.loss_func is loss_func
    assert not hasattr(learner, "pct_train")


class _Named(Callback):  # type: ignore[misc]  # untyped base
    def after_batch(self) -> None:
        _named[0].model(self.xb[0])


_named: list[Any] = []


def test_callbacks_that_are_refused() -> None:
    learner = learner_of()

    def after_step(self: Any) -> None:  # noqa: ARG001 (fastai passes it)
        learner.model[0].weight.data.mul_(0.9)

    learner.add_cb(Callback(after_step=after_step))
    with pytest.raises(ValueError, match="Callback uses the learner by its name at af"):
        LRWidget.from_learner(learner)
    for_all = learner_of(cbs=_Named())
    _named[:] = [for_all]
    with pytest.raises(ValueError, match="_Named uses the learner by its name at afte"):
        LRWidget.from_learner(for_all)
    for kind, hint in (
        (NonNativeMixedPrecision, "to_fp16"),
        (DistributedTrainer, "wrap the learner's model"),
    ):
        refused = learner_of(cbs=kind())
        with pytest.raises(ValueError, match=f"callback {kind.__name__} .*{hint}"):
            LRWidget.from_learner(refused)


def test_a_callback_that_cannot_be_copied(tmp_path: Path) -> None:
    class Logging(Callback):  # type: ignore[misc]  # untyped base
        def after_batch(self) -> None:
            self.file.write(f"{self.loss}\n")

    path = tmp_path / "losses.txt"
    with path.open("w") as file:
        callback = Logging()
        callback.file = file
        learner = learner_of(cbs=callback)
        before = state(learner.model), dict(vars(learner))
        with pytest.raises(ValueError, match=r"Logging cannot be copied: .*remove it"):
            _curve(learner)
    assert path.read_text() == ""
    assert (state(learner.model), vars(learner)) == before


def test_a_callback_that_sets_the_rate() -> None:
    class Warming(Callback):  # type: ignore[misc]  # untyped base
        def before_batch(self) -> None:
            self.opt.set_hyper("lr", 0.1 * self.pct_train)

    with pytest.raises(
        ValueError, match=r"set the learning rate to \[0.0\], but the t"
    ):
        _curve(learner_of(cbs=Warming()))


def test_a_callback_that_ends_the_training() -> None:
    class Ending(Callback):  # type: ignore[misc]  # untyped base
        def after_batch(self) -> None:
            if self.train_iter == 5:
                raise CancelFitException

    with closing(LRWidget.from_learner(learner_of(cbs=Ending()))) as widget:
        widget.run()
        with pytest.raises(RuntimeError, match="callback of the learner ended"):
            widget.wait()
        assert len(widget.curve) == 4


def test_notices_of_callbacks() -> None:
    class Own(Callback):  # type: ignore[misc]  # untyped base
        def after_epoch(self) -> None: ...
        def after_batch(self) -> None: ...

    learner = learner_of(cbs=[CSVLogger(), SaveModelCallback(), GradientClip(), Own()])
    step = parts_of(learner).settings["training_step"]
    assert list(step.notices) == [
        "The learner's callback CSVLogger is left out: it shows or stores results.",
        "The learner's callback SaveModelCallback is left out: it needs a validation.",
        "The learner's callback Own is not called at after_epoch.",
    ]
    assert not parts_of(learner_of()).settings["training_step"].notices


def test_methods_of_a_subclass() -> None:
    class Own(Learner):  # type: ignore[misc]  # untyped base
        def _do_one_batch(self) -> None:
            self.pred = self.model(*self.xb)
            self.loss_grad = self.loss_func(self.pred, *self.yb)
            self.loss = self.loss_grad.clone()
            self.loss_grad.backward()
            self.opt.step()
            self.opt.zero_grad()

    class Fitting(Learner):  # type: ignore[misc]  # untyped base
        def _do_one_batch(self) -> None:
            super()._do_one_batch()

        def fit(self, *args: Any, **kwargs: Any) -> None:
            super().fit(*args, **kwargs)

    usual = learner_of()
    parts = usual.dls, usual.model, usual.loss_func
    with pytest.raises(ValueError, match=r"Own\._do_one_batch computes a loss without"):
        range_test.from_learner(Own(*parts), num_it=5)
    test = RangeTest.from_learner(Fitting(*parts), num_it=5)
    assert len(list(test)) == 5
    assert test.notices == ("Fitting.fit is not called.",)


def test_options_beside_the_callbacks() -> None:
    clipped = _curve(learner_of(cbs=GradientClip(0.1)))
    option = _curve(learner_of(), clip_grad_norm=0.1)
    np.testing.assert_array_equal(option.losses, clipped.losses)
    accumulated = _curve(learner_of(cbs=GradientAccumulation(32)))
    option = _curve(learner_of(), accumulate=2)
    np.testing.assert_allclose(option.losses, accumulated.losses, rtol=1e-5)
    scaled = _curve(learner_of(), grad_scaler=torch.amp.GradScaler("cpu"))
    np.testing.assert_allclose(scaled.losses, _curve(learner_of()).losses, rtol=1e-4)
    half = _curve(learner_of(), autocast=torch.bfloat16).losses
    np.testing.assert_allclose(half[:15], scaled.losses[:15], rtol=0.02)
    assert not np.array_equal(half, scaled.losses)


def test_a_scaler_that_skips_a_step() -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**120)
    curve = _curve(learner_of(), grad_scaler=scaler)
    assert len(curve) == 20
    assert np.isfinite(curve.losses).all()


def test_validation_is_that_of_the_learner() -> None:
    class Doubling(Callback):  # type: ignore[misc]  # untyped base
        run_valid = False

        def before_batch(self) -> None:
            self.learn.xb = tuple(2 * x for x in self.xb)

    learner = learner_of(SGD, wd=0.0, cbs=Doubling())
    batches = len(learner.dls.train)
    rates = {"start_lr": 1e-30, "end_lr": 2e-30, "num_it": batches}
    with closing(
        LRWidget.from_learner(learner, val_loader=learner.dls.valid, **rates)
    ) as widget:
        widget.run()
        losses = widget.wait().losses
    with learner.no_bar(), learner.no_logging():
        learner.fit(1, 1e-30)
    assert losses[-1] == pytest.approx(learner.recorder.values[-1][1], abs=1e-6)


def test_a_verification_has_the_validation_loss_of_the_learner() -> None:
    learner = learner_of()
    before = state(learner.model), dict(vars(learner))
    found = verify.from_learner(learner, num_it=20, val_loader=learner.dls.valid)
    assert (state(learner.model), vars(learner)) == before
    assert found.total_steps is None
    assert len(found.lanes[0].val_losses) == len(learner.dls.valid)
    test = RangeTest.from_learner(learner, val_loader=learner.dls.valid)
    plans = race_plans([0.1], 5)
    with closing(run_in_turn(race_runs(test, plans, at_ends=True), plans)) as events:
        _, start = islice(events, 2)
    assert isinstance(start, Validated)
    with learner.no_bar(), learner.no_logging():
        assert start.loss == pytest.approx(learner.validate()[0])


def test_a_race_trains_in_the_same_way() -> None:
    learner = learner_of(cbs=GradientAccumulation(32))
    before = state(learner.model), dict(vars(learner))
    with closing(LRWidget.from_learner(learner)) as widget:
        widget.race([0.001, 0.1], steps=6)
        widget.wait()
    assert (state(learner.model), vars(learner)) == before


def test_apply_writes_to_the_learners_rate() -> None:
    learner = learner_of()
    with closing(LRWidget.from_learner(learner, value=0.02)) as widget:
        display, before = display_of(widget), learner.lr
        display.answer.apply.click()
        said = "Applied: learner.lr is now 2.0e-2."
        assert display.next_bar.said.value == said
        widget.undo()
        assert learner.lr == before
        display.answer.apply.click()
    with learner.no_bar(), learner.no_logging():
        learner.fit(1)
    assert learner.opt.hypers[-1]["lr"] == 0.02


def test_parameter_groups_keep_their_ratios() -> None:
    learner = learner_of(
        splitter=lambda m: [[*m[0].parameters()], [*m[2].parameters()]]
    )
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


@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_the_slow_weights_of_an_optimizer_stay(isolation: Any) -> None:
    learner = learner_of(ranger)
    with learner.no_bar(), learner.no_logging():
        learner.fit(2)
    slow_weights = [weight for group in learner.opt.slow_weights for weight in group]
    before = state(*slow_weights)
    _curve(learner, isolation=isolation)
    assert state(*slow_weights) == before


def test_an_optimizer_that_was_made_before_stays() -> None:
    learner = learner_of()
    own = torch.optim.SGD(learner.model.parameters(), lr=0.1, momentum=0.9)
    learner.opt_func = OptimWrapper(opt=own)
    learner.model(torch.ones(4, 8)).sum().backward()
    own.step()
    before = state(learner.model, own)
    assert len(_curve(learner)) == 20
    assert state(learner.model, own) == before


def test_bad_learners() -> None:
    with pytest.raises(TypeError, match="learner=<Linear> must be a Learner"):
        LRWidget.from_learner(nn.Linear(2, 2))
