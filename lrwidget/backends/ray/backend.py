"""The back end of a training that is made on the workers of a Ray cluster."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext
from secrets import randbelow
from typing import TYPE_CHECKING, Any, NamedTuple

from ray import cloudpickle

from lrwidget.backends.base import Capabilities
from lrwidget.backends.ray.job import RayJob
from lrwidget.backends.ray.worker import Work
from lrwidget.backends.verification import VerificationJob
from lrwidget.config import config_of
from lrwidget.curve.checks import check_switch, invalid, usable_count, usable_number
from lrwidget.curve.race_history import race_plans
from lrwidget.curve.records.store import writable_store
from lrwidget.curve.records.writer import recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from typing import NoReturn

    from lrwidget.backends.ray.job import Steps
    from lrwidget.config import TestConfig
    from lrwidget.curve.history import Plan
    from lrwidget.curve.lr_curve import LRCurve
    from lrwidget.engine.loop import Validations

_BUILT = ("val_loader", "grad_scaler")
_MOST_SEED = 2**31
_EXAMPLE = 'pass for example {"CPU": 2}, or None'


class Scaling(NamedTuple):
    """The number of the workers of a test, and the resources of each."""

    num_workers: int
    use_gpu: bool
    resources: dict[str, float]

    def task_options(self) -> dict[str, Any]:
        """Return the resources of one worker as options of a task of Ray."""
        other = dict(self.resources)
        names = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
        named = {option: other.pop(x) for option, x in names.items() if x in other}
        return {**named, "resources": other}

    def lacking(self, count: int, there: Mapping[str, float]) -> str:
        """Return what a cluster lacks for some workers at once, in words if any."""
        needed = {name: count * amount for name, amount in self.resources.items()}
        return ", ".join(
            f"{there.get(name, 0):g} of {amount:g} {name}"
            for name, amount in needed.items()
            if amount > there.get(name, 0)
        )


def usable_scaling(
    num_workers: object, use_gpu: object, resources_per_worker: object
) -> Scaling:
    """Return the checked arguments of `LRWidget.on_ray`, or raise its errors."""
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


class RayBackend:
    """
    The back end of a training that is made on workers.

    The settings are those of the tests; this process writes the record.
    """

    capabilities = Capabilities(apply=False)
    total_steps = None  # of a training that is on the workers

    def __init__(
        self, build: Callable[[], Any], settings: Mapping[str, Any], scaling: Scaling
    ) -> None:
        self._scaling = scaling
        self.arguments: dict[str, Any] = {**settings, "build": build}
        _, self.config = self._changed({})
        writable_store(self.config.record)
        self.arguments = {"build": build, **self.config.settings()}

    def as_made(self) -> AbstractContextManager[object]:
        """Return an empty context: torch's settings are those of the workers."""
        return nullcontext()

    def test(self, changes: Mapping[str, Any]) -> RayJob:
        """Return a test that all workers run together."""
        return self._test(changes, "each rate")

    def sweep(self, changes: Mapping[str, Any]) -> RayJob:
        """Return a test without validation losses."""
        return self._test(changes, None)

    def _test(
        self, changes: Mapping[str, Any], validations: Validations | None
    ) -> RayJob:
        build, config = self._changed(changes)
        scaling = self._scaling
        work = self._work(build, config, randbelow(_MOST_SEED))
        work = work._replace(validations=validations)
        works = [
            work._replace(name=f"worker {rank}") for rank in range(scaling.num_workers)
        ]
        store = writable_store(config.record)
        if store is None:
            return RayJob(works, scaling, together=True)
        header = {**config.settings(), "build": build}
        header |= {"num_workers": scaling.num_workers, **scaling.resources}

        def record(steps: Steps, plan: Plan) -> Steps:
            settings = {**header, "optimizer_memory": plan.optimizer_memory}
            return recorded(steps, store, settings)

        return RayJob(works, scaling, together=True, record=record)

    def compare(self, changes: Sequence[Mapping[str, Any]]) -> RayJob:
        """Return several tests that run at the same time, each on one worker."""
        seed = randbelow(_MOST_SEED)  # the same weights for all, where they can be
        works = [self._work(*self._changed(each), seed) for each in changes]
        return RayJob(_numbered(works), self._scaling)

    def race(
        self, changes: Mapping[str, Any], rates: Sequence[float], steps: int
    ) -> RayJob:
        """Return trainings at constant rates that run at the same time."""
        return RayJob(self._raced(changes, rates, steps), self._scaling)

    def lanes(
        self, changes: Mapping[str, Any], rates: Sequence[float], steps: int
    ) -> RayJob:
        """Return trainings at constant rates, with validations at their ends alone."""
        first, *others = self._raced(changes, rates, steps)
        works = [x._replace(validations="end") for x in others]
        works.insert(0, first._replace(validations="start and end"))
        return RayJob(works, self._scaling)

    def _raced(
        self, changes: Mapping[str, Any], rates: Sequence[float], steps: int
    ) -> list[Work]:
        # The same weights and batches for all.
        work = self._work(*self._changed(changes), randbelow(_MOST_SEED))
        return _numbered([work._replace(plan=x) for x in race_plans(rates, steps)])

    def _work(self, build: Callable[[], Any], config: TestConfig, seed: int) -> Work:
        """Return the training of a worker."""
        settings = {name: x for name, x in config.settings().items() if x is not None}
        settings.pop("record", None)
        pickled = _bytes("build", build), _bytes("settings", settings)
        return Work(0, "", config.plan, *pickled, seed, self._scaling.use_gpu)

    def verify(
        self, changes: Mapping[str, Any], curve: LRCurve | None, total_steps: int | None
    ) -> VerificationJob:
        """Return a sweep, unless its curve is given, and its lanes."""
        return VerificationJob(self, changes, curve, total_steps)

    def rate_ratios(self) -> NoReturn:
        """Raise RuntimeError, since the parameter groups are on the workers."""
        msg = (
            "build makes the optimizer on the workers of the cluster, so there is none "
            "here to write a rate to; pass widget.value to your training"
        )
        raise RuntimeError(msg)

    saved_rates = rate_ratios

    def apply_rate(self, _rate: float) -> NoReturn:
        """Raise RuntimeError, since the optimizer is on the workers."""
        self.rate_ratios()

    def _changed(
        self, changes: Mapping[str, Any]
    ) -> tuple[Callable[[], Any], TestConfig]:
        """Return the function that makes the training of a run, and its settings."""
        settings = {**self.arguments, **changes}
        build = settings.pop("build")
        if not callable(build):
            problem = (
                "must be a function; pass one that returns (model, optimizer, "
                "dataloader, loss_fn)"
            )
            raise invalid(build, "build", problem, TypeError)
        for name in _BUILT:
            if settings.get(name) is not None:
                problem = (
                    "must be made where the workers are; let build return a dict with "
                    f"{name!r} after the loss function"
                )
                raise invalid(settings[name], name, problem)
        if settings.get("device") is not None:
            problem = "is up to the cluster; pass use_gpu=True for GPUs"
            raise invalid(settings["device"], "device", problem)
        return build, config_of(settings, ("build",))


def _numbered(works: Sequence[Work]) -> list[Work]:
    """Return trainings with the number and the name of each."""
    count = len(works)
    return [
        work._replace(run=run, name=f"the worker of training {run + 1} of {count}")
        for run, work in enumerate(works)
    ]


def _bytes(name: str, value: object) -> bytes:
    """Return an argument as bytes; raise TypeError if it cannot be sent."""
    try:
        # A function of a notebook is sent with its code.
        contents: bytes = cloudpickle.dumps(value)
    except Exception as error:
        problem = f"cannot be sent to the workers: {error}"
        raise invalid(value, name, problem, TypeError) from error
    return contents


def _usable_resources(given: object) -> dict[str, float]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(x, str) for x in given):
        problem = f"must be a dict of numbers by their names; {_EXAMPLE}"
        raise invalid(given, "resources_per_worker", problem, TypeError)
    return {name: _usable_amount(name, amount) for name, amount in given.items()}


def _usable_amount(name: str, amount: object) -> float:
    where = f"resources_per_worker[{name!r}]"
    number = usable_number(where, amount, "2")
    if not 0 <= number < math.inf:
        raise invalid(amount, where, f"must be at least 0 and finite; {_EXAMPLE}")
    return number
