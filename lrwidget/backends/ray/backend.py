"""The back end of a training that is made on the workers of a Ray cluster."""

from __future__ import annotations

from contextlib import nullcontext
from secrets import randbelow
from typing import TYPE_CHECKING, Any

from ray import cloudpickle

from lrwidget.backends.base import Capabilities
from lrwidget.backends.ray.job import RayTest, RayTrainings
from lrwidget.backends.ray.scaling import usable_scaling
from lrwidget.backends.ray.worker import Work
from lrwidget.config import TestConfig
from lrwidget.curve.history import Plan
from lrwidget.curve.records.store import writable_store
from lrwidget.curve.short_repr import short_repr

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import NoReturn

    from lrwidget.backends.ray.job import RayJob
    from lrwidget.backends.ray.scaling import Scaling

__all__ = ["RayBackend", "usable_scaling"]

_BUILT = ("val_loader", "grad_scaler")
_MOST_SEED = 2**31


class RayBackend:
    """
    The back end of a training that is made on workers.

    Parameters
    ----------
    build:
        The function that makes the components of the training; see `LRWidget.on_ray`.
    settings:
        The settings of the tests. This process writes the record.
    scaling:
        The number of the workers of a test, and the needs of each.

    Raises
    ------
    TypeError, ValueError
        As `TestConfig` raises them, and for settings that only workers can have.
    """

    capabilities = Capabilities(apply=False)

    def __init__(
        self, build: Callable[[], Any], settings: Mapping[str, Any], scaling: Scaling
    ) -> None:
        self._scaling = scaling
        self.arguments: dict[str, Any] = {**settings, "build": build}
        _, self.config = self._changed({})
        self.arguments = {"build": build, **self.config.settings()}

    def as_made(self) -> AbstractContextManager[object]:
        """Return an empty context: torch's settings are those of the workers."""
        return nullcontext()

    def test(self, changes: Mapping[str, Any]) -> RayJob:
        """Return a test that all workers run together."""
        build, config = self._changed(changes)
        work = Work(0, *_pickled(build, config, {}), randbelow(_MOST_SEED))
        scaling = self._scaling
        header = {**config.settings(), "build": build}
        header |= {"num_workers": scaling.num_workers, **scaling.resources}
        record = writable_store(config.record)
        return RayTest(work, config.plan, scaling, record, header)

    def compare(self, changes: Sequence[Mapping[str, Any]]) -> RayJob:
        """Return several tests that run at the same time, each on one worker."""
        tests = [self._changed(each) for each in changes]
        seed = randbelow(_MOST_SEED)  # the same weights for all, where they can be
        works = [
            Work(run, *_pickled(*test, self._device), seed)
            for run, test in enumerate(tests)
        ]
        plans = [config.plan for _, config in tests]
        return RayTrainings(works, plans, self._scaling)

    def race(
        self, changes: Mapping[str, Any], rates: Sequence[float], steps: int
    ) -> RayJob:
        """Return trainings at constant rates that run at the same time."""
        pickled = _pickled(*self._changed(changes), self._device)
        seed = randbelow(_MOST_SEED)  # the same weights and batches for all
        works = [
            Work(run, *pickled, seed, lr=rate, steps=steps)
            for run, rate in enumerate(rates)
        ]
        plans = [Plan(rate, rate, steps) for rate in rates]
        return RayTrainings(works, plans, self._scaling)

    def rate_ratios(self) -> NoReturn:
        """Raise RuntimeError, since the parameter groups are on the workers."""
        msg = (
            "build makes the optimizer on the workers of the cluster, so there is none "
            "here to write a rate to; pass widget.value to your training"
        )
        raise RuntimeError(msg)

    def apply_rate(self, _rate: float) -> NoReturn:
        """Raise RuntimeError, since the optimizer is on the workers."""
        self.rate_ratios()

    @property
    def _device(self) -> dict[str, str]:
        """The setting of a worker that trains alone on a GPU."""
        return {"device": "cuda"} if self._scaling.use_gpu else {}

    def _changed(
        self, changes: Mapping[str, Any]
    ) -> tuple[Callable[[], Any], TestConfig]:
        """Return the function that makes the training of a run, and its settings."""
        settings = {**self.arguments, **changes}
        build = settings.pop("build")
        if not callable(build):
            msg = (
                f"build={short_repr(build)} must be a function; pass one that returns "
                "(model, optimizer, dataloader, loss_fn)"
            )
            raise TypeError(msg)
        for name in _BUILT:
            if settings.get(name) is not None:
                msg = (
                    f"{name}={short_repr(settings[name])} must be made where the "
                    f"workers are; let build return a dict with {name!r} after the "
                    "loss function"
                )
                raise ValueError(msg)
        if settings.get("device") is not None:
            device = short_repr(settings["device"])
            msg = f"device={device} is up to the cluster; pass use_gpu=True for GPUs"
            raise ValueError(msg)
        config = TestConfig(**settings)
        writable_store(config.record)
        return build, config


def _pickled(
    build: Callable[[], Any], config: TestConfig, more: Mapping[str, object]
) -> tuple[bytes, bytes]:
    """Return the function that makes a training, and the settings, to be sent."""
    settings = {name: x for name, x in config.settings().items() if x is not None}
    settings.pop("record", None)
    return _bytes("build", build), _bytes("settings", {**settings, **more})


def _bytes(name: str, value: object) -> bytes:
    """Return an argument as bytes; raise TypeError if it cannot be sent."""
    try:
        # A function of a notebook is sent with its code.
        contents: bytes = cloudpickle.dumps(value)
    except Exception as error:
        msg = f"{name}={short_repr(value)} cannot be sent to the workers: {error}"
        raise TypeError(msg) from error
    return contents
