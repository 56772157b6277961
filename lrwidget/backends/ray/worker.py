"""The training of a run on a worker of a Ray cluster."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import ray
import torch
from ray import cloudpickle
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, RandomSampler, SequentialSampler

from lrwidget.backends.ray.errors import failure_of
from lrwidget.backends.ray.mailbox import Courier, Hello
from lrwidget.curve.history import Ended, Stepped
from lrwidget.curve.short_repr import short_repr
from lrwidget.engine.distributed import context
from lrwidget.engine.distributed.process_groups import sharded_states
from lrwidget.engine.range_test import RangeTest
from lrwidget.engine.thread_settings import ThreadSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from torch import nn

    from lrwidget.curve.lr_curve import Step, StopReason

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


class Work(NamedTuple):
    """
    The training of one run.

    Attributes
    ----------
    run:
        The number of the run.
    build:
        The function that makes the components of the training, pickled.
    settings:
        The settings of `RangeTest`, pickled.
    seed:
        The seed of the random numbers that ``build`` sees.
    name:
        The name of a worker that trains alone.
    lr, steps:
        The rate of a training at a constant rate, and the number of its steps; None
        for a range test.
    mailbox:
        The actor that takes the messages of the worker.
    """

    run: int
    build: bytes
    settings: bytes
    seed: int
    name: str = ""
    lr: float | None = None
    steps: int = 0
    mailbox: Any = None


def train_alone(work: Work) -> None:
    """Train on this worker alone."""
    with suppress(Exception, SystemExit):  # sent to the mailbox
        _train(work, None)


def train_together(config: dict[str, Any]) -> None:
    """Train as one of the ranks that Ray Train has started."""
    # Ray Train reads the environment when it is imported, and takes long.
    from ray import train  # noqa: PLC0415

    _train(config["work"], train.get_context().get_world_rank())


def _train(work: Work, rank: int | None) -> None:
    """Train, and send how that ends; the first rank sends the steps, too."""
    where = _place_of(work.name if rank is None else f"worker {rank}")
    resources = ray.util.get_current_placement_group()
    _send(work, Hello(work.run, rank or 0, where, resources))
    begun = False
    try:
        test = _test_of(work, rank)
        begun = True
        steps = _steps_of(test, work)
        if rank:
            for _ in steps:
                pass
            return
        reason = _send_steps(steps, work)
    except BaseException as error:
        failure = failure_of(where, error, begun=begun)
        if rank is None:  # there is no other worker whose failure it could follow from
            failure = failure._replace(collateral=False)
        _send(work, failure)
        raise
    _send(work, Ended(work.run, reason))


def _place_of(name: str) -> str:
    """Return the name of a worker, with its node and its process."""
    node = ray.util.get_node_ip_address()
    return f"{name} (node {node}, pid {os.getpid()})"


def _send(work: Work, message: object) -> None:
    """Return when a message is in the mailbox."""
    ray.get(work.mailbox.put.remote(message))


def _send_steps(steps: Generator[Step, None, StopReason], work: Work) -> StopReason:
    """Send all steps, and return the reason of their end."""
    with closing(Courier(work.mailbox)) as courier, closing(steps):
        while not courier.stopping:
            try:
                step = next(steps)
            except StopIteration as end:
                reason: StopReason = end.value
                return reason
            courier.add(Stepped(work.run, step))
    return "stopped"


def _steps_of(test: RangeTest, work: Work) -> Generator[Step, None, StopReason]:
    settings = ThreadSettings()
    if work.lr is None:
        return test.start(settings)
    return test.at(work.lr, work.steps).start(settings, context.new())


def _test_of(work: Work, rank: int | None) -> RangeTest:
    """Return the range test of this worker."""
    _seed_all(work.seed)  # the same weights on all workers
    components, more = _build(cloudpickle.loads(work.build))
    model, optimizer, dataloader, loss_fn = components
    settings = {**cloudpickle.loads(work.settings), **more}
    if rank is not None:
        _seed_all(work.seed + rank)  # another dropout on each
        model, dataloader = _parallel(model), _share_of(dataloader)
    return RangeTest(model, optimizer, dataloader, loss_fn, **settings)


def _build(build: Callable[[], Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """
    Return the components of a training, and further arguments of `RangeTest`.

    Raises
    ------
    TypeError, ValueError
        If the function does not return what `LRWidget.on_ray` describes.
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
    """Return the share of this worker, unless the loader has a sampler of its own."""
    from ray.train.torch import prepare_data_loader  # noqa: PLC0415 (see above)

    if (
        not isinstance(dataloader, DataLoader)
        or dataloader.batch_size is None
        or type(dataloader.sampler) not in {SequentialSampler, RandomSampler}
    ):
        return dataloader
    # A loader that moves its batches ends after its first epoch.
    share: DataLoader[Any] = prepare_data_loader(dataloader, move_to_device=False)
    return share


def _parallel(model: nn.Module) -> nn.Module:
    """Return a model that trains together with those of the other workers."""
    from ray.train.torch import prepare_model  # noqa: PLC0415 (see above)

    if isinstance(model, DistributedDataParallel) or sharded_states(model):
        return model
    parallel: nn.Module = prepare_model(model)
    return parallel


def _seed_all(seed: int) -> None:
    """Seed the random numbers of Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (the generator that users draw from)
    torch.manual_seed(seed)
