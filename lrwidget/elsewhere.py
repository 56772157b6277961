"""The constructors for tests that run in other processes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lrwidget.backends.ray.scaling import usable_scaling
from lrwidget.backends.record.backend import RecordedRecipe
from lrwidget.curve.smoothing import DEFAULT_BETA
from lrwidget.curve.suggest import DEFAULT_RULE
from lrwidget.ui import arguments

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from typing_extensions import Self, Unpack

    from lrwidget.backends.base import Recipe
    from lrwidget.controller import Stage
    from lrwidget.engine.settings import Settings


class FromElsewhere:
    """Constructors for tests that run in other processes."""

    _stage: Stage

    def _make(
        self, recipe: Recipe, smoothing: float, value: float | None, rule: str
    ) -> None:
        """Make all there is of the widget, whatever it is to show."""
        raise NotImplementedError

    @classmethod
    def follow(
        cls,
        path: str | os.PathLike[str],
        *,
        smoothing: float = DEFAULT_BETA,
        value: float | None = None,
        rule: str = DEFAULT_RULE,
    ) -> Self:
        """
        Return a widget that shows a test which runs elsewhere, by its record.

        It begins at once: it waits for the record, draws what is there and what
        comes, and ends with the test. Of several tests in a record it shows the
        latest. Where no step has come for 30 s, the status says so. Stop asks the
        test to stop, which it does at its next step, and a second Stop ends
        following, as `close` does; the test goes on then.

        There is no model here: `run`, `compare`, `race`, `apply` and `values` raise
        RuntimeError.

        Parameters
        ----------
        path:
            What the test has as its ``record``: a path that leads here to the same
            file, or a URL that fsspec opens, such as ``s3://...``.
        smoothing, value, rule:
            As the constructor takes them.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described. What is wrong with the record itself
            is in the status, and raised by `wait`.
        """
        place = arguments.usable_path(path)
        arguments.check_value(value)
        widget = cls.__new__(cls)
        recipe = RecordedRecipe(place, None if value is None else float(value))
        widget._make(recipe, smoothing, value, rule)
        widget._stage.follow()  # noqa: SLF001 (its own)
        return widget

    @classmethod
    def on_ray(  # noqa: PLR0913 (what a cluster and the display are told)
        cls,
        build: Callable[[], tuple[Any, ...]],
        *,
        num_workers: int = 2,
        use_gpu: bool = False,
        resources_per_worker: Mapping[str, float] | None = None,
        smoothing: float = DEFAULT_BETA,
        value: float | None = None,
        rule: str = DEFAULT_RULE,
        **settings: Unpack[Settings],
    ) -> Self:
        """
        Return a widget whose tests run on a Ray cluster.

        `run` trains on all workers together, in one process group that Ray Train
        makes; the model is replicated, unless ``build`` has wrapped or sharded it, and
        a `torch.utils.data.DataLoader` without a sampler of its own gives each worker
        its share. Whatever else there is to iterate over is taken as it is on each.
        `race` and `compare` have a worker for each training, all at once. The first
        of them connects as ``ray.init()`` does, if nobody has done so before: to the
        cluster of ``RAY_ADDRESS``, to one that was started on this machine, or to one
        that it starts. However a run ends, the cluster has its resources back. Workers
        that cannot start for ten minutes are an error.

        There is no model here: `apply` and `values` raise RuntimeError.

        Parameters
        ----------
        build:
            Called on each worker without arguments, with the same random numbers on
            all. Returns ``(model, optimizer, dataloader, loss_fn)``, and maybe, as a
            fifth, a dict of further arguments of `RangeTest`, such as ``val_loader``,
            but for those that the widget has fields for.
            A run may have another one: ``run(build=...)``.
        num_workers:
            How many workers a test has, at least 1.
        use_gpu:
            Whether each worker has a GPU.
        resources_per_worker:
            What else each needs, such as ``{"CPU": 4}``: one processor, unless it says
            otherwise.
        smoothing, value, rule:
            As the constructor takes them.
        **settings:
            As `RangeTest` takes them, but for ``device``, ``val_loader`` and
            ``grad_scaler``. It is this process that writes a ``record``, in which
            races and comparisons have no part.

        Raises
        ------
        ImportError
            If Ray is missing.
        TypeError, ValueError
            If an argument is not as described.
        """
        try:
            recipes = import_module("lrwidget.backends.ray.backend")
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] != "ray":
                raise
            msg = "LRWidget.on_ray needs Ray: pip install 'lrwidget[ray]'"
            raise ImportError(msg) from error
        scale = usable_scaling(num_workers, use_gpu, resources_per_worker)
        widget = cls.__new__(cls)
        recipe = recipes.ClusterRecipe(build, settings, scale)
        widget._make(recipe, smoothing, value, rule)
        return widget
