"""Constructors and functions with the arguments of a test, for frameworks' objects."""

from __future__ import annotations

from functools import update_wrapper
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from typing_extensions import ParamSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch.optim import Optimizer
    from typing_extensions import Self

    from lrwidget.integrations import Parts

    # Objects of libraries that are not imported here.
    LightningModule: TypeAlias = Any
    LightningData: TypeAlias = Any
    Trainer: TypeAlias = Any
    Learner: TypeAlias = Any

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _parts_from(framework: str, *objects: object) -> Parts:
    # At first use, since the integrations import the engine.
    integrations: Any = import_module("lrwidget.integrations")
    parts: Parts = integrations.parts_from(framework, *objects)
    return parts


class FromFrameworks:
    """A class whose objects are also made from the objects of frameworks."""

    @classmethod
    def _from_parts(cls, parts: Parts, options: dict[str, Any]) -> Self:
        """Return an object for the parts of a training."""
        return cls(**parts.arguments(options))

    @classmethod
    def from_lightning(
        cls,
        module: LightningModule,
        data: LightningData = None,
        trainer: Trainer = None,
        *,
        optimizer: Optimizer | None = None,
        **options: Any,  # noqa: ANN401 (those of the class)
    ) -> Self:
        """
        Return a widget or test for the training of a Lightning module.

        The test trains with the loops of its own quiet Lightning trainer. It calls the
        hooks of module and data module as ``Trainer.fit`` does, also ``backward``,
        ``optimizer_step`` and ``configure_gradient_clipping``. Manual optimization is
        possible. Logs are dropped; callbacks are not called, and schedulers do not
        step. The losses of ``val_loader`` come from ``training_step``, too. `apply`
        writes the rate to the attribute ``lr`` or else ``learning_rate`` of the module
        and of its ``hparams``, like Lightning's own finder; if there is none, it raises
        RuntimeError.

        Parameters
        ----------
        module:
            A ``LightningModule``. It is set up here as in Lightning before a training.
        data:
            A ``LightningDataModule``, a loader, a dict or list of loaders, a
            ``CombinedLoader``, or None for the loader of the module.
        trainer:
            The ``Trainer`` whose accumulation, clipping, precision and limits are used;
            None for the trainer of the module, if there is one.
        optimizer:
            An optimizer; None for the result of the module's ``configure_optimizers``.
        **options:
            The arguments of the constructor, which take precedence over the trainer's.

        Raises
        ------
        TypeError, ValueError
            If ``module`` is no ``LightningModule``, has not exactly one optimizer, or
            cannot be trained batch by batch.
        """
        parts = _parts_from("lightning", module, data, trainer, optimizer)
        return cls._from_parts(parts, options)

    @classmethod
    def from_trainer(cls, trainer: Trainer, **options: Any) -> Self:  # noqa: ANN401 (as above)
        """
        Return a widget or test for the training of a Hugging Face ``Trainer``.

        The losses are those of its own ``training_step``, with its accumulation,
        clipping and precision; none of its callbacks is called. `apply` writes to
        ``trainer.args.learning_rate`` and to the trainer's optimizer, if it has one.

        Parameters
        ----------
        trainer:
            A ``Trainer``, before or after its training.
        **options:
            The arguments of the constructor, which take precedence over the trainer's.

        Raises
        ------
        TypeError
            If ``trainer`` is no ``Trainer``, or its steps cannot be taken one by one.
        """
        return cls._from_parts(_parts_from("transformers", trainer), options)

    @classmethod
    def from_learner(cls, learner: Learner, **options: Any) -> Self:  # noqa: ANN401 (as above)
        """
        Return a widget or test for the training of a fastai ``Learner``.

        fastai's own program trains, with copies of the learner's callbacks and loss.
        Callbacks that log, save or schedule are left out. `apply` writes the rate to
        ``learner.lr``, one for each parameter group if they differ; the ``fit`` methods
        take it from there.

        Parameters
        ----------
        learner:
            A ``Learner``, before or after its training.
        **options:
            The arguments of the constructor.

        Raises
        ------
        TypeError
            If ``learner`` is no ``Learner``.
        ValueError
            If one of its callbacks uses the learner by its name, or is
            ``DistributedTrainer`` or ``NonNativeMixedPrecision``.
        """
        return cls._from_parts(_parts_from("fastai", learner), options)


class FunctionFromFrameworks(Generic[_P, _R]):
    """
    A function with the arguments of `RangeTest`, and its calls by frameworks' objects.

    The methods have the names and the arguments of the constructors of `LRWidget`.
    """

    def __init__(self, function: Callable[_P, _R]) -> None:
        self._function: Callable[..., _R] = function
        update_wrapper(self, function)
        self._takes_total = "total_steps" in signature(function).parameters

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Call the function."""
        return self._function(*args, **kwargs)

    def from_lightning(
        self,
        module: LightningModule,
        data: LightningData = None,
        trainer: Trainer = None,
        *,
        optimizer: Optimizer | None = None,
        **options: Any,  # noqa: ANN401 (those of the function)
    ) -> _R:
        """Call the function for the training of a Lightning module."""
        parts = _parts_from("lightning", module, data, trainer, optimizer)
        return self._of_parts(parts, options)

    def from_trainer(self, trainer: Trainer, **options: Any) -> _R:  # noqa: ANN401 (as above)
        """Call the function for the training of a Hugging Face ``Trainer``."""
        return self._of_parts(_parts_from("transformers", trainer), options)

    def from_learner(self, learner: Learner, **options: Any) -> _R:  # noqa: ANN401 (as above)
        """Call the function for the training of a fastai ``Learner``."""
        return self._of_parts(_parts_from("fastai", learner), options)

    def _of_parts(self, parts: Parts, options: dict[str, Any]) -> _R:
        """Call the function for the parts of a training."""
        if self._takes_total:
            options = {"total_steps": parts.total_steps, **options}
        return self._function(**parts.arguments(options))
