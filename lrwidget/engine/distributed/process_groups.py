"""Private process groups of a test, over which its model communicates."""

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
    from collections.abc import Callable, Iterator

    from torch import nn

_CPU = torch.device("cpu")
_MEBI = 2**20
_TAG = 2**30  # of a message that no rank sends
# The attributes of FSDP2 with process groups.
_OF_A_MESH = (
    "shard_process_group",
    "replicate_process_group",
    "reduce_scatter_process_group",
)
# The attributes of the states of torch's communication hooks with process groups.
_OF_A_HOOK = ("process_group", "subgroup")


class PrivateGroups:
    """
    The process groups of one test.

    A rank that fails disconnects these groups, so that no other rank waits for it; the
    process groups of the user stay unchanged.

    Attributes
    ----------
    all_ranks:
        The group of all ranks, for tensors in main memory.
    """

    def __init__(self) -> None:
        self.all_ranks = dist.new_group(backend="gloo", timeout=default_timeout())
        self._twins: dict[dist.ProcessGroup, dist.ProcessGroup] = {}

    def destroy(self) -> None:
        """Destroy all groups."""
        for group in (self.all_ranks, *self._twins.values()):
            dist.destroy_process_group(group)

    def twin(self, group: dist.ProcessGroup) -> dist.ProcessGroup:
        """
        Return a private group of the same ranks as a group of the user.

        All ranks call this at the same time, each with the group that it belongs to.
        """
        if group not in self._twins:
            for ranks in self._parted(dist.get_process_group_ranks(group)):
                made = dist.new_group(ranks, timeout=_timeout(group))
                if dist.get_rank() in ranks:
                    self._twins[group] = made
        return self._twins[group]

    def _parted(self, own: list[int]) -> list[list[int]]:
        """Return the ranks of all groups, given the group of this rank."""
        if len(own) == dist.get_world_size():
            return [own]
        # All ranks make all groups. The names of groups that only their members make
        # are used again, and the store still has the earlier addresses under them.
        every: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(every, own, group=self.all_ranks)
        return sorted({tuple(ranks): ranks for ranks in every}.values())

    def disconnect(self) -> None:
        """Make every wait in these groups fail, on all ranks, as far as gloo can."""
        for group in (self.all_ranks, *self._twins.values()):
            if "cpu:gloo" in dist.get_backend_config(group) and group.size() > 1:
                _disconnect(group)


def default_timeout() -> timedelta:
    """Return the timeout of the default process group."""
    return _timeout(dist.group.WORLD)


def _timeout(group: Any) -> timedelta:  # noqa: ANN401 (of torch's private parts)
    """Return the timeout of a process group."""
    with suppress(AttributeError, RuntimeError):  # of a backend without one
        timeout: timedelta = group._get_backend(_CPU).options._timeout  # noqa: SLF001 (torch has no other way)
        return timeout
    return dist.default_pg_timeout


def _disconnect(group: dist.ProcessGroup) -> None:
    """
    Close the connections of a group.

    Destroying the group closes no connection while a reference to the group exists, for
    example in a traceback. But gloo closes all connections after a timeout.
    """
    others = [x for x in dist.get_process_group_ranks(group) if x != dist.get_rank()]
    # The connection to a lost rank is closed already, which closes no other one.
    any(_times_out(other, group) for other in others)


def _times_out(other: int, group: dist.ProcessGroup) -> bool:
    """Wait for a message that no rank sends, and return whether that timed out."""
    message = torch.empty(1, device="cpu")
    try:
        work = dist.irecv(message, src=other, group=group, tag=_TAG)
        if work is not None:
            work.wait(timedelta(milliseconds=1))
    except RuntimeError as error:
        return "imed out" in str(error)
    return False


def replicated(model: nn.Module) -> nn.Module:
    """Return the module in `DistributedDataParallel`, or the model itself."""
    if type(model) is not DistributedDataParallel:
        return model
    inner: nn.Module = model.module
    return inner


@contextmanager
def communicating(
    model: nn.Module, original: nn.Module, groups: PrivateGroups
) -> Iterator[nn.Module]:
    """
    Make a model communicate over private groups.

    Parameters
    ----------
    model:
        The original, or a copy of the module in its wrapper.
    original:
        The model of the user.
    groups:
        The private groups.
    """
    if replicated(original) is not original:
        wrapped = _wrapped_as(original, replicated(model), groups)
        try:
            yield wrapped
        finally:
            # A traceback may keep the wrapper alive, whose hooks would still run.
            wrapped.reducer._remove_autograd_hooks()  # noqa: SLF001 (torch has no other way)
        return
    with ExitStack() as stack:
        states = sharded_states(model)
        meshes = {id(mesh): mesh for state in states for mesh in _meshes(state)}
        for mesh in meshes.values():
            for name in _OF_A_MESH:
                group = getattr(mesh, name, None)
                if group is not None:
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
    settings["device_ids"] = settings["output_device"] = None
    settings.pop("device_mesh", None)
    cap = None if kept["bucket_bytes_cap_default"] else kept["bucket_bytes_cap"] / _MEBI
    settings |= {
        "module": module,
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
    if state is None:
        # For torch's own hooks, None is the group of all ranks.
        if not hook.__module__.startswith("torch."):
            return None
        state = dist.distributed_c10d._get_default_group()  # noqa: SLF001 (torch has no other way)
    if isinstance(state, dist.ProcessGroup):
        return groups.twin(state)
    kept = [getattr(state, name, None) for name in _OF_A_HOOK]
    try:
        own = deepcopy(state, {id(group): group for group in kept})
    except Exception as error:
        msg = (
            f"model has a communication hook whose state {short_repr(state)} cannot be "
            f"copied: {error}; pass a model without it"
        )
        raise ValueError(msg) from error
    for name in _OF_A_HOOK:
        group = getattr(own, name, None)
        if isinstance(group, dist.ProcessGroup):
            setattr(own, name, groups.twin(group))
    return own


def _meshes(state: Any) -> list[Any]:  # noqa: ANN401 (of torch's private parts)
    """Return the objects in a state of FSDP2 that hold its process groups."""
    # Torch 2.4 has one group for each state.
    kept = getattr(state, "_fsdp_param_groups", None) or [state._fsdp_param_group]  # noqa: SLF001 (torch has no other way)
    groups = [group for group in kept if group is not None]
    both = [(x.mesh_info, x.post_forward_mesh_info) for x in groups]
    return [mesh for pair in both for mesh in pair if mesh is not None]


def sharded_states(model: nn.Module) -> list[Any]:
    """Return the states that FSDP2 keeps beside the modules of a model."""
    return [module._get_fsdp_state() for module in _sharded(model)]  # noqa: SLF001 (torch has no other way)


def recover(model: nn.Module) -> None:
    """Reset a sharded model after an error in the midst of a step."""
    for module, state in zip(_sharded(model), sharded_states(model), strict=True):
        # The root resets all others; torch 2.4 has no such method.
        if state._is_root and hasattr(module, "reset_iter_state"):  # noqa: SLF001 (torch has no other way)
            module.reset_iter_state()


def _sharded(model: nn.Module) -> list[Any]:
    return [module for module in model.modules() if is_kind(module, "FSDPModule")]
