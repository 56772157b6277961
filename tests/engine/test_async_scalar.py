from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW

from lrwidget.engine import async_scalar as arriving
from lrwidget.engine import range_test
from lrwidget.engine.async_scalar import read_losses
from lrwidget.engine.range_test import RangeTest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import TypeAlias

    from lrwidget.curve.lr_curve import StopReason

    ReadingFrom: TypeAlias = Callable[..., "_SlowDevice"]


class _SlowDevice:
    """A device whose losses come some steps after they were sent, as they are told."""

    def __init__(self, losses: list[float], late: int) -> None:
        self.losses = losses
        self.late = late
        self.sent = 0
        self.waited: list[int] = []

    def send(self, _loss: torch.Tensor) -> _Late:
        self.sent += 1
        return _Late(self, self.sent - 1)


class _Late:
    def __init__(self, device: _SlowDevice, number: int) -> None:
        self.device, self.number = device, number

    def arrived(self) -> bool:
        return self.device.sent - self.number > self.device.late

    def wait(self) -> float:
        if not self.arrived():
            self.device.waited.append(self.device.sent - self.number)
        return self.device.losses[self.number]


@pytest.fixture
def reading_from(monkeypatch: pytest.MonkeyPatch) -> ReadingFrom:
    """Return a function that has all losses read from a slow device."""

    def replace(losses: list[float], late: int) -> _SlowDevice:
        device = _SlowDevice(losses, late)
        monkeypatch.setattr(arriving, "_sent", device.send)
        return device

    return replace


def _trained(count: int, error: Exception | None = None) -> Any:
    """Yield rates 0, 1, 2, ... with losses that cannot be read, then end."""

    def points() -> Generator[tuple[float, torch.Tensor], None, StopReason]:
        for lr in range(count):
            yield lr, torch.empty((), device="meta")
        if error is not None:
            raise error
        return "completed"

    return points()


def _collected(points: Any) -> tuple[list[Any], Any]:
    found = []
    try:
        while True:
            found.append(next(points))
    except StopIteration as end:
        return found, end.value


_LOSSES = [1 / (3 + i) for i in range(20)]
_POINTS = list(enumerate(_LOSSES))


@pytest.mark.parametrize("late", [0, 1, 2, 3, 9])
def test_every_loss_comes_once_and_in_order(
    reading_from: ReadingFrom, late: int
) -> None:
    reading_from(_LOSSES, late)
    assert _collected(read_losses(_trained(20))) == (_POINTS, "completed")


@pytest.mark.parametrize("late", [0, 1, 2, 3])
def test_a_device_that_is_a_little_behind_is_not_waited_for(
    reading_from: ReadingFrom, late: int
) -> None:
    device = reading_from(_LOSSES, late)
    points = read_losses(_trained(20))
    for _ in range(20 - late):
        next(points)
    assert device.waited == []


def test_a_device_that_is_far_behind_is_given_a_few_steps_only(
    reading_from: ReadingFrom,
) -> None:
    device = reading_from(_LOSSES, late=9)
    points = read_losses(_trained(20))
    assert next(points) == (0, _LOSSES[0])
    assert device.sent == 4
    assert next(points) == (1, _LOSSES[1])
    assert device.sent == 5


@pytest.mark.parametrize("late", [0, 2, 9])
def test_losses_before_an_error_come_before_it(
    reading_from: ReadingFrom, late: int
) -> None:
    reading_from(_LOSSES, late)
    points = read_losses(_trained(20, ZeroDivisionError("step 20")))
    assert [next(points) for _ in range(20)] == _POINTS
    with pytest.raises(ZeroDivisionError, match="step 20"):
        next(points)


def test_an_error_that_came_first_is_the_one_that_is_raised(
    reading_from: ReadingFrom, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(_Late):
        def wait(self) -> float:
            msg = "the device is gone"
            raise RuntimeError(msg)

    device = reading_from(_LOSSES, late=9)
    monkeypatch.setattr(arriving, "_sent", lambda _: Broken(device, 0))
    points = read_losses(_trained(2, ZeroDivisionError("step 2")))
    with pytest.raises(ZeroDivisionError, match="step 2") as caught:
        next(points)
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_stop_drops_losses_that_have_not_arrived(
    reading_from: ReadingFrom,
) -> None:
    closed = []

    def points() -> Generator[tuple[float, torch.Tensor], None, StopReason]:
        try:
            yield from _trained(20)
        finally:
            closed.append(device.sent)
        return "completed"

    device = reading_from(_LOSSES, late=2)
    going = read_losses(points())
    next(going)
    going.close()
    assert closed == [3]
    assert device.waited == []


def _on_meta(**settings: Any) -> tuple[nn.Module, RangeTest]:
    """Return a test on the device that has no numbers: whoever reads one fails."""
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))
        batches = [(torch.randn(8, 4), torch.randn(8, 1))] * 3
    optimizer = settings.pop("optimizer", SGD)(model.parameters(), lr=0.1)
    test = RangeTest(model, optimizer, batches, nn.MSELoss(), num_it=20, **settings)
    return model, test


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"optimizer": AdamW},
        {"accumulate": 2},
        {"steps_per_lr": 3},
        {"clip_grad_norm": 1.0},
        {"stop_div": False},
    ],
    ids=str,
)
def test_no_step_asks_the_device_for_anything(
    reading_from: ReadingFrom, settings: dict[str, Any]
) -> None:
    reading_from(_LOSSES, late=2)
    _, test = _on_meta(**settings)
    steps, reason = _collected(iter(test))
    assert [step.loss for step in steps] == _LOSSES
    assert [step.iteration for step in steps] == list(range(20))
    assert reason == "completed"


def test_points_past_the_stop_are_dropped(reading_from: ReadingFrom) -> None:
    losses = [1.0] * 12 + [1e9] * 8
    device = reading_from(losses, late=3)
    _, test = _on_meta(stop_div="fastai")
    steps, reason = _collected(iter(test))
    assert ([step.loss for step in steps], reason) == (losses[:13], "diverged")
    assert device.sent > 13
    assert test.curve.stop_reason == "diverged"


def test_an_error_past_the_stop_is_dropped(reading_from: ReadingFrom) -> None:
    calls = []

    def fail_late(_module: nn.Module, _inputs: object) -> None:
        calls.append(1)
        if len(calls) == 15:
            raise ZeroDivisionError

    reading_from([1.0] * 12 + [1e9] * 8, late=3)
    model, test = _on_meta(stop_div="fastai")
    model.register_forward_pre_hook(fail_late)
    steps, reason = _collected(iter(test))
    assert (len(steps), reason) == (13, "diverged")
    assert len(calls) == 15


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU of NVIDIA's")
@pytest.mark.parametrize("optimizer", [SGD, AdamW])
def test_a_gpu_is_not_waited_for(optimizer: Any) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)).cuda()
    batches = [(torch.randn(8, 4), torch.randn(8, 1))] * 3
    settings: Any = {"num_it": 20, "end_lr": 1e-3}
    made = optimizer(model.parameters(), lr=0.1)
    steps = iter(RangeTest(model, made, batches, nn.MSELoss(), **settings))
    found = [next(steps)]
    torch.cuda.set_sync_debug_mode("error")
    try:
        found += [next(steps) for _ in range(15)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    found += list(steps)
    here = model.cpu()
    made = optimizer(here.parameters(), lr=0.1)
    expected = range_test.range_test(here, made, batches, nn.MSELoss(), **settings)
    assert [step.loss for step in found] == pytest.approx(
        expected.losses.tolist(), rel=1e-4
    )
