"""The random states that a range test draws from, and how loaders stand."""

from __future__ import annotations

import random
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lrwidget.engine.keeper import GENERATORS, Keeper
from lrwidget.engine.loaders import underlying

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class RandomState:
    """
    The random states of Python, NumPy and torch, and how some loaders stand.

    They are taken when it is made and put back by `restore`. Of a loader, those are
    its attributes, its generators, and all that its samplers hold.
    """

    def __init__(self, *dataloaders: Iterable[Any]) -> None:
        self._python = random.getstate()
        self._numpy = np.random.get_state()  # noqa: NPY002 (the one that users seed)
        self._torch = torch.get_rng_state()
        self._cuda: list[torch.Tensor] = []
        if torch.cuda.is_initialized():
            self._cuda = torch.cuda.get_rng_state_all()
        self._restores = [_keep(underlying(loader)) for loader in dataloaders]

    def restore(self) -> None:
        """Put the states back."""
        random.setstate(self._python)
        np.random.set_state(self._numpy)  # noqa: NPY002 (as above)
        torch.set_rng_state(self._torch)
        if self._cuda:
            torch.cuda.set_rng_state_all(self._cuda)
        with ExitStack() as stack:
            for restore in self._restores:
                stack.callback(restore)


def _keep(dataloader: Iterable[Any]) -> Callable[[], None]:
    """Return the function that puts a loader back to how it stands now."""
    attributes = getattr(dataloader, "__dict__", {})
    before = dict(attributes)
    # Samplers refer to the data set, which may be large, and is not theirs.
    keeper = Keeper(besides=[getattr(dataloader, "dataset", None)])
    generators = [x for x in before.values() if isinstance(x, GENERATORS)]
    samplers = [vars(sampler) for sampler in _samplers(dataloader)]
    restore_inside = keeper.keep((generators, samplers))

    def restore() -> None:
        attributes.clear()
        attributes.update(before)
        restore_inside()

    return restore


def _samplers(dataloader: object) -> list[object]:
    """Return the samplers of a loader, and those inside of them."""
    parts = [dataloader]
    for part in parts:  # which grows meanwhile
        inner = [getattr(part, name, None) for name in ("sampler", "batch_sampler")]
        parts += [x for x in inner if hasattr(x, "__dict__") and x not in parts]
    return parts[1:]
