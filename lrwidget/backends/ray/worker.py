"""The training of a run on a worker of a Ray cluster."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Mapping
from contextlib import closing, contextmanager
from datetime import timedelta
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

import numpy as np
import ray
import torch
from ray import cloudpickle
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import (
    DataLoader,
    DistributedSampler,
    RandomSampler,
    SequentialSampler,
)

from lrwidget.backends.ray.errors import failure_of
from lrwidget.curve.short_repr import short_repr
from lrwidget.engine.distributed import context
from lrwidget.engine.distributed.process_groups import sharded_states
from lrwidget.engine.race import RaceRun, run_in_turn
from lrwidget.engine.range_test import RangeTest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from torch import nn

    from lrwidget.curve.history import Event, Plan
    from lrwidget.engine.loop import Validations

_COMPONENTS = 4
# The widget shows these settings, or writes the file.
_OF_THE_WIDGET = {
    "start_lr",
    "end_lr",
    "num_it",
    "step_mode",
    "stop_div",
    "seed",
    "record",
}
# The settings of a loader that the share of a rank keeps.
_OF_A_LOADER = (
    *("dataset", "batch_size", "num_workers", "collate_fn", "pin_memory", "drop_last"),
    *("timeout", "worker_init_fn", "multiprocessing_context", "generator"),
    *("prefetch_factor", "persistent_workers"),
)
_SECONDS_BETWEEN_MESSAGES = 0.05
_SECONDS_TO_WAIT_FOR_A_RANK = 60


class Rank(NamedTuple):
    """The place of a worker in a process group, and the address of its store."""

    number: int
    size: int
    host: str
    port: int


class Work(NamedTuple):
    """The training of a worker: a race at one rate if its plan has only one."""

    run: int
    name: str
    plan: Plan
    build: bytes  # pickled, as the settings are
    settings: bytes
    seed: int  # of the random numbers that build sees
    use_gpu: bool
    validations: Validations | None = "each rate"  # None for none
    rank: Rank | None = None  # None for a worker that trains alone


class Hello(NamedTuple):
    """The first message of a worker: its name and its place."""

    where: str


def train(work: Work) -> Iterator[list[Any]]:
    """
    Train on this worker, and yield lists of its messages.

    The messages are a `Hello`, the events of the run (a rank other than the first one
    sends none), and a `Failure` if the training fails.
    """
    node = ray.util.get_node_ip_address()
    where = f"{work.name} (node {node}, pid {os.getpid()})"
    yield [Hello(where)]
    # A message takes as long as some steps of a small training: each has many events.
    messages: SimpleQueue[Any] = SimpleQueue()
    sending = (work, where, messages.put)
    thread = threading.Thread(target=_train, args=sending, daemon=True)
    thread.start()
    while thread.is_alive() or not messages.empty():
        thread.join(_SECONDS_BETWEEN_MESSAGES)
        if not messages.empty():
            yield [messages.get() for _ in range(messages.qsize())]


def _train(work: Work, where: str, send: Callable[[Any], object]) -> None:
    """Join the process group if any, train, and send the events and the error."""
    alone = work.rank is None  # there is no other worker whose failure could be first
    try:
        with _process_group(work):
            _train_in_group(work, where, send)
    except BaseException as error:  # noqa: BLE001 (raised in the other process)
        send(failure_of(where, error, begun=alone))


def _train_in_group(work: Work, where: str, send: Callable[[Any], object]) -> None:
    """Train, and send the events and the error: to leave the group may take long."""
    begun = work.rank is None
    try:
        test = _test_of(work)
        begun = True
        with closing(_events_of(test, work)) as events:
            for event in events:
                if work.rank is None or work.rank.number == 0:
                    send(event._replace(run=work.run))
    except BaseException as error:  # noqa: BLE001 (raised in the other process)
        send(failure_of(where, error, begun=begun))


@contextmanager
def _process_group(work: Work) -> Iterator[None]:
    """Join the process group of a test on several workers, as torchrun does it."""
    if work.rank is None:
        yield
        return
    number, size, host, port = work.rank
    variables = {"RANK": number, "WORLD_SIZE": size, "LOCAL_RANK": 0}
    address = {"MASTER_ADDR": host, "MASTER_PORT": port}
    timeout = timedelta(seconds=_SECONDS_TO_WAIT_FOR_A_RANK)
    store = dist.TCPStore(host, port, is_master=False, timeout=timeout)  # type: ignore[attr-defined]  # torch documents it there
    # The process may train for other jobs before and afterwards.
    with patch.dict(os.environ, {k: str(v) for k, v in (variables | address).items()}):
        dist.init_process_group(
            # The ranks agree on values in main memory.
            "cpu:gloo,cuda:nccl" if work.use_gpu else "gloo",
            store=store,
            rank=number,
            world_size=size,
            timeout=timeout,
        )
        context.restart_count()
        try:
            yield
        finally:
            dist.destroy_process_group()


def _events_of(test: RangeTest, work: Work) -> Generator[Event, None, None]:
    """Start a range test, or a training at a constant rate."""
    plan = work.plan
    if plan.start_lr < plan.end_lr:
        return run_in_turn([test], [test.plan])
    validations = work.validations or "each rate"
    run = test.at(plan.start_lr, plan.num_it, validations=validations)
    return run_in_turn([RaceRun(run, 0)], [plan])


def _test_of(work: Work) -> RangeTest:
    """Return the range test of this worker."""
    _seed_all(work.seed)  # the same weights on all workers
    components, more = _build(cloudpickle.loads(work.build))
    model, optimizer, dataloader, loss_fn = components
    settings = {**cloudpickle.loads(work.settings), **more}
    if work.validations is None:
        settings["val_loader"] = None
    if work.rank is not None:
        _seed_all(work.seed + work.rank.number)  # another dropout on each
        model = _parallel(model, work)
        dataloader = _share_of(dataloader)
    elif work.use_gpu:
        settings.setdefault("device", "cuda")
    return RangeTest(model, optimizer, dataloader, loss_fn, **settings)


def _build(build: Callable[[], Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """
    Return the components of a training, and further arguments of `RangeTest`.

    Raise TypeError or ValueError if ``build`` returns anything else than what
    `LRWidget.on_ray` describes.
    """
    made = build()
    name = f"build={short_repr(build)}"
    if not isinstance(made, tuple) or len(made) not in {_COMPONENTS, _COMPONENTS + 1}:
        msg = (
            f"{name} has returned {short_repr(made)}; return (model, optimizer, "
            "dataloader, loss_fn), and maybe a dict of further arguments"
        )
        raise TypeError(msg)
    more = made[_COMPONENTS] if len(made) > _COMPONENTS else {}
    if not isinstance(more, Mapping):
        msg = (
            f"{name} has returned {short_repr(more)} as its fifth item; return a dict "
            'of arguments of RangeTest there, such as {"val_loader": loader}'
        )
        raise TypeError(msg)
    for argument in more:
        if argument in _OF_THE_WIDGET:
            msg = (
                f"{name} has returned {argument}={short_repr(more[argument])}, which "
                "the widget has to know; pass it to LRWidget.on_ray or to run"
            )
            raise ValueError(msg)
    return made[:_COMPONENTS], dict(more)


def _share_of(dataloader: Iterable[Any]) -> Iterable[Any]:
    """Return the share of this rank, unless the loader has a sampler of its own."""
    if (
        not isinstance(dataloader, DataLoader)
        or dataloader.batch_size is None
        or type(dataloader.sampler) not in {SequentialSampler, RandomSampler}
        or dist.get_world_size() == 1
    ):
        return dataloader
    shuffle = isinstance(dataloader.sampler, RandomSampler)
    sampler: DistributedSampler[Any] = DistributedSampler(
        dataloader.dataset, shuffle=shuffle
    )
    settings = {name: getattr(dataloader, name) for name in _OF_A_LOADER}
    return DataLoader(**settings, sampler=sampler)


def _parallel(model: nn.Module, work: Work) -> nn.Module:
    """Return a model that trains together with those of the other ranks."""
    if isinstance(model, DistributedDataParallel) or sharded_states(model):
        return model
    if work.use_gpu:
        model.to("cuda")
    return model if dist.get_world_size() == 1 else DistributedDataParallel(model)


def _seed_all(seed: int) -> None:
    """Seed the random numbers of Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (the generator that users draw from)
    torch.manual_seed(seed)
