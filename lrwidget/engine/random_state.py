"""The random states that a range test draws from."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterable


class RandomState:
    """
    The random states of Python, NumPy, torch and a loader's generators.

    They are taken when it is made and put back by `restore`.
    """

    def __init__(self, dataloader: Iterable[Any]) -> None:
        self._python = random.getstate()
        self._numpy = np.random.get_state()  # noqa: NPY002 (the one that users seed)
        self._torch = torch.get_rng_state()
        self._cuda: list[torch.Tensor] = []
        if torch.cuda.is_initialized():
            self._cuda = torch.cuda.get_rng_state_all()
        self._generators = {
            generator: generator.get_state() for generator in _generators(dataloader)
        }

    def restore(self) -> None:
        """Put the random states back."""
        random.setstate(self._python)
        np.random.set_state(self._numpy)  # noqa: NPY002 (as above)
        torch.set_rng_state(self._torch)
        if self._cuda:
            torch.cuda.set_rng_state_all(self._cuda)
        for generator, state in self._generators.items():
            generator.set_state(state)


def _generators(part: object) -> set[torch.Generator]:
    """Return the generators of a loader and of its samplers, one inside the other."""
    if part is None:
        return set()
    generator = getattr(part, "generator", None)
    found = {generator} if isinstance(generator, torch.Generator) else set()
    for name in ("sampler", "batch_sampler"):
        found |= _generators(getattr(part, name, None))
    return found
