"""What each worker of a test does."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import ray
from ray import cloudpickle, train
from ray.train.torch import prepare_data_loader, prepare_model
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, RandomSampler, SequentialSampler

from lrwidget.backends.ray.building import built, seed_all
from lrwidget.backends.ray.courier import Courier
from lrwidget.backends.ray.errors import failure_of
from lrwidget.backends.ray.messages import Hello, worker_in_words
from lrwidget.curve.history import numbered
from lrwidget.engine.distributed.process_groups import sharded_states
from lrwidget.engine.range_test import RangeTest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from torch import nn

    from lrwidget.backends.ray.messages import Work
    from lrwidget.curve.lr_curve import Step, StopReason


def work(config: dict[str, Any]) -> None:
    """Run the test as one of its ranks, the first of which tells what comes of it."""
    task: Work = config["work"]
    rank: int = train.get_context().get_world_rank()
    where = worker_in_words(f"worker {rank}")
    resources = ray.util.get_current_placement_group()
    ray.get(task.mailbox.put.remote(Hello(rank, where, resources)))
    begun = False
    try:
        test = _test_of(task, rank)
        begun = True
        reason = _run(test, task, rank)
    except BaseException as error:
        failure = failure_of(where, error, apply_stop_rule=begun)
        ray.get(task.mailbox.put.remote(failure))
        raise
    if reason is not None:
        ray.get(task.mailbox.put.remote(reason))


def _test_of(task: Work, rank: int) -> RangeTest:
    model, optimizer, dataloader, loss_fn, more = built(
        cloudpickle.loads(task.build), task.seed
    )
    seed_all(task.seed + rank)  # not the same dropout on all of them
    settings = {**cloudpickle.loads(task.settings), **more}
    share = _share_of(dataloader)
    return RangeTest(_parallel(model), optimizer, share, loss_fn, **settings)


def _run(test: RangeTest, task: Work, rank: int) -> StopReason | None:
    if rank == 0:
        return _sent(iter(test), Courier(task.mailbox))
    for _ in test:
        pass
    return None


def _share_of(dataloader: Iterable[Any]) -> Iterable[Any]:
    """Return the share of this worker, if the loader has no sampler of its own."""
    if (
        not isinstance(dataloader, DataLoader)
        or dataloader.batch_size is None
        or type(dataloader.sampler) not in {SequentialSampler, RandomSampler}
    ):
        return dataloader
    # One that moves its batches would end with its first epoch.
    share: DataLoader[Any] = prepare_data_loader(dataloader, move_to_device=False)
    return share


def _parallel(model: nn.Module) -> nn.Module:
    """Return a model that trains with those of the other workers."""
    if isinstance(model, DistributedDataParallel) or sharded_states(model):
        return model
    parallel: nn.Module = prepare_model(model)
    return parallel


def _sent(steps: Generator[Step, None, StopReason], courier: Courier) -> StopReason:
    with closing(courier), closing(numbered(0, steps)) as parts:
        for _, item in parts:
            if isinstance(item, str):
                return item
            courier.add(item)
            if courier.stopping:
                break
    return "stopped"
