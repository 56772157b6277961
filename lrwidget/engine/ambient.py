"""The thread-local settings of torch that a background thread does not inherit."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    Context: TypeAlias = Callable[[], AbstractContextManager[object]]

_AUTOCAST_DEVICES = ("cpu", "cuda", "mps", "xpu")


class Ambient:
    """
    The settings of the thread that makes it, to be entered in any other.

    They are autocast with its dtype, the default device and the current CUDA
    device. Gradients are always on inside it, since a test trains.
    """

    def __init__(self) -> None:
        contexts: list[Context] = [torch.enable_grad]
        if torch.is_inference_mode_enabled():
            contexts.insert(0, partial(torch.inference_mode, mode=False))
        for device in _AUTOCAST_DEVICES:
            if torch.is_autocast_enabled(device):
                dtype = torch.get_autocast_dtype(device)
                contexts.append(partial(torch.autocast, device, dtype))
        default = torch.get_default_device()
        if default != torch.device("cpu"):
            contexts.append(partial(torch.device, default))
        if torch.cuda.is_initialized():
            contexts.append(partial(torch.cuda.device, torch.cuda.current_device()))
        self._contexts = contexts

    def entered(self) -> AbstractContextManager[object]:
        """Return the context that applies the settings to the thread running it."""
        if len(self._contexts) == 1:
            return self._contexts[0]()  # the usual case, a microsecond a step
        with ExitStack() as stack:
            for context in self._contexts:
                stack.enter_context(context())
            return stack.pop_all()
