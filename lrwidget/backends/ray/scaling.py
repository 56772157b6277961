"""The number of the workers of a test, and the needs of each."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from lrwidget.curve.checks import check_switch, usable_count
from lrwidget.curve.short_repr import short_repr

if TYPE_CHECKING:
    from typing import Any

_EXAMPLE = 'pass for example {"CPU": 2}, or None'


class Scaling(NamedTuple):
    """
    The number of the workers of a test, and the needs of each.

    Attributes
    ----------
    num_workers:
        The number of workers, at least 1.
    use_gpu:
        Whether each has a GPU.
    resources:
        The resources of each, such as ``{"CPU": 0.5}``.
    """

    num_workers: int
    use_gpu: bool
    resources: dict[str, float]

    def task_options(self) -> dict[str, Any]:
        """Return the needs of one worker as options of a task of Ray."""
        other = dict(self.resources)
        names = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
        named = {option: other.pop(x) for option, x in names.items() if x in other}
        return {**named, "resources": other}

    def lacking(self, count: int, there: Mapping[str, float]) -> str:
        """
        Return the resources that a cluster lacks, in words; an empty text if none.

        Parameters
        ----------
        count:
            The number of workers at the same time.
        there:
            The resources of the cluster.
        """
        needed = {name: count * amount for name, amount in self.resources.items()}
        return ", ".join(
            f"{there.get(name, 0):g} of {amount:g} {name}"
            for name, amount in needed.items()
            if amount > there.get(name, 0)
        )


def usable_scaling(
    num_workers: object, use_gpu: object, resources_per_worker: object
) -> Scaling:
    """
    Return the number of the workers of a test, and the needs of each.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as `LRWidget.on_ray` describes it.
    """
    count = usable_count("num_workers", num_workers)
    check_switch("use_gpu", use_gpu)
    given = _usable_resources(resources_per_worker)
    if given.get("GPU", 0) and not use_gpu:
        msg = f"resources_per_worker={given} has GPUs; pass use_gpu=True with them"
        raise ValueError(msg)
    gpu = {"GPU": 1.0} if use_gpu else {}
    resources = {"CPU": 1.0, **gpu, **given}
    if not any(resources.values()) or (use_gpu and not resources["GPU"]):
        what = "a GPU" if use_gpu else "something"
        msg = f"resources_per_worker={given} must have {what} above 0; {_EXAMPLE}"
        raise ValueError(msg)
    return Scaling(count, bool(use_gpu), resources)


def _usable_resources(given: object) -> dict[str, float]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(x, str) for x in given):
        words = f"resources_per_worker={short_repr(given)}"
        msg = f"{words} must be a dict of numbers by their names; {_EXAMPLE}"
        raise TypeError(msg)
    return {name: _usable_amount(name, amount) for name, amount in given.items()}


def _usable_amount(name: str, amount: object) -> float:
    where = f"resources_per_worker[{name!r}]={short_repr(amount)}"
    if isinstance(amount, bool) or not isinstance(amount, numbers.Real):
        msg = f"{where} must be a number; {_EXAMPLE}"
        raise TypeError(msg)
    number = float(amount)
    if not 0 <= number < math.inf:
        msg = f"{where} must be at least 0 and finite; {_EXAMPLE}"
        raise ValueError(msg)
    return number
