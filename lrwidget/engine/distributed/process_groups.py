"""Private process groups of a test, over which its model and its ranks communicate."""

from __future__ import annotations

import inspect
from contextlib import ExitStack, contextmanager, suppress
from copy import deepcopy
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from lrwidget.config import is_kind
from lrwidget.curve.short_repr import short_repr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import nn
    from typing_extensions import Self

_CPU = torch.device("cpu")
_MEBI = 2**20
_TAG = 2**30  # of a message that no rank sends
# The attributes of the states of torch's communication hooks with process groups.
_OF_A_HOOK = ("process_group", "subgroup")
# The groups of the latest test with communication hooks. Callbacks of a hook run in a
# thread of gloo, and may end after the step that waits for their result. If one were
# the last owner of its group, the thread would wait for itself, which aborts Python.
_used_by_hooks: list[dist.ProcessGroup] = []


class AsyncSum:
    """The sums of numbers over all ranks, exchanged while the training goes on."""

    # Each rank sends its numbers to each other rank. gloo would do an all-reduce in
    # threads of its own, which take a core from the training at each step.

    def __init__(self, numbers: Sequence[float], group: dist.ProcessGroup) -> None:
        own, size = dist.get_rank(), dist.get_world_size()
        of_all = [[0.0] * len(numbers)] * size
        of_all[own] = list(numbers)
        self._numbers = torch.tensor(of_all, dtype=torch.float64, device=_CPU)
        rows = self._numbers.unbind()
        others = [rank for rank in range(size) if rank != own]
        sent = [dist.isend(rows[own], rank, group) for rank in others]
        self._messages = sent + [dist.irecv(rows[rank], rank, group) for rank in others]

    def wait(self) -> list[float]:
        """Wait for the numbers, and return the sums: the same bits on all ranks."""
        for message in self._messages:
            message.wait()  # type: ignore[union-attr]  # None is for a rank outside a group
        return self._numbers.sum(0).tolist()


class PrivateGroups:
    """The process groups of one test; ``all_ranks`` is for tensors in main memory."""

    # A rank that fails disconnects these groups, so that no other rank waits for it;
    # the process groups of the user stay unchanged.

    def __init__(self) -> None:
        timeout = timeout_of(dist.group.WORLD)
        self.all_ranks = dist.new_group(backend="gloo", timeout=timeout)
        self._twins: dict[dist.ProcessGroup, dist.ProcessGroup] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        groups = (self.all_ranks, *self._twins.values())
        for group in groups:
            if error is not None and "cpu:gloo" in dist.get_backend_config(group):
                _disconnect(group)
        for group in groups:
            dist.destroy_process_group(group)

    def twins(self) -> list[dist.ProcessGroup]:
        """Return the groups of this test that stand for groups of the model."""
        return list(self._twins.values())

    def twin(self, group: dist.ProcessGroup) -> dist.ProcessGroup:
        """Return a private group of the same ranks; all ranks call it at once."""
        if group not in self._twins:
            # All ranks make all groups. The names of groups that only their members
            # make are used again, and the store still has the earlier addresses.
            every: list[Any] = [None] * dist.get_world_size()
            own = dist.get_process_group_ranks(group)
            dist.all_gather_object(every, own, group=self.all_ranks)
            for ranks in sorted({tuple(ranks) for ranks in every}):
                made = dist.new_group(list(ranks), timeout=timeout_of(group))
                if dist.get_rank() in ranks:
                    self._twins[group] = made
        return self._twins[group]


def timeout_of(group: Any) -> timedelta:  # noqa: ANN401 (of torch's private parts)
    """Return the timeout of a process group."""
    with suppress(AttributeError, RuntimeError):  # of a backend without one
        timeout: timedelta = group._get_backend(_CPU).options._timeout  # noqa: SLF001 (torch has no other way)
        return timeout
    return dist.default_pg_timeout


def _disconnect(group: dist.ProcessGroup) -> None:
    """Make every wait in a group fail, on all ranks, by closing its connections."""
    # Destroying the group closes no connection while a reference to it exists, for
    # example in a traceback. But gloo closes all of them after a timeout: here of a
    # wait for a message that no rank sends.
    message = torch.empty(1, device=_CPU)
    for other in dist.get_process_group_ranks(group):
        if other == dist.get_rank():
            continue
        try:
            work = dist.irecv(message, src=other, group=group, tag=_TAG)
            if work is not None:
                work.wait(timedelta(milliseconds=1))
        except RuntimeError as error:
            # The connection to a lost rank is closed already, which closes no other.
            if "imed out" in str(error):
                return


def replicated(model: nn.Module) -> nn.Module:
    """Return the module in `DistributedDataParallel`, or the model itself."""
    inner: nn.Module = model
    if type(model) is DistributedDataParallel:
        inner = model.module
    return inner


@contextmanager
def communicating(
    model: nn.Module, original: nn.Module, groups: PrivateGroups
) -> Iterator[nn.Module]:
    """Make a model, a copy or the original, communicate over private groups."""
    if replicated(original) is not original:
        wrapped = _wrapped_as(original, replicated(model), groups)
        try:
            yield wrapped
        finally:
            # A traceback may keep the wrapper alive, whose hooks would still run. If
            # the reducer were the last owner of its group, torch would hold the GIL and
            # wait for the threads of the group, which may need it in order to end.
            if vars(original)["_comm_hooks"]:
                _used_by_hooks[:] = groups.twins()
            wrapped.reducer._remove_autograd_hooks()  # noqa: SLF001 (torch has no other way)
            del wrapped.reducer, wrapped.logger
        return
    with ExitStack() as stack:
        states = sharded_states(model)
        meshes = {id(mesh): mesh for state in states for mesh in _meshes(state)}
        for mesh in meshes.values():
            for name, group in list(vars(mesh).items()):
                if isinstance(group, dist.ProcessGroup):
                    stack.callback(setattr, mesh, name, group)
                    setattr(mesh, name, groups.twin(group))
        yield model


def _wrapped_as(
    wrapper: nn.Module, module: nn.Module, groups: PrivateGroups
) -> DistributedDataParallel:
    """Wrap a module with the settings of an existing wrapper."""
    parameters = inspect.signature(DistributedDataParallel.__init__).parameters
    kept = vars(wrapper)
    settings = {name: kept[name] for name in parameters if name in kept}
    settings.pop("device_mesh", None)
    cap = None if kept["bucket_bytes_cap_default"] else kept["bucket_bytes_cap"] / _MEBI
    settings |= {
        "module": module,
        "device_ids": None,
        "output_device": None,
        "process_group": groups.twin(kept["process_group"]),
        "bucket_cap_mb": cap,
        "init_sync": False,
    }
    wrapped = DistributedDataParallel(**settings)
    for hook, state in kept["_comm_hooks"]:
        wrapped.register_comm_hook(_state_for(hook, state, groups), hook)
    return wrapped


def _state_for(hook: Callable[..., Any], state: Any, groups: PrivateGroups) -> Any:  # noqa: ANN401 (any state)
    """Return a copy of the state of a communication hook, for private groups."""
    if state is None and hook.__module__.startswith("torch."):
        state = dist.group.WORLD  # the meaning of None for the hooks of torch
    if isinstance(state, dist.ProcessGroup):
        return groups.twin(state)
    kept = {name: getattr(state, name, None) for name in _OF_A_HOOK}
    twins = {
        name: groups.twin(group)
        for name, group in kept.items()
        if isinstance(group, dist.ProcessGroup)
    }
    try:
        own = deepcopy(state, {id(kept[name]): twin for name, twin in twins.items()})
    except Exception as error:
        msg = (
            f"model has a communication hook whose state {short_repr(state)} cannot be "
            f"copied: {error}; pass a model without it"
        )
        raise ValueError(msg) from error
    for name, twin in twins.items():
        setattr(own, name, twin)
    return own


def _meshes(state: Any) -> list[Any]:  # noqa: ANN401 (of torch's private parts)
    """Return the objects in a state of FSDP2 that hold its process groups."""
    # Torch 2.4 has one group for each state.
    groups = getattr(state, "_fsdp_param_groups", None) or [state._fsdp_param_group]  # noqa: SLF001 (torch has no other way)
    both = [(x.mesh_info, x.post_forward_mesh_info) for x in groups if x]
    return [mesh for pair in both for mesh in pair if mesh]


def sharded_states(model: nn.Module) -> list[Any]:
    """Return the states that FSDP2 keeps beside the modules of a model."""
    return [module._get_fsdp_state() for module in _sharded(model)]  # noqa: SLF001 (torch has no other way)


def recover(model: nn.Module) -> None:
    """Reset a sharded model after an error in the midst of a step."""
    for module in _sharded(model):
        # The root resets all others; torch 2.4 has no such method.
        if module._get_fsdp_state()._is_root and hasattr(module, "reset_iter_state"):  # noqa: SLF001 (torch has no other way)
            module.reset_iter_state()


def _sharded(model: nn.Module) -> list[Any]:
    return [module for module in model.modules() if is_kind(module, "FSDPModule")]
