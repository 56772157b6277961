"""Process groups of a test's own, over which a model communicates meanwhile."""

from __future__ import annotations

import inspect
from contextlib import ExitStack, contextmanager, suppress
from copy import deepcopy
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from lrwidget.curve.short_repr import shown
from lrwidget.engine.kinds import is_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

_CPU = torch.device("cpu")
_MEBI = 2**20
_TAG = 2**30  # of a message that nobody sends
# What FSDP2 has its process groups in.
_OF_A_MESH = (
    "shard_process_group",
    "replicate_process_group",
    "reduce_scatter_process_group",
)
# What the states of torch's communication hooks have them in.
_OF_A_HOOK = ("process_group", "subgroup")


class OwnGroups:
    """
    Process groups of a test's own.

    A rank that fails can cut them, so that no other one waits for it, and those of the
    user are as they were.

    Attributes
    ----------
    all_ranks:
        That of all ranks, for tensors in main memory.
    """

    def __init__(self) -> None:
        self.all_ranks = dist.new_group(backend="gloo", timeout=default_timeout())
        self._twins: dict[dist.ProcessGroup, dist.ProcessGroup] = {}

    def destroy(self) -> None:
        """Let there be none of them any more."""
        for group in (self.all_ranks, *self._twins.values()):
            dist.destroy_process_group(group)

    def twin(self, group: dist.ProcessGroup) -> dist.ProcessGroup:
        """
        Return an own group of the same ranks.

        All ranks ask for one at the same time, each for that of its own group.
        """
        if group not in self._twins:
            for ranks in self._parted(dist.get_process_group_ranks(group)):
                made = dist.new_group(ranks, timeout=_timeout(group))
                if dist.get_rank() in ranks:
                    self._twins[group] = made
        return self._twins[group]

    def _parted(self, own: list[int]) -> list[list[int]]:
        """Return all groups of ranks, each of which knows its own."""
        if len(own) == dist.get_world_size():
            return [own]
        # All ranks make all groups. Those that only their members make have names
        # that come again, under which the store still has the addresses of before.
        every: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(every, own, group=self.all_ranks)
        return sorted({tuple(ranks): ranks for ranks in every}.values())

    def cut(self) -> None:
        """Let all that wait in them fail, on every rank, as far as that can be done."""
        for group in (self.all_ranks, *self._twins.values()):
            if "cpu:gloo" in dist.get_backend_config(group) and group.size() > 1:
                _cut(group)


def default_timeout() -> timedelta:
    """Return how long ranks wait for each other."""
    return _timeout(dist.group.WORLD)


def _timeout(group: Any) -> timedelta:  # noqa: ANN401 (of torch's private parts)
    """Return that of a process group."""
    with suppress(AttributeError, RuntimeError):  # of a backend that tells none
        timeout: timedelta = group._get_backend(_CPU).options._timeout  # noqa: SLF001 (torch has no other way)
        return timeout
    return dist.default_pg_timeout


def _cut(group: dist.ProcessGroup) -> None:
    """
    Close the connections of a group.

    To destroy it closes none as long as somebody refers to it, the traceback of an
    error, say. But gloo closes all of them where a message does not come in time.
    """
    others = [x for x in dist.get_process_group_ranks(group) if x != dist.get_rank()]
    # Of one that is gone, the connection is closed already, and no other one by that.
    any(_waits_in_vain(other, group) for other in others)


def _waits_in_vain(other: int, group: dist.ProcessGroup) -> bool:
    """Wait for a message that nobody sends; return whether one could wait."""
    message = torch.empty(1, device="cpu")
    try:
        work = dist.irecv(message, src=other, group=group, tag=_TAG)
        if work is not None:
            work.wait(timedelta(milliseconds=1))
    except RuntimeError as error:
        return "imed out" in str(error)
    return False


def replicated(model: nn.Module) -> nn.Module:
    """Return what is in torch's wrapper that averages gradients, or a model itself."""
    if type(model) is not DistributedDataParallel:
        return model
    inner: nn.Module = model.module
    return inner


@contextmanager
def communicating(
    model: nn.Module, original: nn.Module, groups: OwnGroups
) -> Iterator[nn.Module]:
    """
    Have a model communicate over groups of the test's own.

    Parameters
    ----------
    model:
        The original, or a copy of what is in its wrapper.
    original:
        The user's model.
    groups:
        The groups.
    """
    if replicated(original) is not original:
        wrapped = _wrapped_as(original, replicated(model), groups)
        try:
            yield wrapped
        finally:
            # Who keeps an error keeps the wrapper, whose hooks would go on.
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
    wrapper: nn.Module, module: nn.Module, groups: OwnGroups
) -> DistributedDataParallel:
    """Wrap a module as another one is, with the same settings."""
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


def _state_for(hook: Callable[..., Any], state: Any, groups: OwnGroups) -> Any:  # noqa: ANN401 (whatever a hook wants)
    """Return the state of a communication hook as it is for the test's own groups."""
    if state is None:
        # Torch's own hooks take that for the group of all ranks.
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
            f"model has a communication hook whose state {shown(state)} cannot be "
            f"copied: {error}; pass a model without it"
        )
        raise ValueError(msg) from error
    for name in _OF_A_HOOK:
        group = getattr(own, name, None)
        if isinstance(group, dist.ProcessGroup):
            setattr(own, name, groups.twin(group))
    return own


def _meshes(state: Any) -> list[Any]:  # noqa: ANN401 (of torch's private parts)
    """Return where a state of FSDP2 has its process groups."""
    # Torch 2.4 has one for each state.
    kept = getattr(state, "_fsdp_param_groups", None) or [state._fsdp_param_group]  # noqa: SLF001 (torch has no other way)
    groups = [group for group in kept if group is not None]
    both = [(x.mesh_info, x.post_forward_mesh_info) for x in groups]
    return [mesh for pair in both for mesh in pair if mesh is not None]


def sharded_states(model: nn.Module) -> list[Any]:
    """Return what FSDP2 keeps beside the modules of a model that it has sharded."""
    return [module._get_fsdp_state() for module in _sharded(model)]  # noqa: SLF001 (torch has no other way)


def recover(model: nn.Module) -> None:
    """Let a sharded model forget a step in whose midst there was an error."""
    for module, state in zip(_sharded(model), sharded_states(model), strict=True):
        # The root knows all the others, and torch 2.4 has no way back.
        if state._is_root and hasattr(module, "reset_iter_state"):  # noqa: SLF001 (torch has no other way)
            module.reset_iter_state()


def _sharded(model: nn.Module) -> list[Any]:
    return [module for module in model.modules() if is_kind(module, "FSDPModule")]
