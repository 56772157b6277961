"""The thread-local settings of torch that a background thread does not inherit."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    Context: TypeAlias = Callable[[], AbstractContextManager[object]]

_NOTHING = nullcontext()
_AUTOCAST_DEVICES = ("cpu", "cuda", "mps", "xpu")


class ThreadSettings:
    """
    The settings of the thread of the constructor, to be applied in any other thread.

    The settings are autocast with its dtype, the default device and the current CUDA
    device. Gradients are always on, since a test trains.
    """

    def __init__(self) -> None:
        contexts: list[Context] = [torch.enable_grad]
        if torch.is_inference_mode_enabled():
            contexts.insert(0, partial(torch.inference_mode, mode=False))
        for device in _AUTOCAST_DEVICES:
            if torch.is_autocast_enabled(device):
                dtype = torch.get_autocast_dtype(device)
                contexts.append(partial(torch.autocast, device, dtype))
        # The default device; get_default_device takes several times as long.
        default = torch.empty(0).device
        if default != torch.device("cpu"):
            contexts.append(partial(torch.device, default))
        self._contexts = contexts
        self._usual = len(contexts) == 1
        self._cuda: int | None = None
        if torch.cuda.is_initialized():
            self._cuda = torch.cuda.current_device()
            contexts.append(partial(torch.cuda.device, self._cuda))

    def applied(self) -> AbstractContextManager[object]:
        """Return the context that applies the settings to the thread running it."""
        # Nearly always there is nothing to change, and this runs at each step.
        cuda = self._cuda
        on_device = cuda is None or cuda == torch.cuda.current_device()
        if on_device and self._usual and torch.is_grad_enabled():
            return _NOTHING
        with ExitStack() as stack:
            for context in self._contexts:
                stack.enter_context(context())
            return stack.pop_all()
