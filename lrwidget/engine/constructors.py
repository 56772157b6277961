"""The constructors `from_lightning`, `from_trainer` and `from_learner` of functions."""

from __future__ import annotations

from functools import update_wrapper
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from typing_extensions import ParamSpec

if TYPE_CHECKING:
    from collections.abc import Callable

_P = ParamSpec("_P")
_R = TypeVar("_R")


def arguments_of(framework: str, *objects: object, **settings: Any) -> dict[str, Any]:  # noqa: ANN401 (those of a test)
    """Return the arguments of a `RangeTest` for the objects of a framework."""
    # Imported at first use, since the integrations import the engine.
    parts = import_module("lrwidget.integrations").parts_from(framework, *objects)
    arguments: dict[str, Any] = parts.arguments(settings)
    return arguments


class FromFrameworks(Generic[_P, _R]):
    """
    A function with the arguments of `RangeTest`, and its calls by frameworks' objects.

    The methods have the names and the arguments of the constructors of `LRWidget`.
    """

    def __init__(self, function: Callable[_P, _R]) -> None:
        self._function: Callable[..., _R] = function
        update_wrapper(self, function)

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Call the function."""
        return self._function(*args, **kwargs)

    def from_lightning(
        self,
        module: Any,  # noqa: ANN401 (Lightning is not imported)
        data: Any = None,  # noqa: ANN401 (as above)
        trainer: Any = None,  # noqa: ANN401 (as above)
        *,
        optimizer: Any = None,  # noqa: ANN401 (as above)
        **settings: Any,  # noqa: ANN401 (those of the function)
    ) -> _R:
        """Call the function for the training of a Lightning module."""
        objects = (module, data, trainer, optimizer)
        return self._function(**arguments_of("lightning", *objects, **settings))

    def from_trainer(self, trainer: Any, **settings: Any) -> _R:  # noqa: ANN401 (as above)
        """Call the function for the training of a Hugging Face ``Trainer``."""
        return self._function(**arguments_of("transformers", trainer, **settings))

    def from_learner(self, learner: Any, **settings: Any) -> _R:  # noqa: ANN401 (as above)
        """Call the function for the training of a fastai ``Learner``."""
        return self._function(**arguments_of("fastai", learner, **settings))
