"""What the ranks of a `Pool` play: each function is one scene, as one rank has it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import tempfile
import threading
import time
from contextlib import closing, suppress
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import distributed as dist
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.distributed.algorithms.ddp_comm_hooks.post_localSGD_hook import (
    PostLocalSGDState,
    post_localSGD_hook,
)
from torch.distributed.algorithms.ddp_comm_hooks.powerSGD_hook import (
    PowerSGDState,
    powerSGD_hook,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

from lrwidget import LRWidget, RangeTest, race, range_test, verify
from lrwidget.curve.history import Ended, Event, Stepped
from lrwidget.curve.race_history import race_plans
from lrwidget.curve.records.store import LocalStore, store_of
from lrwidget.engine.distributed import context, rank_errors
from lrwidget.engine.distributed.process_groups import AsyncSum
from lrwidget.engine.race import race_runs, run_in_turn

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from torch import Tensor
    from torch.optim import Optimizer

TALKING = ["without_a_store"]  # those that say something before their end
BATCH = 4
STEPS = 40
SETTINGS: dict[str, Any] = {"start_lr": 1e-4, "end_lr": 0.5, "num_it": STEPS}


def data(batches: int, size: int = 1) -> TensorDataset:
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(batches * size * BATCH, 6, generator=generator).double()
    return TensorDataset(inputs, inputs[:, :3].sum(1, keepdim=True).sin())


def layers() -> nn.Sequential:
    torch.manual_seed(5)
    parts = [nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 1)]
    return nn.Sequential(*parts).double()


def optimizer_of(model: nn.Module, kind: str = "sgd") -> Optimizer:
    if kind == "sgd":
        return torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    return torch.optim.AdamW(model.parameters(), 0.01)


def model_of(kind: str) -> nn.Module:
    model = layers()
    if kind == "ddp":
        return DistributedDataParallel(model)
    if kind == "fsdp":
        for part in model:
            if isinstance(part, nn.Linear):
                fully_shard(part)
        fully_shard(model)
    if kind == "hsdp":
        mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("copies", "shards"))
        fully_shard(model, mesh=mesh)
    return model


def own_batches(batches: int = STEPS) -> DataLoader[Any]:
    every = data(batches, dist.get_world_size())
    return DataLoader(every, BATCH, sampler=DistributedSampler(every, shuffle=False))


def found(test: RangeTest) -> dict[str, Any]:
    for _ in test:
        pass
    return curve_of(test)


def curve_of(test: RangeTest) -> dict[str, Any]:
    curve = test.curve
    return {
        "lrs": curve.lrs.tolist(),
        "losses": curve.losses.tolist(),
        "stop_reason": curve.stop_reason,
    }


def curve(kind: str, optimizer: str = "sgd", **settings: Any) -> dict[str, Any]:
    """Run a test of a model that is replicated or sharded."""
    model = model_of(kind)
    trained = optimizer_of(model, optimizer)
    loader = own_batches(settings.pop("batches", STEPS))
    if settings.get("val_loader"):
        settings["val_loader"] = held_out()
    every = {**SETTINGS, **settings}
    return found(RangeTest(model, trained, loader, nn.MSELoss(), **every))


def held_out(share: bool = True) -> list[tuple[Tensor, Tensor]]:  # noqa: FBT001, FBT002 (a part, or all)
    """Return 10 samples: the first rank has 7 of them, in three batches."""
    inputs, target = data(10).tensors
    inputs, target = inputs[:10], target[:10]
    if not share:
        return [(inputs, target)]
    if dist.get_rank() == 0:
        return [(inputs[a:b], target[a:b]) for a, b in ((0, 3), (3, 6), (6, 7))]
    own = dist.get_rank() + 6
    last = 10 if own + 1 == dist.get_world_size() + 6 else own + 1
    return [(inputs[own:last], target[own:last])]


def averaging(optimizer: Optimizer, *_: Any) -> None:
    """Average the gradients of plain replicas, as a user's own hook may."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            dist.all_reduce(parameter.grad)
            parameter.grad /= dist.get_world_size()


def averaged_by_hand() -> dict[str, Any]:
    model = layers()
    optimizer = optimizer_of(model)
    optimizer.register_step_pre_hook(averaging)
    return found(RangeTest(model, optimizer, own_batches(), nn.MSELoss(), **SETTINGS))


def unequal_batches(sizes: list[int]) -> dict[str, Any]:
    """Have each rank its own batch size, and return its first loss, too."""
    model = layers()
    size = sizes[dist.get_rank()]
    first = dist.get_rank() * 10
    inputs, target = data(9)[first : first + size]
    test = RangeTest(
        model, optimizer_of(model), [(inputs, target)], nn.MSELoss(), **SETTINGS
    )
    own = nn.functional.mse_loss(model(inputs), target).item()
    return {"own": own, **found(test)}


def unequal_streams(kind: str, counts: list[int]) -> Any:
    model, optimizer = trained_before(kind)
    batches = list(own_batches())[: counts[dist.get_rank()]]
    test = RangeTest(model, optimizer, iter(batches), nn.MSELoss(), **SETTINGS)
    return outcome(test, model, optimizer)


def restored_original() -> list[dict[str, Any]]:
    """Test the same model on a copy, and as it is."""
    curves = []
    for isolation in ("copy", "restore"):
        model, optimizer = trained_before("ddp")
        test = RangeTest(
            *(model, optimizer, own_batches(), nn.MSELoss()),
            **SETTINGS,
            isolation=isolation,
        )
        curves.append(outcome(test, model, optimizer))
    return curves


def not_finite_somewhere() -> Any:
    loss_fn = Faulty(1, 5, "nan")
    model, optimizer = trained_before("ddp")
    test = RangeTest(model, optimizer, own_batches(), loss_fn, **SETTINGS)
    return outcome(test, model, optimizer)


def recorded(path: str) -> Any:
    """Run a test with a record, of whose folder only the first rank knows."""
    model = model_of("ddp")
    path = path if dist.get_rank() == 0 else "/nowhere/run.jsonl"
    test = RangeTest(
        *(model, optimizer_of(model), own_batches(), nn.MSELoss()),
        **SETTINGS,
        record=path,
    )
    return found(test)["losses"]


def raced() -> list[list[float]]:
    model = model_of("ddp")
    curves = race(
        *(model, optimizer_of(model), own_batches(), nn.MSELoss()),
        rates=[0.01, 0.1],
        steps=5,
    )
    return [curve.losses.tolist() for curve in curves]


def verified(kind: str) -> Any:
    """Return the lanes of a verification, with the losses of their validations."""
    model = model_of(kind)
    optimizer = optimizer_of(model)
    before = state(model, optimizer)
    found = verify(
        *(model, optimizer, own_batches(), nn.MSELoss()),
        **SETTINGS,
        val_loader=held_out(),
        total_steps=30,
    )
    return {
        "lanes": [[x.lr, x.losses.tolist(), x.val_loss] for x in found.lanes],
        "samples": [x.val_samples.tolist() for x in found.lanes],
        "verdict": found.verdict,
        "as before": state(model, optimizer) == before,
    }


def other_settings(kind: str, name: str, values: list[Any]) -> Any:
    model, optimizer = trained_before(kind)
    settings = {**SETTINGS, name: values[dist.get_rank()]}
    test = RangeTest(model, optimizer, own_batches(), nn.MSELoss(), **settings)
    return outcome(test, model, optimizer)


def other_rates(rates: list[list[float]]) -> Any:
    model, optimizer = trained_before("ddp")
    test = RangeTest(model, optimizer, own_batches(), nn.MSELoss(), **SETTINGS)
    events = race_of(test, rates[dist.get_rank()])
    steps = (event.step for event in events if isinstance(event, Stepped))
    ended = outcome(steps, model, optimizer)
    ended["again"] = trains_on(model, optimizer)
    return ended


def begun_by(ranks: list[int]) -> Any:
    """Let only some ranks begin."""
    if dist.get_rank() not in ranks:
        return None
    model, optimizer = trained_before("plain")
    test = RangeTest(model, optimizer, own_batches(), nn.MSELoss(), **SETTINGS)
    return outcome(test, model, optimizer)


def stopped(kind: str, rank: int, steps: int) -> Any:
    """Let one rank stop after some steps, and train on with all of them."""
    model, optimizer = trained_before(kind)
    test = RangeTest(model, optimizer, own_batches(), nn.MSELoss(), **SETTINGS)
    own = islice(iter(test), steps) if dist.get_rank() == rank else test
    ended = outcome(own, model, optimizer)
    del own
    ended["as before"] = state(model, optimizer) == ended.pop("before")
    ended["stop_reason"] = test.curve.stop_reason
    ended["again"] = trains_on(model, optimizer)
    return ended


def state(model: nn.Module, optimizer: Optimizer) -> str:
    """Return a digest of every bit of a training that is in this rank's memory."""
    digest = hashlib.sha256()
    tensors = [*model.parameters(), *model.buffers()]
    grads = [tensor.grad for tensor in model.parameters()]
    kept = [dict(optimizer.state[p]) for p in model.parameters()]
    for item in (*tensors, *grads, *(x for d in kept for x in sorted(d.items()))):
        for part in item if isinstance(item, tuple) else (item,):
            digest.update(_bits(part))
    modes = [module.training for module in model.modules()]
    rates = [group["lr"] for group in optimizer.param_groups]
    randoms = random.getstate(), np.random.get_state(), torch.get_rng_state().tolist()  # noqa: NPY002
    digest.update(repr((modes, rates, randoms)).encode())
    return digest.hexdigest()


def _bits(value: Any) -> bytes:
    if isinstance(value, torch.Tensor):
        value = getattr(value, "_local_tensor", value).detach()
        return bytes(value.contiguous().flatten().view(torch.uint8).numpy())
    return repr(value).encode()


def trained_before(kind: str) -> tuple[nn.Module, Optimizer]:
    """Return a model and an optimizer in the midst of a training."""
    model = model_of(kind)
    optimizer = optimizer_of(model, "adamw")
    for inputs, target in list(own_batches(4))[:2]:
        optimizer.zero_grad()
        nn.functional.mse_loss(model(inputs), target).backward()
        optimizer.step()
    return model, optimizer


class FaultyLoader:
    """A loader that fails at its n-th batch on one rank."""

    def __init__(self, rank: int, call: int, error: Exception) -> None:
        self.rank, self.call, self.error = rank, call, error

    def __iter__(self) -> Iterator[Any]:
        for number, batch in enumerate(own_batches(), 1):
            if dist.get_rank() == self.rank and number == self.call:
                raise self.error
            yield batch


class Faulty(nn.Module):
    """A loss that does something at its n-th call on one rank, or on all."""

    def __init__(self, rank: int | None, call: int, fault: str) -> None:
        super().__init__()
        self.rank, self.call, self.fault = rank, call, fault
        self.calls = 0

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        loss = nn.functional.mse_loss(outputs, target)
        self.calls += 1
        here = self.rank is None or dist.get_rank() == self.rank
        if here and self.calls == self.call:
            return _FAULTS[self.fault](loss)
        return loss


class _FailingBackward(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, loss: Tensor) -> Tensor:
        return loss.clone()

    @staticmethod
    def backward(_ctx: Any, *_grads: Tensor) -> Any:
        msg = "no backward today"
        raise ValueError(msg)


def _raise(_loss: Tensor) -> Tensor:
    msg = "no loss today"
    raise ValueError(msg)


def _raise_lost_connection(_loss: Tensor) -> Tensor:
    msg = "Connection to the database lost (gloo, NCCL)"
    raise RuntimeError(msg)


def _modify(loss: Tensor) -> Tensor:
    """Have torch itself raise a RuntimeError in the backward pass."""
    factor = loss.exp()
    product = factor * loss
    factor.detach().zero_()
    return product


def _interrupt(_loss: Tensor) -> Tensor:
    raise KeyboardInterrupt


def _kill(_loss: Tensor) -> Tensor:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def _nan(loss: Tensor) -> Tensor:
    return loss * torch.nan


def _slow(loss: Tensor) -> Tensor:
    time.sleep(2)
    return loss


_FAULTS = {
    "forward": _raise,
    "connection": _raise_lost_connection,
    "backward": _FailingBackward.apply,
    "modified": _modify,
    "interrupt": _interrupt,
    "kill": _kill,
    "nan": _nan,
    "slow": _slow,
}


def outcome(test: Iterable[Any], model: nn.Module, optimizer: Optimizer) -> Any:
    """Return how a test ends on this rank, and whether all is as it was before."""
    before = state(model, optimizer)
    steps: list[list[float]] = []
    ended: dict[str, Any] = {}
    try:
        for lr, loss in ((step.lr, step.loss) for step in test):
            steps.append([lr, loss])
    except BaseException as error:  # noqa: BLE001 (it is the result)
        ended = {"error": type(error).__name__, "words": str(error)}
        ended["rank"] = getattr(error, "rank", None)
    return {
        **ended,
        "steps": steps,
        "as before": state(model, optimizer) == before,
        "before": before,
    }


def fault(
    kind: str, rank: int, call: int, fault: str, *, train_on: bool = True, **more: Any
) -> Any:
    """Have something happen on one rank, and then train on with all of them."""
    model, optimizer = trained_before(kind)
    rank_errors._GRACE = timedelta(seconds=2)
    loader: Iterable[Any] = own_batches()
    loss_fn: nn.Module = nn.MSELoss()
    settings: dict[str, Any] = {**SETTINGS, "seed": 0, **more}
    if fault == "loader":
        loader = FaultyLoader(rank, call, ValueError("no batch today"))
    elif fault == "lost batch":
        loader = FaultyLoader(rank, call, RuntimeError("Connection to the disk lost"))
    elif fault == "start":
        settings["isolation"] = "copy"
        getattr(model, "module", model).held = (
            threading.Lock() if dist.get_rank() == rank else None
        )
    elif fault == "record":
        folder = Path(tempfile.mkdtemp())
        settings["record"] = folder / "run.jsonl"
    else:
        loss_fn = Faulty(rank, call, fault)
    test = RangeTest(model, optimizer, loader, loss_fn, **settings)
    if fault == "record":
        folder.rmdir()
    ended = outcome(test, model, optimizer)
    ended["stop_reason"] = test.curve.stop_reason
    if train_on:
        ended["again"] = trains_on(model, optimizer)
    return ended


def fault_on_all(kind: str, fault: str) -> Any:
    """Have the same happen on all ranks at once, and then train on with all of them."""
    model, optimizer = trained_before(kind)
    settings: dict[str, Any] = {**SETTINGS, "seed": 0}
    loss_fn = Faulty(None, 5, fault)
    test = RangeTest(model, optimizer, own_batches(), loss_fn, **settings)
    ended = outcome(test, model, optimizer)
    ended["again"] = trains_on(model, optimizer)
    return ended


def trains_on(model: nn.Module, optimizer: Optimizer) -> list[float]:
    """Return the losses of a test, and of some steps of a training after it."""
    test = RangeTest(model, optimizer, own_batches(), nn.MSELoss(), **SETTINGS)
    losses: list[float] = found(test)["losses"][:3]
    for inputs, target in list(own_batches(4))[:3]:
        optimizer.zero_grad()
        loss: Tensor = nn.functional.mse_loss(model(inputs), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def never_failed(kind: str) -> list[float]:
    return trains_on(*trained_before(kind))


def without_a_store(say: Callable[[str], None]) -> Any:
    """Fail once the store is gone, which is after this scene has said so."""
    model, optimizer = trained_before("ddp")

    def loss_fn(outputs: Tensor, target: Tensor) -> Tensor:
        calls.append(1)
        if len(calls) == 5:
            say("ready")
            _wait_until_the_store_is_gone()
            if dist.get_rank() == 1:
                _raise(outputs)
        return nn.functional.mse_loss(outputs, target)

    calls: list[int] = []
    test = RangeTest(model, optimizer, own_batches(), loss_fn, **SETTINGS)
    return outcome(test, model, optimizer)


def _wait_until_the_store_is_gone() -> None:
    store = dist.distributed_c10d._get_default_store()
    with suppress(dist.DistError):
        while True:
            store.check(["any"])


def asked_to_stop(path: str) -> Any:
    """Have somebody ask the test to stop at its fifth step, by its record."""
    model, optimizer = trained_before("ddp")
    test = RangeTest(
        *(model, optimizer, own_batches(), nn.MSELoss()), **SETTINGS, record=path
    )
    return outcome(_asking(test, path), model, optimizer)


def _asking(test: RangeTest, path: str) -> Iterator[Any]:
    for step in test:
        yield step
        if dist.get_rank() == 0 and step.iteration == 4:
            header = json.loads(Path(path).read_text().partition("\n")[0])
            store_of(path).request_stop(header["test"])


class FailingSgd(torch.optim.SGD):
    """An optimizer whose last step of a test fails on the second rank."""

    steps = 0

    def step(self, closure: Any = None) -> Any:
        type(self).steps += 1
        if dist.get_rank() == 1 and self.steps == STEPS:
            msg = "no last step"
            raise ValueError(msg)
        return super().step(closure)


def failing_last_step(kind: str) -> Any:
    FailingSgd.steps = 0
    model = model_of(kind)
    optimizer = FailingSgd(model.parameters(), 0.01)
    test = RangeTest(model, optimizer, own_batches(), nn.MSELoss(), **SETTINGS)
    return outcome(test, model, optimizer)


def refused_on(rank: int | None, what: str, **bad: Any) -> Any:
    """Pass a bad argument on one rank or all, and a good one on all then."""
    model, optimizer = trained_before("ddp")

    def attempts() -> Iterator[Any]:
        more = bad if rank in {None, dist.get_rank()} else {}
        parts = model, optimizer, own_batches(), nn.MSELoss()
        if what == "race":
            race(*parts, **{"rates": [0.01, 0.1], "steps": 5, **more})
        elif what == "verify":
            verify(*parts, **SETTINGS | more)
        elif what == "range_test":
            range_test(*parts, **SETTINGS | more)
        else:
            yield from RangeTest(*parts, **SETTINGS | more)

    ended = outcome(attempts(), model, optimizer)
    ended["again"] = trains_on(model, optimizer)
    return ended


def refused_settings(rank: int) -> Any:
    """Have a widget's settings refused on one rank, which tells no other rank."""
    model, optimizer = trained_before("ddp")
    widget = LRWidget(model, optimizer, own_batches(), nn.MSELoss(), **SETTINGS)
    if dist.get_rank() == rank:
        bad: list[dict[str, Any]] = [{"num_it": 0}, {"stop_div": 3}]
        for changes in bad:
            with pytest.raises((TypeError, ValueError)):
                widget.run(**changes)
        with pytest.raises(ValueError, match="rates"):
            widget.race([0.0], steps=5)
    widget.close()
    return trains_on(model, optimizer)


def in_use_on(rank: int, *, late: bool) -> Any:
    """Begin a test of a model that another test trains itself on one rank."""
    model, optimizer = trained_before("plain")
    present, other = trained_before("plain")
    if dist.get_rank() == rank:
        present, other = model, optimizer
    parts = own_batches(), nn.MSELoss()
    first = iter(RangeTest(model, optimizer, *parts, **SETTINGS, isolation="restore"))
    test: Any = RangeTest(present, other, *parts, **SETTINGS, isolation="restore")
    if late:
        test = iter(test)
    with closing(first):
        next(first)
        ended = outcome(test, present, other)
    ended["again"] = trains_on(model, optimizer)
    return ended


class Once:
    """A loader with the batches of one training."""

    def __init__(self, count: int) -> None:
        self._inside = iter(list(own_batches())[:count])

    def __iter__(self) -> Iterator[Any]:
        yield from self._inside


def race_of(test: RangeTest, rates: list[float]) -> Generator[Event, None, None]:
    """Start a race of five steps at each rate."""
    plans = race_plans(rates, 5)
    return run_in_turn(race_runs(test, plans), plans)


def raced_on(fault: str, at: list[int]) -> Any:
    """Have something happen between two trainings of a race, on some ranks."""
    model, optimizer = trained_before("ddp")
    here = dist.get_rank() in at
    loader: Iterable[Any] = own_batches()
    if fault == "iterator" and here:
        loader = iter(own_batches())
    elif fault == "empty" and here:
        loader = Once(5)
    test = RangeTest(model, optimizer, loader, nn.MSELoss(), **SETTINGS)

    def started() -> Generator[Event, None, None]:
        if fault == "comparison":
            return run_in_turn([test, test], [test.config.plan] * 2)
        return race_of(test, [0.01, 0.03, 0.1])

    def parts() -> Iterator[Any]:
        with closing(started()) as events:
            for event in events:
                if not isinstance(event, Ended):
                    continue
                ends.append(list(event))
                if here and fault in {"left", "comparison"}:
                    return
        yield from ()

    ends: list[Any] = []
    ended = outcome(parts(), model, optimizer)
    ended["ends"] = ends
    ended["again"] = trains_on(model, optimizer)
    return ended


def left_in_a_race(rank: int) -> Any:
    """Leave a race on one rank in the midst of its first training."""
    model, optimizer = trained_before("ddp")
    test = RangeTest(model, optimizer, own_batches(), nn.MSELoss(), **SETTINGS)
    events = race_of(test, [0.01, 0.1])
    with closing(events):
        own = list(islice(events, 4)) if dist.get_rank() == rank else list(events)
    last = own[-1].reason if isinstance(own[-1], Ended) else None
    return {"last": last, "again": trains_on(model, optimizer)}


def interrupted_before_the_first_step(rank: int, path: str) -> Any:
    """Interrupt the one rank that keeps a record, while it makes that."""
    model, optimizer = trained_before("ddp")

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    test = RangeTest(
        *(model, optimizer, own_batches(), nn.MSELoss()), **SETTINGS, record=path
    )
    with pytest.MonkeyPatch.context() as patched:
        if dist.get_rank() == rank:
            patched.setattr(LocalStore, "clear_stop_request", interrupt)
        return outcome(test, model, optimizer)


def with_a_hook(name: str) -> Any:
    """Run tests of a model with a communication hook of torch's, one that fails too."""
    model = model_of("ddp")
    assert isinstance(model, DistributedDataParallel)
    state = _STATES[name]()
    model.register_comm_hook(state, _HOOKS[name])
    optimizer = optimizer_of(model)
    test = RangeTest(model, optimizer, own_batches(), nn.MSELoss(), **SETTINGS)
    losses = found(test)["losses"]
    fails = RangeTest(
        *(model, optimizer, own_batches(), Faulty(1, 5, "forward")), **SETTINGS
    )
    ended = outcome(fails, model, optimizer)
    ended["again"] = found(test)["losses"]
    ended["rounds"] = getattr(state, "iter", 0)
    ended["trained"] = trains_on(model, optimizer)
    return {"losses": losses, **ended}


_STATES: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "group": lambda: dist.group.WORLD,
    "power": lambda: PowerSGDState(dist.group.WORLD, start_powerSGD_iter=2),
    "local": lambda: PostLocalSGDState(dist.group.WORLD, dist.group.WORLD, 10),
}
_HOOKS: dict[str, Callable[..., Any]] = {
    "none": default_hooks.allreduce_hook,
    "group": default_hooks.allreduce_hook,
    "power": powerSGD_hook,
    "local": post_localSGD_hook,
}


def summed(count: int) -> list[list[float]]:
    """Sum numbers of all ranks some times, all at once."""
    group = dist.group.WORLD
    assert group is not None
    own = 0.1 * (1 + dist.get_rank())
    begun = [AsyncSum([own * number, 1], group) for number in range(count)]
    return [each.wait() for each in begun]


def _counted(patched: pytest.MonkeyPatch, where: Any, name: str) -> list[None]:
    """Return a list that has one more item whenever something is called."""
    calls: list[None] = []
    original = getattr(where, name)

    def counting(*args: Any) -> Any:
        calls.append(None)
        return original(*args)

    patched.setattr(where, name, counting)
    return calls


class Varying:
    """Batches of one sample each, made in the same memory, as many as one says."""

    def __init__(self, counts: list[int], every: slice) -> None:
        inputs, target = data(10).tensors
        self._batches = list(zip(inputs.split(1), target.split(1), strict=True))[every]
        self._counts = iter(counts)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        memory = [torch.empty_like(part) for part in self._batches[0]]
        for batch in self._batches[: next(self._counts)]:
            for part, values in zip(memory, batch, strict=True):
                part.copy_(values)
            yield memory[0], memory[1]


def agreements(kind: str, counts: list[list[int]]) -> dict[str, Any]:
    """Validate on so many batches at each step; return what was agreed on until it."""
    model = model_of(kind)
    rank, size = dist.get_rank(), dist.get_world_size()
    with pytest.MonkeyPatch.context() as patched:
        agreed = _counted(patched, context, "AsyncSum")
        test = RangeTest(
            *(model, optimizer_of(model), own_batches(), nn.MSELoss()),
            val_loader=Varying(counts[rank], slice(rank, None, size)),
            **SETTINGS | {"num_it": len(counts[rank])},
        )
        until = [len(agreed) for _ in test]
    return {"agreed": until, **curve_of(test)}


def kept_wrapper() -> bool:
    """Keep the wrapper of a copy; return whether its reducer is kept with it."""
    model = model_of("ddp")

    def training_step(wrapper: nn.Module, batch: Any) -> Tensor:
        kept.append(wrapper)
        return nn.functional.mse_loss(wrapper(batch[0]), batch[1])

    kept: list[nn.Module] = []
    parts = model, optimizer_of(model), own_batches()
    found(RangeTest(*parts, training_step=training_step, **SETTINGS))
    return hasattr(kept[-1], "reducer")
