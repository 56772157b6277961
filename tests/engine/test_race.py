from __future__ import annotations

import gc
import inspect
import math
import weakref
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import LBFGS, SGD, Adam, AdamW

from lrwidget import RangeTest, Step, race
from lrwidget.curve.history import Ended, Started, Stepped
from lrwidget.curve.race_history import RaceHistory, checked_rates, race_plans
from lrwidget.engine.race import race_runs, run_in_turn
from tests.engine.training_parts import Net, data, loader, state, train, warm

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from lrwidget.curve.history import Event
    from lrwidget.curve.training_curve import TrainingCurve

_LOSS = nn.CrossEntropyLoss()
_ISOLATIONS = ["copy", "restore", "auto"]
_START, _CURVATURE = 3.0, 2.0


class _Quadratic(nn.Module):
    """Half of the curvature times a weight squared, whose training is known exactly."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(_START, dtype=torch.float64))

    def forward(self, _batch: Any) -> Any:
        return 0.5 * _CURVATURE * self.weight**2


def _quadratic() -> tuple[nn.Module, torch.optim.Optimizer, list[torch.Tensor]]:
    model = _Quadratic()
    return model, SGD(model.parameters(), lr=1.0), [torch.zeros(())]


def _parts() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Linear(8, 3)
    return model, SGD(model.parameters(), lr=0.1)


def _events(
    test: RangeTest, rates: list[float], steps: int
) -> Generator[Event, None, None]:
    """Start a race, and return its events."""
    plans = race_plans(checked_rates(rates), steps)
    return run_in_turn(race_runs(test, plans), plans)


def _items(*args: Any, **settings: Any) -> list[Any]:
    """Return all events of a race but the starts of its trainings."""
    rates, steps = settings.pop("rates"), settings.pop("steps")
    events = _events(RangeTest(*args, **settings), rates, steps)
    return [event for event in events if not isinstance(event, Started)]


def _reasons(curves: list[TrainingCurve]) -> list[Any]:
    return [curve.stop_reason for curve in curves]


@pytest.mark.parametrize("isolation", _ISOLATIONS)
def test_gradient_descent_on_a_quadratic(isolation: Any) -> None:
    # w_k = (1 - lr a)^k w_0, which converges below lr = 2 / a
    rates = [0.01, 0.1, 0.5, 0.9]
    curves = race(*_quadratic(), rates=rates, steps=30, isolation=isolation)
    assert [curve.lr for curve in curves] == rates
    for curve in curves:
        weights = _START * (1 - curve.lr * _CURVATURE) ** np.arange(30)
        np.testing.assert_allclose(curve.losses, 0.5 * _CURVATURE * weights**2)
        assert (curve.stop_reason, curve.num_it) == ("completed", 30)


def test_a_rate_that_diverges_ends_alone() -> None:
    bound = 2 / _CURVATURE
    rates = [0.5 * bound, 0.99 * bound, 1.5 * bound, 1e200]
    curves = race(*_quadratic(), rates=rates, steps=200)
    assert _reasons(curves) == ["completed", "completed", "diverged", "non_finite"]
    assert len(curves[2]) < 20
    assert [math.isnan(curve.final_loss) for curve in curves] == [False] * 2 + [
        True
    ] * 2
    assert curves[0].final_loss < 1e-12 < curves[1].final_loss
    # nor does one that goes on whatever its loss
    curves = race(*_quadratic(), rates=rates, steps=200, stop_div=False)
    assert _reasons(curves) == ["completed"] * 4


def test_each_rate_is_the_training_by_hand() -> None:
    rates = [0.001, 0.01, 0.1]
    model = Net()
    parameters = [p for p in model.parameters() if p.requires_grad]
    curves = race(
        *(model, AdamW(parameters, amsgrad=True), loader(), _LOSS),
        rates=rates,
        steps=12,
    )
    start = {name: value.clone() for name, value in model.state_dict().items()}
    random_state = torch.get_rng_state()
    for lr, curve in zip(rates, curves, strict=True):
        torch.set_rng_state(random_state)
        by_hand = Net()
        by_hand.load_state_dict(start)
        trained = [p for p in by_hand.parameters() if p.requires_grad]
        torch.set_rng_state(random_state)
        losses = train(by_hand, AdamW(trained, lr=lr, amsgrad=True), loader(), 2)
        assert curve.losses.tolist() == losses


@pytest.mark.parametrize("isolation", _ISOLATIONS)
def test_all_rates_see_the_same_batches_and_random_numbers(isolation: Any) -> None:
    seen: list[torch.Tensor] = []

    def training_step(model: nn.Module, batch: Any) -> torch.Tensor:
        seen.append(torch.cat([batch[0].flatten(), torch.rand(3)]))
        loss: torch.Tensor = _LOSS(model(batch[0]), batch[1])
        return loss

    parts = (*_parts(), loader(generator=torch.Generator().manual_seed(2)))
    settings: Any = {"training_step": training_step, "isolation": isolation}
    race(*parts, rates=[0.1, 0.2, 0.3], steps=9, **settings)
    first, second, third = seen[:9], seen[9:18], seen[18:]
    for one, two, three in zip(first, second, third, strict=True):
        assert torch.equal(one, two)
        assert torch.equal(one, three)
    assert not torch.equal(first[0], first[6])  # of the next pass


@pytest.mark.parametrize("isolation", _ISOLATIONS)
def test_a_seed_is_that_of_every_rate(isolation: Any) -> None:
    seen: list[list[float]] = []

    def training_step(model: nn.Module, batch: Any) -> torch.Tensor:
        seen.append([*batch[0].flatten().tolist(), torch.rand(()).item()])
        loss: torch.Tensor = _LOSS(model(batch[0]), batch[1])
        return loss

    def raced(seed: int) -> list[list[float]]:
        seen.clear()
        rates = [0.1, 0.2, 0.3]
        race(*parts, rates=rates, steps=9, seed=seed, **settings)
        first, *others = seen[:9], seen[9:18], seen[18:]
        assert others == [first] * 2
        return first

    batches = loader(generator=torch.Generator())
    parts = (*_parts(), batches)
    settings: Any = {"training_step": training_step, "isolation": isolation}
    first = raced(5)
    torch.rand(())
    list(batches)
    before = state(*parts)
    assert raced(5) == first
    assert raced(6) != first
    assert state(*parts) == before


def test_a_seed_is_that_of_the_test_that_finds_the_rates() -> None:
    model, batches = nn.Linear(8, 3), loader(generator=torch.Generator())
    optimizer = Adam(model.parameters())
    first = race(model, optimizer, batches, _LOSS, steps=5, seed=5)
    list(batches)
    second = race(model, optimizer, batches, _LOSS, steps=5, seed=5)
    assert [c.lr for c in second] == [c.lr for c in first]
    assert [c.losses.tolist() for c in second] == [c.losses.tolist() for c in first]


def test_the_items_as_they_come() -> None:
    # of which two steps are exact: 1 - lr a is a half, and none
    items = _items(*_quadratic(), rates=[0.5, 0.25], steps=2)
    assert items == [
        Stepped(0, Step(0, 0.25, 9.0)),
        Stepped(0, Step(1, 0.25, 2.25)),
        Ended(0, "completed"),
        Stepped(1, Step(0, 0.5, 9.0)),
        Stepped(1, Step(1, 0.5, 0.0)),
        Ended(1, "completed"),
    ]


def test_the_ways_to_train_are_those_of_the_range_test() -> None:
    inputs, targets = data(32).tensors
    small = list(zip(inputs.split(8), targets.split(8), strict=True))
    model, optimizer = _parts()
    settings: Any = {"rates": [0.1, 0.3], "steps": 5}
    whole = race(model, optimizer, [(inputs, targets)], _LOSS, **settings)
    accumulated = race(
        *(model, optimizer, small, _LOSS), accumulate=4, steps_per_lr=7, **settings
    )
    for one, other in zip(whole, accumulated, strict=True):
        np.testing.assert_allclose(one.losses, other.losses, rtol=1e-4)
    held_out = race(
        *(model, optimizer, [(inputs, targets)], _LOSS),
        val_loader=[(inputs, targets)],
        **settings,
    )
    for one, other in zip(whole, held_out, strict=True):
        # the loss after a step is that before the next one
        np.testing.assert_allclose(one.losses[1:], other.losses[:-1], rtol=1e-5)
    tight = race(
        *(model, optimizer, [(inputs, targets)], _LOSS),
        clip_grad_norm=1e-9,
        **settings,
    )
    assert all(np.ptp(curve.losses) < 1e-6 for curve in tight)


def test_the_rates_of_groups_keep_their_ratios() -> None:
    used: list[list[float]] = []

    class Watched(SGD):
        def step(self, closure: Any = None) -> Any:
            used.append([float(group["lr"]) for group in self.param_groups])
            return super().step(closure)

    model = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 3))
    groups = [
        {"params": model[0].parameters(), "lr": 0.01},
        {"params": model[1].parameters(), "lr": 0.1},
    ]
    curves = race(model, Watched(groups), loader(), _LOSS, rates=[0.2, 0.5], steps=3)
    assert [rates[1] for rates in used] == [0.2] * 3 + [0.5] * 3
    assert [rates[0] for rates in used] == pytest.approx([0.02] * 3 + [0.05] * 3)
    assert [curve.lr for curve in curves] == [0.2, 0.5]


def test_an_iterator_has_batches_for_the_first_rate_only() -> None:
    batches = list(loader())
    for source in (iter(batches), iter(batches * 9)):
        curves = race(*_parts(), source, _LOSS, rates=[0.1, 0.2, 0.3], steps=8)
        assert _reasons(curves)[1:] == ["exhausted"] * 2
        assert [len(curve) for curve in curves][1:] == [0, 0]
    assert len(curves[0]) == 8


def test_a_loader_with_an_iterator_inside() -> None:
    class Once:
        def __init__(self) -> None:
            self.inside = iter(list(loader()))

        def __iter__(self) -> Iterator[Any]:
            yield from self.inside

    curves = race(*_parts(), Once(), _LOSS, rates=[0.1, 0.2], steps=8)
    assert _reasons(curves) == ["exhausted"] * 2
    assert [len(curve) for curve in curves] == [6, 0]
    with pytest.raises(ValueError, match="is an iterator with no batch left"):
        race(*_parts(), iter(()), _LOSS, rates=[0.1, 0.2])


_OPTIMIZERS: dict[str, Any] = {
    "SGD": lambda ps: SGD(ps, lr=0.05, momentum=0.9),
    "AdamW": lambda ps: AdamW(ps, lr=0.003, amsgrad=True),
    "LBFGS": lambda ps: LBFGS(ps, lr=0.1, max_iter=2),
}
_RATES = [0.001, 0.01, 1e5]


class _FaultError(Exception):
    pass


def _end(events: Generator[Event, None, None], ending: str, fault: list[int]) -> None:
    if ending == "exception":
        fault.append(7)
        with pytest.raises(_FaultError):
            list(events)
    elif ending.startswith("stopped"):
        items = (event for event in events if not isinstance(event, Started))
        for _ in range(int(ending.removeprefix("stopped after "))):
            next(items)
        events.close()
    else:
        ends = [event for event in events if isinstance(event, Ended)]
        diverged = any(end.reason == "diverged" for end in ends)
        assert diverged == (ending == "diverged")


@pytest.mark.parametrize("isolation", ["copy", "restore"])
@pytest.mark.parametrize("optimizer", _OPTIMIZERS)
@pytest.mark.parametrize(
    "ending",
    [
        *("completed", "diverged", "exception"),
        # before, in, and between trainings of five steps and a finish each
        *(f"stopped after {count}" for count in (0, 1, 3, 5, 6, 7, 12, 14)),
    ],
)
def test_all_is_as_before(ending: str, optimizer: str, isolation: Any) -> None:
    fault: list[int] = []

    def loss_fn(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if fault:
            fault[0] -= 1
            if not fault[0]:
                raise _FaultError
        return nn.functional.cross_entropy(outputs, targets)

    model, its_optimizer = warm(_OPTIMIZERS[optimizer])
    batches = loader(generator=torch.Generator())
    test = RangeTest(
        *(model, its_optimizer, batches, loss_fn),
        isolation=isolation,
        stop_div=ending == "diverged",
        val_loader=loader(),
    )
    before = state(model, its_optimizer, batches)
    _end(_events(test, _RATES, 5), ending, fault)
    assert state(model, its_optimizer, batches) == before
    model(torch.ones(2, 8)).sum().backward()  # what nothing is left of to refuse


def test_there_is_one_copy_at_a_time() -> None:
    model, optimizer = warm(_OPTIMIZERS["AdamW"])
    trained: dict[int, weakref.ref[nn.Module]] = {}
    alive: list[int] = []

    def training_step(copied: nn.Module, batch: Any) -> torch.Tensor:
        trained[id(copied)] = weakref.ref(copied)
        alive.append(sum(known() is not None for known in trained.values()))
        loss: torch.Tensor = _LOSS(copied(batch[0]), batch[1])
        return loss

    gc.disable()  # without its help
    try:
        race(
            *(model, optimizer, loader()),
            training_step=training_step,
            rates=[0.1, 0.2, 0.3],
            steps=2,
        )
    finally:
        gc.enable()
    assert alive == [1] * 6


def test_the_steps_may_be_taken_in_another_thread_than_the_start() -> None:
    model, optimizer = _parts()
    dtypes: list[torch.dtype] = []

    def loss_fn(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        dtypes.append(outputs.dtype)
        return _LOSS(outputs.float(), targets)  # type: ignore[no-any-return]  # a module

    test = RangeTest(model, optimizer, loader(), loss_fn)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        items = _events(test, [0.1, 0.2], 2)
    history = RaceHistory([0.1, 0.2], 2)

    def take() -> None:
        for item in items:
            history.apply(item)

    thread = Thread(target=take)
    thread.start()
    thread.join()
    assert _reasons(list(history.curves().values())) == ["completed"] * 2
    assert dtypes == [torch.bfloat16] * 4


def test_an_original_in_training_is_refused_to_other_tests() -> None:
    test = RangeTest(*_parts(), loader(), _LOSS, isolation="restore")
    items = _events(test, [0.1, 0.2], 2)
    assert isinstance(next(items), Started)
    assert isinstance(next(items), Stepped)
    with pytest.raises(RuntimeError, match="training this model itself"):
        iter(test)
    with pytest.raises(RuntimeError, match="training this model itself"):
        _events(test, [0.1], 2)
    items.close()
    assert len(list(test)) > 10


def test_without_rates_the_suggestion_races_its_neighbours() -> None:
    model = nn.Linear(8, 3)
    optimizer = Adam(model.parameters())
    before = state(model, optimizer)
    test = RangeTest(model, optimizer, loader(), _LOSS)
    list(test)
    suggestion = test.curve.suggestion()
    assert suggestion.lr is not None
    curves = race(model, optimizer, loader(), _LOSS, steps=5)
    assert suggestion.lr in [curve.lr for curve in curves]
    assert len(curves) > 2
    assert all(1e-7 <= curve.lr <= 10 for curve in curves)
    assert state(model, optimizer) == before


def test_without_rates_and_without_a_suggestion() -> None:
    def flat(model: nn.Module, _batch: Any) -> torch.Tensor:
        return 0 * next(iter(model.parameters())).sum() + 1

    with pytest.raises(RuntimeError, match="rates=None, and the range test suggests"):
        race(*_parts(), [None], training_step=flat)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"rates": []}, ValueError, r"rates=\[\] is empty"),
        ({"rates": [-1]}, ValueError, r"rates\[0\]=-1 must be finite and above 0"),
        ({"rates": [1], "steps": 0}, ValueError, "steps=0 must be at least 1"),
        ({"rates": [1], "steps": 1.5}, TypeError, r"steps=1\.5 must be an integer"),
        ({"steps": 0}, ValueError, "steps=0 must be at least 1"),
    ],
)
def test_bad_arguments(arguments: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        race(*_parts(), loader(), _LOSS, **arguments)


def test_the_settings_are_shown() -> None:
    parameters = inspect.signature(race).parameters
    names = list(parameters)
    assert names[:6] == [
        *("model", "optimizer", "dataloader", "loss_fn"),
        "rates",
        "steps",
    ]
    assert parameters["steps"].default == 100
    assert "clip_grad_norm" in names
