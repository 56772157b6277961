from __future__ import annotations

import inspect
import math
from multiprocessing import active_children
from threading import Thread
from threading import enumerate as enumerate_threads
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from lrwidget.config import Settings
from lrwidget.curve.lr_curve import LRCurve, Step
from lrwidget.engine.range_test import RangeTest, range_test
from tests.engine.training_parts import Net, data, loader, state, warm

if TYPE_CHECKING:
    from pathlib import Path

_LOSS = nn.CrossEntropyLoss()


def _parts() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Linear(8, 3)
    return model, SGD(model.parameters(), lr=0.1)


def _scripted(losses: list[float]) -> Any:
    """Return a training step whose losses are these, one after the other."""
    script = iter(losses)

    def training_step(model: nn.Module, _batch: Any) -> torch.Tensor:
        weight = next(iter(model.parameters()))
        return 0 * weight.sum() + next(script)

    return training_step


def _run(losses: list[float], **settings: Any) -> LRCurve:
    model, optimizer = _parts()
    settings = {"num_it": 100, **settings}
    return range_test(
        model, optimizer, [None], training_step=_scripted(losses), **settings
    )


def test_the_defaults_are_fastais() -> None:
    test = RangeTest(*_parts(), loader(), _LOSS)
    assert (test.start_lr, test.end_lr, test.num_it) == (1e-7, 10, 100)


def test_the_curve_is_that_of_the_loop_by_hand() -> None:
    inputs, targets = data(32).tensors
    model = nn.Linear(8, 3)
    by_hand = nn.Linear(8, 3)
    by_hand.load_state_dict(model.state_dict())
    curve = range_test(
        model, Adam(model.parameters()), [(inputs, targets)], _LOSS, num_it=20
    )
    optimizer = Adam(by_hand.parameters())
    for lr, loss in zip(np.geomspace(1e-7, 10, 20), curve.losses, strict=True):
        optimizer.param_groups[0]["lr"] = float(lr)
        optimizer.zero_grad()
        expected = _LOSS(by_hand(inputs), targets)
        expected.backward()
        optimizer.step()
        assert loss == expected.item()


@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_the_rate_recorded_is_the_rate_used(isolation: Any) -> None:
    used: list[list[float]] = []

    class Watched(SGD):
        def step(self, closure: Any = None) -> Any:
            used.append([float(group["lr"]) for group in self.param_groups])
            return super().step(closure)

    model = Net()
    groups = [
        {"params": model.features.parameters(), "lr": 0.01},
        {"params": model.head.parameters(), "lr": 0.1},
    ]
    test = RangeTest(
        model, Watched(groups), loader(), _LOSS, num_it=12, isolation=isolation
    )
    steps = list(test)
    assert [step.lr for step in steps] == [rates[-1] for rates in used]
    assert [rates[0] for rates in used] == pytest.approx([s.lr / 10 for s in steps])
    np.testing.assert_array_equal(test.curve.lrs, [step.lr for step in steps])
    assert (steps[0].lr, steps[-1].lr) == (1e-7, 10)


def test_linear_steps() -> None:
    curve = _run([1.0] * 5, start_lr=0.1, end_lr=0.5, num_it=5, step_mode="linear")
    np.testing.assert_allclose(curve.lrs, [0.1, 0.2, 0.3, 0.4, 0.5])


def test_iterating_gives_the_steps_as_they_come() -> None:
    test = RangeTest(*_parts(), loader(), _LOSS, num_it=5)
    assert len(test.curve) == 0
    for iteration, step in enumerate(test):
        assert isinstance(step, Step)
        assert step == Step(iteration, test.curve.lrs[-1], test.curve.losses[-1])
        assert len(test.curve) == iteration + 1
        assert test.curve.stop_reason is None
    assert test.curve.stop_reason == "completed"


def test_stops_where_the_fit_is_above_the_start() -> None:
    losses = [2.3] * 50 + [0.5] * 20 + [2.7] * 30
    curve = _run(losses)
    assert curve.stop_reason == "diverged"
    assert 70 < len(curve) < 80
    # which is not four times the best smoothed loss
    assert _run(losses, stop_div="fastai").stop_reason == "completed"


def test_fastais_rule_stops_past_four_times_the_best_smoothed_loss() -> None:
    losses = [1.0] * 10 + [100.0] * 90
    curve = _run(losses, stop_div="fastai")
    smoothed = curve.smoothed()
    assert curve.stop_reason == "diverged"
    assert smoothed[-1] > 4 * smoothed.min()
    assert (smoothed[:-1] <= 4 * np.minimum.accumulate(smoothed)[:-1]).all()


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_and_is_kept(broken: float) -> None:
    curve = _run([2.0, 1.0, broken, 1.0])
    np.testing.assert_array_equal(curve.losses, [2, 1, broken])
    assert curve.stop_reason == "non_finite"


def test_stop_div_false_runs_to_the_end() -> None:
    losses = [1.0, 100.0, math.nan, math.inf, -math.inf] * 20
    curve = _run(losses, stop_div=False)
    np.testing.assert_array_equal(curve.losses, losses)
    assert curve.stop_reason == "completed"


def test_an_iterator_that_ends_keeps_its_points() -> None:
    batches = iter(list(loader())[:4])
    curve = range_test(*_parts(), batches, _LOSS)
    assert (len(curve), curve.stop_reason, curve.num_it) == (4, "exhausted", 100)


def test_leaving_the_loop_is_a_stop() -> None:
    test = RangeTest(*_parts(), loader(), _LOSS)
    for step in test:
        if step.iteration == 2:
            break
    assert (len(test.curve), test.curve.stop_reason) == (3, "stopped")


def test_a_failure_keeps_its_points() -> None:
    test = RangeTest(*_parts(), [1], training_step=_scripted([3.0, 2.0]))
    with pytest.raises(RuntimeError, match="StopIteration"):
        list(test)
    assert test.curve.losses.tolist() == [3, 2]
    assert test.curve.stop_reason is None


def test_several_tests_give_the_same_curve() -> None:
    model = Net()
    optimizer = Adam([p for p in model.parameters() if p.requires_grad])
    test = RangeTest(model, optimizer, loader(), _LOSS)
    first, second, third = (list(test) for _ in range(3))
    assert first == second == third


def test_two_tests_at_a_time_keep_their_curves_apart() -> None:
    test = RangeTest(*_parts(), loader(), _LOSS, num_it=10)
    first, second = iter(test), iter(test)
    pairs = list(zip(first, second, strict=True))
    assert len(pairs) == len(test.curve) == 10
    np.testing.assert_array_equal(test.curve.losses, [b.loss for _, b in pairs])


def test_the_original_answers_while_a_copy_is_trained() -> None:
    model, optimizer = _parts()
    inputs = torch.ones(2, 8)
    before = model(inputs)
    for _ in RangeTest(model, optimizer, loader(), _LOSS, num_it=10):
        assert torch.equal(model(inputs), before)


def test_steps_may_be_taken_in_another_thread_than_the_start() -> None:
    model, optimizer = _parts()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        steps = iter(RangeTest(model, optimizer, loader(), _LOSS, num_it=3))
    taken: list[Step] = []
    thread = Thread(target=lambda: taken.extend(steps))
    thread.start()
    thread.join()
    assert len(taken) == 3


def test_a_batch_goes_to_the_models_device() -> None:
    class Batch:
        def to(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
            assert device == torch.device("cpu")
            return torch.ones(2, 8), torch.zeros(2).long()

    assert len(range_test(*_parts(), [Batch()], _LOSS, num_it=3)) == 3


def test_workers_of_the_loader_end_with_the_test() -> None:
    workers = DataLoader(data(), 16, num_workers=1, multiprocessing_context="spawn")
    steps = iter(RangeTest(*_parts(), workers, _LOSS))
    next(steps)
    steps.close()
    assert not active_children()
    for thread in enumerate_threads():  # of its queue, which ends by itself
        if thread.name.startswith("QueueFeederThread"):
            thread.join()


_GOOD: dict[str, Any] = {"start_lr": 1e-7, "end_lr": 10, "num_it": 5}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"start_lr": -1}, ValueError, "start_lr=-1 must"),
        ({"end_lr": 1e-9}, ValueError, "start_lr=1e-07 must be below end_lr=1e-09"),
        ({"num_it": 1}, ValueError, "num_it=1 must"),
        ({"step_mode": "x"}, ValueError, "step_mode='x' is not known; pass one of"),
        ({"stop_div": 1}, TypeError, "stop_div=1 must be True, .fastai. or False"),
        ({"isolation": "x"}, ValueError, "isolation='x' is not known; pass one of"),
        ({"device": "x"}, ValueError, "device='x' cannot be used here: .* pass None"),
        ({"device": "cuda:99"}, ValueError, "device='cuda:99' cannot be used here"),
        ({"training_step": 3}, TypeError, "training_step=3 must be callable"),
        (
            {"training_step": lambda batch: batch, "loss_fn": None},
            TypeError,
            r"training_step=.* cannot be called with \(model, batch\); pass a function",
        ),
        ({"training_step": print}, ValueError, "loss_fn=.* and training_step=.* both"),
        ({"loss_fn": "mse"}, TypeError, "loss_fn='mse' must be callable"),
        (
            {"loss_fn": nn.MSELoss},
            TypeError,
            r"is a class; pass an object .* MSELoss\(\)",
        ),
        (
            {"model": nn.Linear},
            TypeError,
            r"model=.* is a class; pass an object of it: Linear\(\.\.\.\)",
        ),
        (
            {"optimizer": SGD},
            TypeError,
            r"optimizer=.* is a class; .* of it: SGD\(model\.parameters\(\)\)",
        ),
        ({"start_lr": 10**400}, ValueError, "start_lr=1000.* is too large for a float"),
        ({"dataloader": "abc"}, TypeError, "dataloader='abc' must be an iterable of"),
        ({"dataloader": {}}, TypeError, "dataloader={} must be an iterable of"),
        ({"model": print}, TypeError, r"model=.* must be a torch\.nn\.Module; pass"),
        ({"model": nn.ReLU()}, ValueError, "model=.* has no trainable parameter; pass"),
        ({"optimizer": 3}, TypeError, "optimizer=3 must be a torch optimizer; pass"),
        ({"optimizer": _parts()[1]}, ValueError, "optimizer=.* holds none of the mod"),
        ({"dataloader": 3}, TypeError, "dataloader=3 must be an iterable .* pass"),
        ({"dataloader": data()}, TypeError, "dataloader=.* must be an iterable"),
        ({"dataloader": []}, ValueError, r"dataloader=\[\] is empty; pass"),
        (
            {"learning_rate": 1},
            TypeError,
            "unexpected keyword argument 'learning_rate'; pass one of model, optimizer",
        ),
    ],
)
def test_bad_arguments(change: dict[str, Any], error: Any, message: str) -> None:
    model, optimizer = _parts()
    parts = {"model": model, "optimizer": optimizer, "dataloader": loader()}
    with pytest.raises(error, match=message):
        RangeTest(**{**parts, "loss_fn": _LOSS, **_GOOD, **change})


def test_an_optimizer_of_frozen_parameters_only() -> None:
    model = nn.Sequential(nn.Linear(8, 3), nn.Linear(3, 3))
    optimizer = SGD(model[0].parameters(), lr=0.1)
    model[0].requires_grad_(requires_grad=False)
    with pytest.raises(ValueError, match="holds none of the model's trainable"):
        RangeTest(model, optimizer, loader(), _LOSS)


def test_a_length_that_is_not_implemented() -> None:
    class Unknown:
        def __len__(self) -> int:
            raise NotImplementedError

        def __iter__(self) -> Any:
            return iter(loader())

    assert len(range_test(*_parts(), Unknown(), _LOSS, num_it=3)) == 3


def test_groups_that_change_after_the_test_was_made() -> None:
    model = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 3))
    optimizer = SGD(model[0].parameters(), lr=0.1)
    test = RangeTest(model, optimizer, loader(), _LOSS, num_it=3)
    optimizer.add_param_group({"params": model[1].parameters(), "lr": 1.0})
    assert len(list(test)) == 3


def test_a_rate_in_a_tensor_is_recorded_as_it_is_used() -> None:
    model = nn.Linear(8, 3)
    optimizer = Adam(model.parameters(), lr=torch.tensor(0.1), capturable=False)
    curve = range_test(model, optimizer, loader(), _LOSS, num_it=10)
    np.testing.assert_array_equal(curve.lrs, np.geomspace(1e-7, 10, 10, dtype="f4"))


@pytest.mark.parametrize(
    ("dtype", "settings", "said"),
    [
        (
            torch.float32,
            {"start_lr": 0.1, "end_lr": 0.10001, "num_it": 2000},
            "num_it=2000 .* too close to tell apart as torch.float32, .* pass fewer",
        ),
        (
            torch.float32,
            {"start_lr": 1.0, "end_lr": 1.0001, "num_it": 2000, "step_mode": "linear"},
            "num_it=2000 rates between .* too close to tell apart as torch.float32",
        ),
        (
            torch.bfloat16,
            {"num_it": 5000, "steps_per_lr": 2},
            "num_it=5000 rates between .* too close to tell apart as torch.bfloat16",
        ),
        (torch.float32, {"start_lr": 1e-50}, "start_lr=1e-50 is 0 as torch.float32"),
        (torch.float16, {"start_lr": 1e-8}, "start_lr=1e-08 is 0 as torch.float16"),
        (torch.int64, {}, "start_lr=1e-07 is 0 as torch.int64"),
        (
            torch.float16,
            {"start_lr": 0.1, "end_lr": 1e5},
            r"end_lr=100000.0 is too high for .*param_groups\[0\], .* torch.float16",
        ),
    ],
)
def test_rates_that_a_tensor_cannot_hold_are_refused_at_once(
    dtype: torch.dtype, settings: Any, said: str
) -> None:
    model = nn.Linear(8, 3)
    rate = torch.tensor(1, dtype=dtype)
    for isolation in ("copy", "restore"):
        optimizer = SGD(model.parameters(), lr=rate)
        with pytest.raises(ValueError, match=said):
            RangeTest(
                model, optimizer, loader(), _LOSS, isolation=isolation, **settings
            )
    assert rate.item() == 1


def test_rates_have_to_differ_in_the_type_of_the_last_group() -> None:
    model = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 3))
    narrow: Any = {"start_lr": 0.1, "end_lr": 0.2, "num_it": 1000}

    def of(first: Any, last: Any) -> SGD:
        groups = [
            {"params": model[0].parameters(), "lr": first},
            {"params": model[1].parameters(), "lr": last},
        ]
        return SGD(groups)

    half = torch.tensor(0.5, dtype=torch.float16)
    double = torch.tensor(0.5, dtype=torch.float64)
    # The rates of another group may coincide.
    curve = range_test(model, of(half, double), loader(), _LOSS, **narrow)
    np.testing.assert_array_equal(curve.lrs, np.geomspace(0.1, 0.2, 1000))
    with pytest.raises(ValueError, match=r"too close to tell apart as torch\.float16"):
        RangeTest(model, of(double, half), loader(), _LOSS, **narrow)
    # But a tensor cannot be filled with what is infinite there.
    with pytest.raises(ValueError, match=r"end_lr=0\.2 is too high for .*groups\[0\]"):
        RangeTest(model, of(half, 1e-7), loader(), _LOSS, **narrow)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("step_mode", ["exp", "linear"])
def test_rates_that_a_tensor_can_hold_are_kept_and_read_back(
    dtype: torch.dtype, step_mode: Any, tmp_path: Path
) -> None:
    model = nn.Linear(8, 3)
    optimizer = SGD(model.parameters(), lr=torch.tensor(0.1, dtype=dtype))
    path = tmp_path / "run.jsonl"
    settings: Any = {"start_lr": 1e-3, "end_lr": 1.0, "num_it": 20, "stop_div": False}
    settings |= {"step_mode": step_mode, "record": path}
    curve = range_test(model, optimizer, loader(), _LOSS, **settings)
    spaced = np.geomspace if step_mode == "exp" else np.linspace
    expected = torch.tensor(spaced(1e-3, 1, 20)).to(dtype).double()
    assert curve.lrs.tolist() == expected.tolist()
    assert LRCurve.load(path).lrs.tolist() == expected.tolist()


def test_a_loader_that_drops_all_it_has() -> None:
    empty = DataLoader(TensorDataset(torch.ones(3, 8)), batch_size=8, drop_last=True)
    with pytest.raises(ValueError, match=r"is empty; .* drop_last=True"):
        RangeTest(*_parts(), empty, _LOSS)


def test_the_settings_are_the_keywords_of_the_range_test() -> None:
    parameters = inspect.signature(RangeTest).parameters.values()
    keywords = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    assert list(Settings.__annotations__) == keywords


def test_the_models_own_device_by_its_other_name() -> None:
    settings: Any = {"device": "cpu", "isolation": "restore", "num_it": 3}
    assert len(range_test(*_parts(), loader(), _LOSS, **settings)) == 3


def test_accumulation_counts_optimizer_steps() -> None:
    seen: list[int] = []

    def training_step(model: nn.Module, batch: Any) -> Any:
        seen.append(len(batch[0]))
        return _LOSS(model(batch[0]), batch[1])

    batches = DataLoader(data(96), batch_size=16)
    curve = range_test(
        *(*_parts(), batches),
        training_step=training_step,
        accumulate=4,
        num_it=10,
    )
    assert len(curve) == 10
    assert len(seen) == 40


def test_accumulated_batches_give_the_curve_of_a_large_one() -> None:
    inputs, targets = data(32).tensors
    small = list(zip(inputs.split(8), targets.split(8), strict=True))
    model = nn.Linear(8, 3)
    optimizer = Adam(model.parameters())
    curve = range_test(model, optimizer, small, _LOSS, accumulate=4)
    expected = range_test(model, optimizer, [(inputs, targets)], _LOSS)
    np.testing.assert_allclose(curve.losses, expected.losses, rtol=1e-3)


def test_the_validation_loss_is_that_after_each_step() -> None:
    inputs, targets = data(40).tensors
    linear, by_hand = nn.Linear(8, 3), nn.Linear(8, 3)
    by_hand.load_state_dict(linear.state_dict())
    model = nn.Sequential(linear, nn.Dropout())

    def training_step(model: Any, batch: Any) -> Any:
        # without the dropout where it would have an effect
        outputs = (model[0] if model.training else model)(batch[0])
        return _LOSS(outputs, batch[1])

    held_out = DataLoader(data(40), batch_size=16, shuffle=True)
    curve = range_test(
        *(model, SGD(model.parameters(), lr=0.1), [(inputs, targets)]),
        training_step=training_step,
        val_loader=held_out,
        num_it=15,
        end_lr=1,
    )
    optimizer = SGD(by_hand.parameters(), lr=0.1)
    for lr, loss in zip(curve.lrs, curve.losses, strict=True):
        optimizer.param_groups[0]["lr"] = float(lr)
        optimizer.zero_grad()
        _LOSS(by_hand(inputs), targets).backward()
        optimizer.step()
        assert loss == pytest.approx(_LOSS(by_hand(inputs), targets).item(), rel=1e-5)


def test_autocast_is_for_the_forward_pass() -> None:
    seen = []

    def loss_fn(outputs: torch.Tensor, targets: torch.Tensor) -> Any:
        seen.append(outputs.dtype)
        return _LOSS(outputs.float(), targets)

    range_test(*_parts(), loader(), loss_fn, autocast=torch.bfloat16, num_it=3)
    range_test(*_parts(), loader(), loss_fn, num_it=2)
    assert seen == [torch.bfloat16] * 3 + [torch.float32] * 2


@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_steps_that_overflow_are_not_in_the_curve(isolation: Any) -> None:
    used: list[float] = []

    class Watched(SGD):
        def step(self, closure: Any = None) -> Any:
            used.append(float(self.param_groups[0]["lr"]))
            return super().step(closure)

    model = nn.Linear(8, 3)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, growth_interval=1)
    before = scaler.state_dict()
    curve = range_test(
        *(model, Watched(model.parameters(), lr=0.1), loader(), _LOSS),
        grad_scaler=scaler,
        num_it=12,
        isolation=isolation,
    )
    # It doubles its scale after each step, so that every other one overflows.
    np.testing.assert_allclose(curve.lrs, np.geomspace(1e-7, 10, 12))
    assert curve.lrs.tolist() == used
    assert scaler.state_dict() == before


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"accumulate": 0}, ValueError, "accumulate=0 must be at least 1"),
        ({"accumulate": 1.5}, TypeError, "accumulate=1.5 must be an integer"),
        ({"steps_per_lr": True}, TypeError, "steps_per_lr=True must be an integer"),
        ({"clip_grad_norm": 0}, ValueError, "clip_grad_norm=0 must be above 0"),
        ({"clip_grad_norm": math.nan}, ValueError, "clip_grad_norm=nan must be above"),
        ({"clip_grad_norm": "1"}, TypeError, "clip_grad_norm='1' must be a number"),
        ({"seed": True}, TypeError, "seed=True must be an integer"),
        ({"seed": 1.0}, TypeError, r"seed=1\.0 must be an integer"),
        ({"seed": "1"}, TypeError, "seed='1' must be an integer; pass for example 0"),
        ({"seed": -1}, ValueError, r"seed=-1 must be from 0 to 2\*\*32 - 1"),
        ({"seed": 2**32}, ValueError, "seed=4294967296 must be from 0 to"),
        ({"autocast": "bf16"}, ValueError, "autocast='bf16' must be one of"),
        ({"autocast": torch.float32}, ValueError, "autocast=torch.float32 must be one"),
        ({"grad_scaler": 2}, TypeError, "grad_scaler=2 must be a torch.amp.GradScaler"),
        ({"val_loader": 3}, TypeError, "val_loader=3 must be an iterable of batches"),
        ({"val_loader": []}, ValueError, r"val_loader=\[\] is empty"),
        ({"val_loader": iter([1])}, TypeError, "val_loader=.* is an iterator, which"),
    ],
)
def test_bad_ways_to_train(
    settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        RangeTest(*_parts(), loader(), _LOSS, **settings)


def test_a_scaler_for_an_optimizer_that_evaluates_the_loss() -> None:
    model = nn.Linear(8, 3)
    optimizer = torch.optim.LBFGS(model.parameters())
    scaler = torch.amp.GradScaler("cpu")
    with pytest.raises(ValueError, match="cannot be used with LBFGS, which"):
        RangeTest(model, optimizer, loader(), _LOSS, grad_scaler=scaler)


class _Stream(IterableDataset[Any]):
    """A data set without a length."""

    def __iter__(self) -> Any:
        return iter(data(48))


@pytest.mark.parametrize(
    "make",
    [
        lambda: DataLoader(_Stream(), batch_size=16),
        lambda: loader(num_workers=1, persistent_workers=True),
        lambda: list(loader()),
    ],
    ids=["stream", "persistent workers", "list"],
)
def test_every_loader_validates_too(make: Any) -> None:
    curve = range_test(*_parts(), make(), _LOSS, val_loader=make(), num_it=5)
    assert len(curve) == 5
    assert active_children() == []


def test_a_generator_ends_the_test_and_keeps_its_points() -> None:
    batches = list(loader())
    curve = range_test(*_parts(), iter(batches[:5]), _LOSS, accumulate=2)
    assert (len(curve), curve.stop_reason) == (3, "exhausted")


def test_half_precision_with_a_scaler() -> None:
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    parts = model, SGD(model.parameters(), lr=0.1), [data(32).tensors], _LOSS
    scaler = torch.amp.GradScaler("cpu", init_scale=1024)
    settings: Any = {"num_it": 20, "end_lr": 0.1}
    half = range_test(*parts, autocast=torch.float16, grad_scaler=scaler, **settings)
    full = range_test(*parts, **settings)
    np.testing.assert_allclose(half.losses, full.losses, rtol=5e-3)
    assert np.ptp(half.losses) > 0.01


def test_a_compiled_model_is_as_it_was() -> None:
    model = nn.Linear(8, 3)
    compiled: Any = torch.compile(model, backend="aot_eager")
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    before = state(model, optimizer)
    expected = range_test(model, optimizer, loader(), _LOSS, num_it=20)
    curve = range_test(compiled, optimizer, loader(), _LOSS, num_it=20)
    np.testing.assert_allclose(curve.losses, expected.losses, rtol=1e-4)
    assert state(model, optimizer) == before


def test_numpys_numbers_are_numbers() -> None:
    given: Any = {
        "num_it": np.int64(6),
        "accumulate": np.int32(2),
        "steps_per_lr": np.uint8(2),
        "seed": np.int64(3),
        "clip_grad_norm": np.float32(0.5),
    }
    plain: Any = {name: value.item() for name, value in given.items()}
    training: Any = (*warm(SGD), loader(), _LOSS)
    curves = [range_test(*training, **settings) for settings in (given, plain)]
    assert curves[0].to_dict() == curves[1].to_dict()
