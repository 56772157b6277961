from __future__ import annotations

import copy
import math
import random
import threading
import weakref
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import LBFGS, SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from lrwidget.engine.isolation.components import Components, isolate
from lrwidget.engine.range_test import RangeTest, range_test
from tests.engine.training_parts import Net, loader, state, train, warm

_OPTIMIZERS = {
    "sgd": lambda ps: SGD(ps, lr=0.05, momentum=0.9),
    "adamw": lambda ps: AdamW(ps, lr=0.003, amsgrad=True),
    "lbfgs": lambda ps: LBFGS(ps, lr=0.1, max_iter=2),
}
_LOSS = nn.CrossEntropyLoss()


class _StepError(Exception):
    pass


def _noisy_loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Draw from every random state on the way."""
    noise = random.random() + np.random.rand()  # noqa: NPY002, S311 (to be restored)
    loss: torch.Tensor = _LOSS(outputs, targets)
    return loss + 1e-9 * noise * torch.rand(())


def _turns_at(count: int, value: float | None = None) -> Any:
    """Return a loss function that raises, or turns to a value, at a step."""
    calls = 0

    def loss_fn(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        loss = _noisy_loss(outputs, targets)
        if calls < count:
            return loss
        if value is None:
            raise _StepError
        return loss * value

    return loss_fn


def _complete(test: RangeTest) -> None:
    assert [step.iteration for step in test] == list(range(test.num_it))


def _stop(test: RangeTest) -> None:
    for step in test:
        if step.iteration == 7:
            break


def _end_with(reason: str | None) -> Any:
    def end(test: RangeTest) -> None:
        if reason is None:
            with pytest.raises(_StepError):
                list(test)
        else:
            list(test)
        assert test.curve.stop_reason == reason

    return end


def _twice(test: RangeTest) -> None:
    first, second = list(test), list(test)
    assert first == second


_ENDINGS: dict[str, tuple[Any, dict[str, Any], Any]] = {
    "completed": (lambda: _noisy_loss, {"stop_div": False}, _complete),
    "diverged": (lambda: _turns_at(12, 1e6), {}, _end_with("diverged")),
    "not finite": (lambda: _turns_at(12, math.nan), {}, _end_with("non_finite")),
    "stopped": (lambda: _noisy_loss, {}, _stop),
    "failed": (lambda: _turns_at(12), {}, _end_with(None)),
    "twice": (lambda: _noisy_loss, {}, _twice),
}


@pytest.mark.parametrize("isolation", ["auto", "copy", "restore"])
@pytest.mark.parametrize("make_optimizer", _OPTIMIZERS.values(), ids=_OPTIMIZERS)
@pytest.mark.parametrize("ending", _ENDINGS)
def test_all_is_as_before(ending: str, make_optimizer: Any, isolation: Any) -> None:
    make_loss, settings, run = _ENDINGS[ending]
    model, optimizer = warm(make_optimizer)
    batches = loader(generator=torch.Generator().manual_seed(5))
    before = state(model, optimizer, batches)
    settings = {"num_it": 40, "isolation": isolation, **settings}
    run(RangeTest(model, optimizer, batches, make_loss(), **settings))
    assert state(model, optimizer, batches) == before


@pytest.mark.parametrize("isolation", ["copy", "restore"])
@pytest.mark.parametrize("make_optimizer", _OPTIMIZERS.values(), ids=_OPTIMIZERS)
def test_training_goes_on_as_if_there_had_been_no_test(
    make_optimizer: Any, isolation: Any
) -> None:
    def training(*, tested: bool) -> tuple[list[float], list[torch.Tensor]]:
        torch.manual_seed(3)
        model, optimizer = warm(make_optimizer)
        if tested:
            for _ in range(2):
                range_test(model, optimizer, loader(), _LOSS, isolation=isolation)
        losses = train(model, optimizer, loader(), epochs=3)
        return losses, list(model.state_dict().values())

    losses, weights = training(tested=True)
    expected_losses, expected_weights = training(tested=False)
    assert losses == expected_losses
    for weight, expected in zip(weights, expected_weights, strict=True):
        assert torch.equal(weight, expected)


def test_both_ways_find_the_same_curve() -> None:
    model, optimizer = warm(_OPTIMIZERS["adamw"])
    curves = [
        range_test(model, optimizer, loader(), _LOSS, isolation=isolation)
        for isolation in ("copy", "restore")
    ]
    assert curves[0].to_dict() == curves[1].to_dict()


def _subject(model: nn.Module, loss_fn: Any = None) -> Components:
    return Components(model, AdamW(model.parameters()), loss_fn)


def test_a_copy_shares_the_memory_of_frozen_parameters_only() -> None:
    model = Net()
    subject = isolate(_subject(model, _LOSS), "copy", None).components
    copied = dict(subject.model.named_parameters())
    # reading data_ptr() would end the sharing
    address: Any = torch._C._data_address  # type: ignore[attr-defined]  # not in the stub
    for name, parameter in model.named_parameters():
        assert copied[name] is not parameter
        shared = address(copied[name]) == address(parameter)
        assert shared == (not parameter.requires_grad)
        assert torch.equal(copied[name], parameter)
    ours = {id(p) for group in subject.optimizer.param_groups for p in group["params"]}
    assert ours == {id(p) for p in copied.values()}
    for name, buffer in model.named_buffers():
        copy_of_it = subject.model.get_buffer(name)
        assert torch.equal(copy_of_it, buffer)
        assert copy_of_it is not buffer


class _Averaging(nn.Linear):
    """A model that keeps a moving average of itself in frozen parameters."""

    def __init__(self) -> None:
        super().__init__(8, 3)
        self.teacher = nn.Linear(8, 3).requires_grad_(requires_grad=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            for mean, own in zip(
                self.teacher.parameters(), (self.weight, self.bias), strict=True
            ):
                mean.lerp_(own, 0.1)
        return super().forward(inputs)


@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_frozen_parameters_that_the_model_writes_to(isolation: Any) -> None:
    model = _Averaging()
    for parameter in model.teacher.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer = SGD(model.parameters(), lr=0.1)
    before = state(model, optimizer)
    range_test(model, optimizer, loader(), _LOSS, num_it=10, isolation=isolation)
    assert state(model, optimizer) == before


def test_memory_that_is_not_torchs_own_is_copied() -> None:
    model = nn.Linear(2, 2)
    model.bias = nn.Parameter(torch.from_numpy(np.ones(2, np.float32)), False)  # noqa: FBT003 (positional in torch)
    subject = isolate(_subject(model), "copy", None).components
    assert torch.equal(subject.model.get_parameter("bias"), model.bias)


def _closing_over(kind: str, model: nn.Module) -> dict[str, Any]:
    def training_step(_model: nn.Module, batch: Any) -> torch.Tensor:
        loss: torch.Tensor = _LOSS(model(batch[0]), batch[1])
        return loss

    def loss_fn(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        penalty = sum(p.square().sum() for p in model.parameters())
        loss: torch.Tensor = _LOSS(outputs, targets)
        return loss + 1e-3 * penalty

    functions = {"training_step": training_step, "loss_fn": loss_fn}
    return {kind: functions[kind]}


@pytest.mark.parametrize(
    ("kind", "isolation"),
    [("loss_fn", "auto"), ("loss_fn", "restore"), ("training_step", "restore")],
)
def test_a_function_that_uses_the_original_trains_the_original(
    kind: str, isolation: Any
) -> None:
    model, optimizer = warm(_OPTIMIZERS["adamw"])
    before = state(model, optimizer)
    settings = _closing_over(kind, model) | {"isolation": isolation}
    curve = range_test(model, optimizer, loader(), **settings)
    assert curve.losses[-1] != curve.losses[0]
    assert state(model, optimizer) == before


@pytest.mark.parametrize(
    ("kind", "isolation"),
    [("loss_fn", "copy"), ("training_step", "copy"), ("training_step", "auto")],
)
def test_a_function_that_uses_the_original_beside_a_copy(
    kind: str, isolation: Any
) -> None:
    model, optimizer = warm(_OPTIMIZERS["adamw"])
    before = state(model, optimizer)
    settings = _closing_over(kind, model) | {"isolation": isolation}
    with pytest.raises(ValueError, match=r"the original .*pass .*'restore'"):
        range_test(model, optimizer, loader(), **settings)
    assert state(model, optimizer) == before


def test_a_loss_that_belongs_to_the_model_follows_the_copy() -> None:
    class Own(nn.Linear):
        def loss(self, outputs: torch.Tensor, _target: torch.Tensor) -> torch.Tensor:
            return outputs.square().mean() + self.weight.square().sum()

    model = Own(2, 2)
    subject = isolate(_subject(model, model.loss), "copy", None).components
    assert subject.loss_fn is not None
    assert subject.loss_fn.__self__ is subject.model  # type: ignore[attr-defined]  # a method


def test_hooks_of_the_optimizer_follow_the_copy() -> None:
    model = nn.Linear(2, 1)
    optimizer = SGD(model.parameters(), lr=0.1)
    stepped: list[Optimizer] = []
    optimizer.register_step_pre_hook(lambda self, _args, _kwargs: stepped.append(self))
    inputs, targets = torch.ones(4, 2), torch.zeros(4, 1)
    range_test(model, optimizer, [(inputs, targets)], nn.MSELoss(), num_it=3)
    assert len(stepped) == 3
    assert optimizer not in stepped


@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_a_scheduler_is_ignored_and_stays(isolation: Any) -> None:
    model = nn.Linear(8, 3)
    optimizer = SGD(model.parameters(), lr=0.5)
    scheduler = LambdaLR(optimizer, lambda epoch: 0.1 * epoch)  # at 0 to begin with
    before = copy.deepcopy(scheduler.state_dict())
    step = optimizer.step
    curve = range_test(
        model, optimizer, loader(), _LOSS, num_it=20, isolation=isolation
    )
    assert curve.lrs[-1] == 10
    assert optimizer.step == step
    assert scheduler.state_dict() == before
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05)


def _uncopied(model: nn.Module) -> bool:
    subject = isolate(_subject(model), "auto", None).components
    return subject.model is model


def test_models_that_cannot_be_copied_are_restored() -> None:
    locked = nn.Linear(8, 3)
    locked.lock = threading.Lock()  # type: ignore[assignment]  # any attribute will do
    assert _uncopied(locked)
    optimizer = AdamW(locked.parameters())
    before = state(locked, optimizer)
    range_test(locked, optimizer, loader(), _LOSS, num_it=5)
    assert state(locked, optimizer) == before
    with pytest.raises(ValueError, match=r"isolation='copy' cannot .* pass 'restore'"):
        range_test(locked, optimizer, loader(), _LOSS, num_it=5, isolation="copy")


def test_models_that_must_not_be_copied_are_restored() -> None:
    class OptimizedModule(nn.Linear):
        """Of the name that torch.compile gives."""

    assert _uncopied(nn.Sequential(OptimizedModule(2, 2)))
    assert not _uncopied(nn.Linear(2, 2))


@pytest.mark.parametrize("isolation", ["auto", "restore"])
def test_lazy_modules_are_lazy_again(isolation: Any) -> None:
    model = nn.Sequential(nn.LazyLinear(6), nn.ReLU(), nn.LazyLinear(3))
    optimizer = SGD(model.parameters(), lr=0.1)
    range_test(model, optimizer, loader(), _LOSS, num_it=5, isolation=isolation)
    assert [type(module) for module in model] == [nn.LazyLinear, nn.ReLU, nn.LazyLinear]
    assert all(nn.parameter.is_lazy(p) for p in model.parameters())
    train(model, optimizer, loader())
    assert model[0].weight.shape == (6, 8)


def test_a_copy_moves_to_the_device_and_the_original_stays() -> None:
    model, optimizer = warm(_OPTIMIZERS["adamw"])
    loss_fn = nn.CrossEntropyLoss(weight=torch.ones(3))
    before = state(model, optimizer)
    meta = torch.device("meta")  # the one device, besides the CPU, of every machine
    subject = isolate(Components(model, optimizer, loss_fn), "copy", meta).components
    assert {p.device for p in subject.model.parameters()} == {meta}
    moments = [state["exp_avg"].device for state in subject.optimizer.state.values()]
    assert set(moments) == {meta}
    assert isinstance(subject.loss_fn, nn.CrossEntropyLoss)
    assert subject.loss_fn.weight is not None
    assert subject.loss_fn.weight.device == meta
    assert loss_fn.weight is not None
    assert loss_fn.weight.device == torch.device("cpu")
    assert state(model, optimizer) == before


def test_an_original_is_not_moved() -> None:
    with pytest.raises(ValueError, match=r"device='meta' would move .* move the model"):
        isolate(_subject(nn.Linear(2, 2)), "restore", torch.device("meta"))


class _Expanded(nn.Linear):
    """A model with a buffer of more numbers than memory."""

    def __init__(self) -> None:
        super().__init__(8, 3)
        self.register_buffer("mask", torch.ones(1).expand(3))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return super().forward(inputs) * self.get_buffer("mask")


def test_memory_that_cannot_be_written_is_restored_around() -> None:
    model = nn.Sequential(nn.Linear(8, 8), _Expanded())
    optimizer = AdamW(model.parameters())
    before = state(model, optimizer)
    range_test(model, optimizer, loader(), _LOSS, num_it=10, isolation="restore")
    assert state(model, optimizer) == before


def test_a_model_that_copies_itself_in_its_own_way_is_restored() -> None:
    class Selfish(nn.Linear):
        def __deepcopy__(self, memo: Any) -> Selfish:
            return self

    class Forgetful(nn.Linear):
        def __deepcopy__(self, memo: Any) -> nn.Linear:
            return nn.Linear(8, 3)

    for model in (Selfish(8, 3), Forgetful(8, 3)):
        assert _uncopied(model)
        optimizer = AdamW(model.parameters())
        before = state(model, optimizer)
        assert len(range_test(model, optimizer, loader(), _LOSS)) > 10
        assert state(model, optimizer) == before
        with pytest.raises(ValueError, match="has other parameters or buffers"):
            isolate(_subject(model), "copy", None)


class _Untying(nn.Linear):
    """Copies itself with a weight of its own, whoever else has it."""

    def __deepcopy__(self, _memo: Any) -> _Untying:
        twin = _Untying(self.in_features, self.out_features, bias=False)
        twin.load_state_dict(self.state_dict())
        return twin


def _scripted(linear: nn.Linear) -> nn.Module:
    scripted: nn.Module = torch.jit.script(linear)
    return scripted


@pytest.mark.parametrize("finish", [lambda head: head, _scripted])
def test_weights_that_a_copy_would_untie_train_on_the_original(finish: Any) -> None:
    words = nn.Embedding(10, 4)
    head = (nn.Linear if finish is _scripted else _Untying)(4, 10, bias=False)
    head.weight = words.weight
    model = nn.Sequential(words, finish(head))
    optimizer = SGD(model.parameters(), lr=0.1)
    batches = [(torch.arange(8) % 5, torch.arange(8))]
    curves = [
        [step.loss for step in RangeTest(model, optimizer, batches, _LOSS, **settings)]
        for settings in ({"num_it": 20}, {"num_it": 20, "isolation": "restore"})
    ]
    assert curves[0] == curves[1]
    with pytest.raises(ValueError, match="isolation='copy' cannot copy the model"):
        list(RangeTest(model, optimizer, batches, _LOSS, isolation="copy"))


class _Hidden(nn.Module):
    """Has parameters that none of its modules holds."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.networks: Any = lambda: [network]

    def parameters(self, recurse: bool = True) -> Any:  # noqa: FBT001, FBT002 (torch's)
        return self.networks()[0].parameters(recurse)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.networks()[0](x)
        return output


def test_parameters_that_a_model_has_elsewhere_train_on_the_original() -> None:
    model = _Hidden(nn.Linear(4, 3))
    optimizer = SGD(model.parameters(), lr=0.1)
    batches = [(torch.ones(5, 4), torch.arange(5) % 3)]
    curves = [
        [step.loss for step in RangeTest(model, optimizer, batches, _LOSS, **settings)]
        for settings in ({"num_it": 20}, {"num_it": 20, "isolation": "restore"})
    ]
    assert curves[0] == curves[1]
    assert len(curves[0]) > 10


def test_hooks_of_parameters_train_on_the_original() -> None:
    model = nn.Linear(8, 3)
    optimizer = SGD(model.parameters(), lr=0.1)
    free = range_test(model, optimizer, loader(), _LOSS)
    model.weight.register_hook(lambda grad: grad.clamp(-1e-3, 1e-3))
    clamped = range_test(model, optimizer, loader(), _LOSS)
    restored = range_test(model, optimizer, loader(), _LOSS, isolation="restore")
    assert clamped.to_dict() == restored.to_dict() != free.to_dict()


def test_one_test_at_a_time_trains_a_model_itself() -> None:
    model, optimizer = warm(_OPTIMIZERS["sgd"])
    before = state(model, optimizer)

    def test() -> RangeTest:
        return RangeTest(model, optimizer, loader(), _LOSS, isolation="restore")

    first, early = iter(test()), iter(test())
    next(first)
    with pytest.raises(RuntimeError, match="race is training this model itself"):
        iter(test())
    with pytest.raises(RuntimeError, match="race is training this model itself"):
        next(early)
    first.close()
    assert state(model, optimizer) == before
    assert len(list(test())) > 10


def test_a_copy_that_fails_leaves_the_random_states() -> None:
    class Drawing(nn.Linear):
        def __deepcopy__(self, memo: Any) -> Drawing:
            torch.rand(1)
            raise ZeroDivisionError

    model = Drawing(8, 3)
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match="cannot copy"):
        iter(RangeTest(model, SGD(model.parameters()), loader(), isolation="copy"))
    assert torch.equal(torch.get_rng_state(), before)


def test_objects_that_functions_refer_to_are_restored() -> None:
    loss = nn.BatchNorm1d(3)
    model = nn.Linear(8, 3)

    def loss_fn(norm: Any, outputs: torch.Tensor, _y: torch.Tensor) -> Any:
        return norm(outputs).square().mean() + outputs.square().mean()

    for function in (partial(loss_fn, loss), partial(loss_fn, loss.forward)):
        range_test(
            *(model, SGD(model.parameters(), lr=0.1), loader(), function),
            isolation="restore",
        )
        assert loss.num_batches_tracked == 0
        assert torch.equal(loss.running_mean, torch.zeros(3))  # type: ignore[arg-type]  # it has one


class _Pointing(nn.Module):
    """A model with a part that leads back to it, in one way or another."""

    noting: Any

    def __init__(self, way: str) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 3)
        self.register_buffer("seen", torch.zeros(()))
        if way == "hook":
            self.linear.register_forward_hook(lambda *_: self.note())
        elif way == "attribute":
            self.noting = lambda: self.note() or None
        elif way == "method":
            note = self.note
            self.noting = lambda: note() or None
        elif way == "decorated":
            self.linear.register_forward_hook(torch.no_grad()(lambda *_: self.note()))
        elif way == "default":
            self.noting = lambda itself=self: itself.note() or None
        elif way == "boxed":
            box = {"model": [self]}
            self.noting = lambda: box["model"][0].note() or None
        elif way == "buffer":
            seen = self.get_buffer("seen")
            self.linear.register_forward_hook(lambda *_: seen.add_(1) and None)
        elif way == "nested":
            self.noting = lambda: [self.note() for _ in range(2)] or None
        elif way == "weak reference":
            self.itself: Any = weakref.ref(self)

    def note(self) -> Any:
        self.get_buffer("seen").add_(1)

    def forward(self, inputs: torch.Tensor) -> Any:
        if hasattr(self, "noting"):
            self.noting()
        if hasattr(self, "itself"):
            self.itself().note()
        return self.linear(inputs)


_WAYS = ("hook", "attribute", "method", "weak reference", "decorated", "default")


@pytest.mark.parametrize("way", [*_WAYS, "boxed", "buffer", "nested"])
def test_a_model_that_points_back_to_itself_is_restored(way: str) -> None:
    model = _Pointing(way)
    optimizer = SGD(model.parameters(), lr=0.1)
    before = state(model, optimizer)
    assert len(range_test(model, optimizer, loader(), _LOSS, num_it=10)) == 10
    assert state(model, optimizer) == before
    with pytest.raises(ValueError, match="cannot copy"):
        range_test(model, optimizer, loader(), _LOSS, isolation="copy")


class _Plain:
    """An optimizer that is none of torch's, as far as its classes go."""

    def __init__(self, parameters: Any) -> None:
        self.param_groups: Any = [{"params": list(parameters), "lr": 0.1}]
        self.moments = {0: torch.zeros(())}
        self.steps = 0

    def zero_grad(self) -> None:
        for parameter in self.param_groups[0]["params"]:
            parameter.grad = None

    def step(self) -> None:
        self.steps += 1
        self.moments[0] += 1
        for parameter in self.param_groups[0]["params"]:
            parameter.data -= self.param_groups[0]["lr"] * parameter.grad


@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_an_optimizer_of_another_class(isolation: Any) -> None:
    model = nn.Linear(8, 3)
    optimizer: Any = _Plain(model.parameters())
    before = state(model)
    curve = range_test(model, optimizer, loader(), _LOSS, isolation=isolation)
    assert np.ptp(curve.losses) > 0.1
    assert state(model) == before
    assert (optimizer.steps, optimizer.moments[0]) == (0, 0)
    assert optimizer.param_groups[0]["lr"] == 0.1


class _Wrapper(SGD):
    """An optimizer around another one, made without torch's constructor."""

    def __init__(self, base: Any) -> None:
        self.base = base

    param_groups = property(lambda self: self.base.param_groups)
    state = property(lambda self: self.base.state)

    def step(self, closure: Any = None) -> Any:
        return self.base.step(closure)

    def zero_grad(self, *_: Any) -> None:
        self.base.zero_grad()


def test_a_copy_leaves_the_class_of_the_optimizer() -> None:
    model = nn.Linear(8, 3)
    optimizer = _Wrapper(SGD(model.parameters(), lr=0.1, momentum=0.9))
    before, step = state(model, optimizer.base), _Wrapper.step
    curve = range_test(model, optimizer, loader(), _LOSS, isolation="copy")
    assert np.ptp(curve.losses) > 0.1
    assert state(model, optimizer.base) == before
    assert _Wrapper.step is step
    optimizer.step()


class _Settings:
    kind: str | None = None


class _Configured(nn.Linear):
    """A model that notes in its settings what it was called for."""

    def __init__(self) -> None:
        super().__init__(8, 3)
        self.settings = _Settings()

    def forward(self, inputs: torch.Tensor) -> Any:
        self.settings.kind = "classification"
        return super().forward(inputs)


@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_the_attributes_of_objects_in_a_model(isolation: Any) -> None:
    model = _Configured()
    optimizer = SGD(model.parameters(), lr=0.1)
    range_test(model, optimizer, loader(), _LOSS, num_it=5, isolation=isolation)
    assert vars(model.settings) == {}


@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_a_module_that_only_a_function_knows(isolation: Any) -> None:
    norm = nn.BatchNorm1d(3)
    model = nn.Linear(8, 3)
    before = state(norm)
    range_test(
        *(model, SGD(model.parameters(), lr=0.1), loader()),
        lambda outputs, targets: _LOSS(norm(outputs), targets),
        num_it=5,
        isolation=isolation,
    )
    assert state(norm) == before


def test_the_attributes_of_parameters_follow_the_copy() -> None:
    class Choosy(SGD):
        def step(self, closure: Any = None) -> Any:
            for parameter in self.param_groups[0]["params"]:
                if getattr(parameter, "freeze", False):
                    parameter.grad = None
            return super().step(closure)

    model = nn.Linear(8, 3)
    model.weight.freeze = True  # type: ignore[attr-defined]  # any attribute
    optimizer = Choosy(model.parameters(), lr=0.1)
    copied, restored = (
        range_test(model, optimizer, loader(), _LOSS, isolation=isolation)
        for isolation in ("copy", "restore")
    )
    assert copied.to_dict() == restored.to_dict()


def test_hooks_of_the_parameters_of_a_loss_train_on_the_original() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))
            self.scale.register_hook(lambda grad: 0 * grad)

        def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> Any:
            return _LOSS(outputs, targets) * self.scale.square()

    model, loss_fn = nn.Linear(8, 3), Scaled()
    optimizer = SGD([*model.parameters(), *loss_fn.parameters()], lr=0.1)
    found, restored = (
        range_test(model, optimizer, loader(), loss_fn, isolation=isolation)
        for isolation in ("auto", "restore")
    )
    assert found.to_dict() == restored.to_dict()


def test_a_part_that_is_no_other_when_copied() -> None:
    class Same(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(()))

        def __deepcopy__(self, memo: Any) -> Same:
            return self

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            self.get_buffer("seen").add_(1)
            return inputs

    model = nn.Sequential(Same(), nn.Linear(8, 3))
    optimizer = SGD(model.parameters(), lr=0.1)
    before = state(model)
    range_test(model, optimizer, loader(), _LOSS, num_it=5)
    assert state(model) == before


def _with_default(model: nn.Module) -> Any:
    return lambda itself=model: _penalty(itself)


def _penalty(model: nn.Module, _unused: int = 0) -> torch.Tensor:
    return torch.stack([p.square().sum() for p in model.parameters()]).sum()


@pytest.mark.parametrize("way", ["parameters", "helper", "default", "comprehension"])
def test_a_loss_that_leads_to_the_original(way: str) -> None:
    model = nn.Linear(8, 3)
    parameters, helper = list(model.parameters()), partial(_penalty, model)
    functions: dict[str, Any] = {
        "parameters": lambda: sum(p.square().sum() for p in parameters),
        "helper": lambda: helper(),  # noqa: PLW0108 (a function of a function)
        "default": _with_default(model),
        "comprehension": lambda: sum(_penalty(m) for m in [model]),
    }
    penalty = functions[way]
    optimizer = SGD(model.parameters(), lr=0.1)
    before = state(model, optimizer)
    curve = range_test(
        *(model, optimizer, loader()),
        lambda outputs, targets: _LOSS(outputs, targets) + penalty(),
        num_it=5,
    )
    assert len(curve) == 5
    assert state(model, optimizer) == before


def test_a_name_of_an_attribute_is_no_name_of_the_model() -> None:
    names = {"model": nn.Linear(8, 3), "cross_entropy": nn.functional.cross_entropy}
    exec("loss = lambda out, y: cross_entropy(getattr(out.T, 'T'), y, None)", names)  # noqa: S102 (for globals of its own)
    exec("other = lambda out, y: cross_entropy(out.model, y)", names)  # noqa: S102 (as above)
    model: Any = names["model"]
    for name in ("loss", "other"):
        subject = isolate(_subject(model, names[name]), "auto", None).components
        assert subject.model is not model


def test_another_module_may_be_trained_meanwhile() -> None:
    linear, norm = nn.Linear(8, 3), nn.BatchNorm1d(3)
    teacher = nn.Sequential(linear, norm)
    model = nn.Linear(8, 3)

    def training_step(model: nn.Module, batch: Any) -> torch.Tensor:
        return nn.functional.mse_loss(model(batch[0]), teacher(batch[0]))

    parts: Any = model, SGD(model.parameters(), lr=0.1), loader()
    steps = iter(RangeTest(*parts, training_step=training_step, num_it=5))
    next(steps)
    with torch.no_grad():
        linear.weight.add_(1)
        trained = linear.weight.clone()
    list(steps)
    assert torch.equal(linear.weight, trained)
    assert norm.num_batches_tracked == 0
    assert all(parameter.grad is None for parameter in teacher.parameters())


class _Skipping(SGD):
    """It knows some of its parameters by their identity."""

    def __init__(self, parameters: Any, skip: Any, way: Any) -> None:
        super().__init__(parameters, lr=0.1)
        self.skipped, self.found = way(list(skip)), [0]

    def step(self, closure: Any = None) -> Any:
        known = str(self.skipped)
        groups = self.param_groups
        self.found[0] += sum(str(id(p)) in known for g in groups for p in g["params"])
        return super().step(closure)


@pytest.mark.parametrize(
    "way",
    [
        lambda skip: {id(p) for p in skip},
        lambda skip: {id(p): 0.5 for p in skip},
        lambda skip: {"skip": [(id(p), 0.5) for p in skip]},
        lambda skip: frozenset(map(id, skip)),
    ],
)
def test_an_optimizer_that_knows_parameters_by_id_trains_them(way: Any) -> None:
    model = nn.Linear(8, 3)
    counts: list[int] = []
    optimizer = _Skipping(model.parameters(), [model.weight], way)
    optimizer.register_step_post_hook(lambda o, *_: counts.append(o.found[0]))
    before = state(model, optimizer)
    batches = loader(generator=torch.Generator())
    range_test(model, optimizer, batches, _LOSS, num_it=3)
    assert sorted(set(counts)) == [1, 2, 3]
    assert state(model, optimizer) == before
    with pytest.raises(ValueError, match="optimizer knows parameters by their id; pas"):
        range_test(model, optimizer, batches, _LOSS, isolation="copy")


class _Around(Optimizer):
    """It steps with another optimizer, of which it keeps the groups and the state."""

    def __init__(self, base: Optimizer) -> None:
        super().__init__(base.param_groups, {})
        self.base = base
        self.param_groups, self.state = base.param_groups, base.state

    def step(self, closure: Any = None) -> Any:
        return self.base.step(closure)


def test_an_optimizer_in_an_optimizer_is_copied_with_its_attributes() -> None:
    model = nn.Linear(8, 3)
    inner = _Skipping(model.parameters(), [], list)
    original = Components(model, _Around(inner))
    copies = isolate(original, "copy", None).components
    optimizer: Any = copies.optimizer
    assert optimizer.base.param_groups is optimizer.param_groups
    assert optimizer.base.skipped == []
    assert optimizer.base.found is not inner.found
    assert optimizer.param_groups[0]["params"][0] is copies.model.weight


def test_an_optimizer_with_a_function_of_the_model_trains_the_original() -> None:
    model = nn.Linear(8, 3)
    optimizer = SGD(model.parameters(), lr=0.1)
    vars(optimizer)["project"] = lambda: model.weight.detach().clamp_(-1, 1)
    with pytest.raises(ValueError, match="a function that uses the original"):
        isolate(Components(model, optimizer), "copy", None)


def _follows(averages: Any) -> Any:
    def training_step(model: nn.Module, batch: Any) -> torch.Tensor:
        if isinstance(averages, AveragedModel):
            averages.update_parameters(model)
        with torch.no_grad():
            pairs = zip(averages.parameters(), model.parameters(), strict=True)
            for average, parameter in pairs:
                average.lerp_(parameter, 0.1)
        loss: torch.Tensor = _LOSS(model(batch[0]), batch[1])
        return loss

    return training_step


_AVERAGES: dict[str, Any] = {
    "frozen": lambda m: copy.deepcopy(m).requires_grad_(requires_grad=False),
    "averaged": AveragedModel,
    "list": lambda m: [p.detach().clone() for p in m.parameters()],
    "dict": lambda m: {name: x.clone() for name, x in m.state_dict().items()},
}


def _tensors(averages: Any) -> list[torch.Tensor]:
    held = averages.state_dict() if isinstance(averages, nn.Module) else averages
    return list(held.values() if isinstance(held, dict) else held)


def _follow(averages: Any, model: nn.Module) -> None:
    if isinstance(averages, AveragedModel):
        averages.update_parameters(model)
    else:
        pairs = zip(_tensors(averages), model.state_dict().values(), strict=True)
        for average, weight in pairs:
            average.lerp_(weight, 0.1)


@pytest.mark.parametrize("isolation", ["copy", "restore"])
@pytest.mark.parametrize("kind", list(_AVERAGES))
@pytest.mark.parametrize("in_an_object", [True, False])
def test_an_average_that_only_the_step_knows(
    kind: str, isolation: Any, *, in_an_object: bool
) -> None:
    model = nn.Linear(8, 3)
    averages = _AVERAGES[kind](model)
    before = [tensor.clone() for tensor in _tensors(averages)]
    holder = SimpleNamespace(averages=averages)

    def by_name(model: nn.Module, batch: Any) -> Any:
        _follow(averages, model)
        return _LOSS(model(batch[0]), batch[1])

    def by_object(model: nn.Module, batch: Any) -> Any:
        _follow(holder.averages, model)
        return _LOSS(model(batch[0]), batch[1])

    test = RangeTest(
        *(model, SGD(model.parameters(), lr=0.1), loader()),
        training_step=by_object if in_an_object else by_name,
        num_it=5,
        isolation=isolation,
    )
    moved = [_tensors(averages)[0].clone() for _ in test]
    assert len(moved) == 5
    assert kind == "averaged" or not torch.equal(moved[0], moved[-1])
    assert all(map(torch.equal, _tensors(averages), before))


@pytest.mark.parametrize("isolation", ["copy", "restore"])
@pytest.mark.parametrize("kind", ["frozen", "averaged", "evaluated"])
def test_a_teacher_that_only_the_step_knows(kind: str, isolation: Any) -> None:
    model = nn.Linear(8, 3)
    teachers: dict[str, nn.Module] = {
        "frozen": copy.deepcopy(model).requires_grad_(requires_grad=False),
        "averaged": AveragedModel(model),
        "evaluated": nn.Sequential(copy.deepcopy(model).eval()),
    }
    teacher = teachers[kind]
    before = copy.deepcopy(teacher.state_dict())
    optimizer = SGD(model.parameters(), lr=0.1)
    step = _follows(teacher)
    test = RangeTest(
        model, optimizer, loader(), training_step=step, num_it=5, isolation=isolation
    )
    moved = [next(iter(teacher.parameters())).clone() for _ in test]
    after = teacher.state_dict()
    assert not torch.equal(moved[0], moved[-1])
    assert all(torch.equal(after[name], value) for name, value in before.items())


class _Averages:
    """A moving average of parameters that is no module, as that of diffusers."""

    def __init__(self, model: nn.Module) -> None:
        self.shadow = [p.detach().clone() for p in model.parameters()]
        self.updates = 0

    def update(self, model: nn.Module) -> None:
        self.updates += 1
        for average, parameter in zip(self.shadow, model.parameters(), strict=True):
            average.lerp_(parameter.detach(), 0.1)


@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_averages_that_only_the_step_knows(isolation: Any) -> None:
    model = nn.Linear(8, 3)
    averages, by_name = _Averages(model), dict(copy.deepcopy(model).named_parameters())
    before = copy.deepcopy((averages.shadow, by_name))
    updates = []

    def training_step(model: nn.Module, batch: Any) -> torch.Tensor:
        averages.update(model)
        updates.append(averages.updates)
        for name, parameter in model.named_parameters():
            by_name[name].data.lerp_(parameter.data, 0.1)
        loss: torch.Tensor = _LOSS(model(batch[0]), batch[1])
        return loss

    optimizer, settings = SGD(model.parameters(), lr=0.1), {"isolation": isolation}
    range_test(
        model, optimizer, loader(), training_step=training_step, num_it=5, **settings
    )
    assert (updates, averages.updates) == ([1, 2, 3, 4, 5], 0)
    torch.testing.assert_close((averages.shadow, by_name), before, rtol=0, atol=0)


@pytest.mark.parametrize("part", ["outside", "inside"])
def test_an_optimizer_that_only_the_step_knows(part: str) -> None:
    def parts() -> Any:
        torch.manual_seed(0)
        pair = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 3)])
        own = SGD(pair[0].parameters(), lr=0.1)
        other = SGD(pair[1].parameters(), lr=0.1, momentum=0.9)

        def training_step(model: Any, batch: Any) -> torch.Tensor:
            first, second = model if part == "inside" else (model, pair[1])
            other.zero_grad()
            _LOSS(second(first(batch[0]).detach()), batch[1]).backward()
            other.step()
            loss: torch.Tensor = _LOSS(second(first(batch[0])), batch[1])
            return loss

        return pair, own, other, training_step

    data = list(loader())
    pair, own, other, step = parts()
    before = state(pair, own), state(pair, other)
    curve = range_test(
        pair if part == "inside" else pair[0], own, data, training_step=step, num_it=5
    )
    assert (state(pair, own), state(pair, other)) == before
    pair, own, _, step = parts()
    expected = []
    for lr, batch in zip(curve.lrs, data, strict=False):
        own.param_groups[0]["lr"] = lr
        loss = step(pair if part == "inside" else pair[0], batch)
        own.zero_grad()
        loss.backward()
        own.step()
        expected.append(loss.item())
    assert list(curve.losses[: len(expected)]) == expected


@pytest.mark.parametrize("way", ["loss_fn", "training_step", "one optimizer"])
def test_a_loss_with_parameters_and_an_optimizer(way: str) -> None:
    def parts() -> Any:
        torch.manual_seed(0)
        model, loss = nn.Linear(8, 8), _Proxies()
        own, of_loss = [SGD(x.parameters(), lr=0.1) for x in (model, loss)]
        return model, loss, [of_loss, own]

    data = list(loader())
    model, loss, optimizers = parts()
    before = state(model), state(loss)
    together = SGD([*loss.parameters(), *model.parameters()], lr=0.1)
    curve = range_test(
        model,
        together if way == "one optimizer" else optimizers,
        data,
        loss if way == "loss_fn" else None,
        training_step=None if way == "loss_fn" else lambda m, b: loss(m(b[0]), b[1]),
        num_it=5,
    )
    assert (state(model), state(loss)) == before
    model, loss, optimizers = parts()
    expected = []
    for lr, batch in zip(curve.lrs, data, strict=False):
        value = loss(model(batch[0]), batch[1])
        for each in optimizers:
            each.zero_grad()
        value.backward()
        for each in optimizers:
            each.param_groups[0]["lr"] = lr
            each.step()
        expected.append(value.item())
    assert list(curve.losses[: len(expected)]) == expected
    test = RangeTest(model, optimizers[1], data, loss, num_it=2)
    assert len(list(test)) == 2
    assert test.notices[0].startswith("loss_fn has 2 trainable parameters that no")


class _Proxies(nn.Module):
    """A loss with parameters, as those of metric learning are."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 3)

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        loss: torch.Tensor = _LOSS(self.head(outputs), targets)
        return loss
