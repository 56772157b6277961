"""The widget: a learning-rate range test to run, watch, and pick a rate from."""

from __future__ import annotations

import math
import textwrap
import threading
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw
import traitlets

from lrwidget import orphans
from lrwidget.backends.local import LocalBackend
from lrwidget.backends.record import RecordBackend
from lrwidget.config import with_settings
from lrwidget.controller import Controller
from lrwidget.curve import picture
from lrwidget.curve.checks import invalid
from lrwidget.curve.rules import DEFAULT_RULE, RULES, check_rule
from lrwidget.curve.ticks import rounded
from lrwidget.curve.trend import usable_smoothing
from lrwidget.engine.constructors import FromFrameworks
from lrwidget.state.choice import Choice
from lrwidget.ui.layout import Layout
from lrwidget.ui.messages import status
from lrwidget.ui.widgets import SetInThreads, close_with_parts

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from torch import nn
    from torch.optim import Optimizer
    from typing_extensions import Self, Unpack

    from lrwidget.backends.base import Backend
    from lrwidget.config import Changes, LossFunction, Settings
    from lrwidget.curve.lr_curve import LRCurve
    from lrwidget.curve.training_curve import TrainingCurve
    from lrwidget.curve.trend import Smoothing
    from lrwidget.curve.verification import Verification
    from lrwidget.integrations import Parts

_MAX_STATUS_IN_REPR = 76


class _Rate(traitlets.CFloat[Any, Any]):
    """A rate that several threads may set."""

    def set(self, obj: Any, value: object) -> None:  # noqa: ANN401 (an LRWidget)
        """Set the rate."""
        self.change(obj, value, suggested=None)

    def change(self, obj: LRWidget, value: object, *, suggested: bool | None) -> bool:
        """
        Set the rate, and return whether it has changed.

        ``suggested`` is True for a suggestion, which does not replace another rate that
        was chosen; False for a rate that a person picks; and None for an assignment.
        This is decided under a lock. Observers are called without the lock, since they
        may wait for a thread that sets the rate.
        """
        rate = self._validate(obj, value)
        with obj._deciding:  # noqa: SLF001 (made for this)
            before = self.get(obj)
            if suggested and before not in {None, obj._suggested}:  # noqa: SLF001
                return False
            if suggested is not None:  # picked, even if it was suggested before
                obj._suggested = rate if suggested else None  # noqa: SLF001
            if before == rate:
                return False
            obj._trait_values["value"] = rate  # noqa: SLF001 (as traitlets does)
        obj._notify_trait("value", before, rate)  # noqa: SLF001 (as traitlets does)
        return True


@with_settings
class LRWidget(FromFrameworks, SetInThreads, ipw.VBox, ipw.ValueWidget):  # type: ignore[misc]  # untyped bases
    """
    A learning-rate range test to run, watch, and pick a rate from.

    Display it, press Run, and drag the handle, click in the chart or type into the
    field: `value` is the rate. Check by training improves the suggestion by short
    trainings. Model and optimizer stay as they are; only `apply` writes to the
    optimizer.

    Parameters
    ----------
    model, optimizer, dataloader, loss_fn, **settings:
        The arguments of `RangeTest`.
    smoothing:
        The way to smooth the bold line at first: ``"automatic"`` for `LRCurve.fit`, a
        number from 0.05 to 0.8 for this fit with a width in decades, or ``"fastai"``
        for fastai's running mean. By default it is as it was last set by hand in this
        session, and automatic at first.
    value:
        A rate that is chosen from the start.
    rule:
        The rule of the suggestion that is shown; one of the keys of `suggestions`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described here or in `RangeTest`.
    """

    value = _Rate(
        None,
        allow_none=True,
        help="The chosen learning rate, within the swept range; None before there is "
        "one. After a test it is the suggestion in two digits, unless another rate was "
        "chosen.",
    ).tag(sync=True)
    rule = traitlets.Enum(
        tuple(RULES),
        DEFAULT_RULE,
        help="The rule of the suggestion that is shown and where the handle starts; "
        "one of the keys of `suggestions`. The smoothing slider changes no suggestion.",
    ).tag(sync=True)
    description = traitlets.Unicode(
        help="The name that `interact` and similar functions give to a widget."
    ).tag(sync=True)

    def __init__(  # noqa: PLR0913 (the components of a training, and the display)
        self,
        model: nn.Module,
        optimizer: Optimizer | Sequence[Optimizer],
        dataloader: Iterable[Any],
        loss_fn: LossFunction | None = None,
        *,
        smoothing: Smoothing | None = None,
        value: float | None = None,
        rule: str = DEFAULT_RULE,
        **settings: Unpack[Settings],
    ) -> None:
        components = {
            "model": model,
            "optimizer": optimizer,
            "dataloader": dataloader,
            "loss_fn": loss_fn,
        }
        self._set_up(LocalBackend({**components, **settings}), smoothing, value, rule)

    def _set_up(
        self,
        backend: Backend,
        smoothing: Smoothing | None = None,
        value: float | None = None,
        rule: str = DEFAULT_RULE,
    ) -> None:
        """Make the controller and the display of a back end."""
        if smoothing is not None:
            smoothing = usable_smoothing(smoothing)
        _check_value(value)
        check_rule(rule)
        self._deciding = threading.Lock()  # nothing is called while it is held
        self._suggested: float | None = None
        super().__init__()
        self._controller = Controller(backend, rule, self)
        first = self._controller.state.shown
        self._display = Layout(self._controller, first, smoothing, rule)
        self.children = self._display.parts
        self.add_class("lrwidget")
        self.rule = rule
        traitlets.link((self, "rule"), (self._display.pick_bar.rule, "value"))
        self._controller.state.display(self._display.show)
        self.value = value
        orphans.watch(self)

    # ---- constructors for other ways to train

    @classmethod
    def follow(
        cls,
        path: str | os.PathLike[str],
        *,
        smoothing: Smoothing | None = None,
        value: float | None = None,
        rule: str = DEFAULT_RULE,
    ) -> Self:
        """
        Return a widget that shows a test of another process, by its record.

        It waits for the record, draws the steps that are there and those that come,
        and ends with the test. After 10 s without a step, the status says so. Stop asks
        the test to stop, which it does at its next step. A second Stop ends following,
        as `close` does; the test goes on then. Without a model, `run`, `compare`,
        `race`, `verify`, `apply` and `values` raise RuntimeError.

        Parameters
        ----------
        path:
            The ``record`` of the test: its path on this machine, or a URL that fsspec
            opens, such as ``s3://...``.
        smoothing, value, rule:
            The arguments of the constructor.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described. An error of the record is in the status,
            and raised by `wait`.
        """
        _check_value(value)
        backend = RecordBackend(path, None if value is None else float(value))
        widget = cls._from_backend(backend, smoothing=smoothing, value=value, rule=rule)
        widget._controller.follow(backend.name, backend.job)  # noqa: SLF001 (its own)
        return widget

    @classmethod
    def on_ray(  # noqa: PLR0913 (the cluster and the display)
        cls,
        build: Callable[[], tuple[Any, ...]],
        *,
        num_workers: int = 2,
        use_gpu: bool = False,
        resources_per_worker: Mapping[str, float] | None = None,
        smoothing: Smoothing | None = None,
        value: float | None = None,
        rule: str = DEFAULT_RULE,
        **settings: Unpack[Settings],
    ) -> Self:
        """
        Return a widget whose tests run on a Ray cluster.

        `run` trains on all workers together, in one process group of torch; the model
        is replicated, unless ``build`` has wrapped or sharded it, and a
        `torch.utils.data.DataLoader` without a sampler of its own gives each worker
        its share. Each worker uses any other loader as it is. Each training of `race`,
        `compare` and `verify` runs on a worker of its own, as many at a time as fit.
        Unless Ray is connected, the first job connects like ``ray.init()``: to the
        cluster of ``RAY_ADDRESS``, to one that was started on this machine, or to one
        that it starts. The cluster gets its resources back however a job ends. If
        workers cannot start for ten minutes, the job fails. Without a model here,
        `apply` and `values` raise RuntimeError.

        Parameters
        ----------
        build:
            Called on each worker without arguments, with the same random numbers on
            all. Returns ``(model, optimizer, dataloader, loss_fn)`` and, as an optional
            fifth item, a dict of further arguments of `RangeTest`, such as
            ``val_loader``. Settings that the widget has fields for are not allowed
            there. ``run(build=...)`` calls another function for one run.
        num_workers:
            The number of workers of a test, at least 1.
        use_gpu:
            Whether each worker has a GPU.
        resources_per_worker:
            The resources of each worker, such as ``{"CPU": 4}``; one processor by
            default.
        smoothing, value, rule:
            The arguments of the constructor.
        **settings:
            The settings of `RangeTest`, except ``device``, ``val_loader`` and
            ``grad_scaler``. This process writes a ``record``; races and comparisons
            have none.

        Raises
        ------
        ImportError
            If Ray is missing.
        TypeError, ValueError
            If an argument is not as described.
        """
        if find_spec("ray") is None:
            msg = "LRWidget.on_ray needs Ray: pip install 'lrwidget[ray]'"
            raise ImportError(msg)
        ray = import_module("lrwidget.backends.ray.backend")
        scaling = ray.usable_scaling(num_workers, use_gpu, resources_per_worker)
        backend = ray.RayBackend(build, settings, scaling)
        return cls._from_backend(backend, smoothing=smoothing, value=value, rule=rule)

    @classmethod
    def _from_parts(cls, parts: Parts, options: dict[str, Any]) -> Self:
        display = ("smoothing", "value", "rule")
        shown = {name: options.pop(name) for name in display if name in options}
        arguments = parts.arguments(options)
        rates = parts.write_rate, parts.total_steps, parts.save_rates
        backend = LocalBackend(arguments, *rates)
        return cls._from_backend(backend, **shown)

    @classmethod
    def _from_backend(cls, backend: Backend, **display: Any) -> Self:  # noqa: ANN401 (of any type)
        """Return a widget for a back end."""
        widget = cls.__new__(cls)
        widget._set_up(backend, **display)  # noqa: SLF001 (its own)
        return widget

    # ---- the results

    @property
    def curve(self) -> LRCurve:
        """The curve of the latest run so far."""
        return self._controller.state.runs.latest_curve

    @property
    def curves(self) -> dict[str, LRCurve]:
        """The curve of each run so far, by its name, the latest last."""
        return self._controller.state.runs.curves

    @property
    def suggestions(self) -> dict[str, float | None]:
        """The suggestion of each rule for the curve so far, by its name."""
        return self.curve.suggestions

    @property
    def race_curves(self) -> list[TrainingCurve]:
        """
        The short trainings in the second chart so far, in increasing order of rates.

        The latest call of `race` or `verify` made these trainings.
        """
        race = self._controller.state.suggestions.trainings
        return [] if race is None else list(race.curves().values())

    @property
    def verification(self) -> Verification | None:
        """
        The result of the latest `verify` that has ended; None before.

        It is also None once there is a newer curve than that which was checked.
        """
        return self._controller.state.verification

    @property
    def running(self) -> bool:
        """Whether a job is running: a test, a comparison, a race or a check."""
        return self._controller.state.running

    @property
    def progress(self) -> float:
        """The share of the steps of the latest job that are done, from 0 to 1."""
        return self._controller.state.progress

    @property
    def status(self) -> str:
        """The status of the latest job, in words."""
        return status(self._controller.state.snapshot())

    @property
    def notices(self) -> tuple[str, ...]:
        """Sentences on the known differences of the latest job from your training."""
        job = self._controller.state.snapshot().job
        return () if job is None else job.notices

    @property
    def values(self) -> list[float] | None:
        """
        The rate of each parameter group; None if no rate is chosen.

        `value` is the rate of the last group, as in fastai: the head of a model that is
        fine-tuned. The other groups keep their ratios to it in the optimizer.
        """
        rate = self.value
        if rate is None:
            return None
        return [rate * ratio for ratio in self._controller.rate_ratios()]

    # ---- the commands

    def run(self, label: str | None = None, **changes: Unpack[Changes]) -> None:
        """
        Start a test in the background, and return at once.

        The model is copied before this returns, so that the test does not see later
        changes of it. The last thirty former runs stay in the chart.

        Parameters
        ----------
        label:
            The name of the run, in the table of runs and in `curves`; None for the
            arguments that differ from those of the widget. Three or more runs repeat
            each other if they have the same label and rates, or no label and the same
            arguments except the seed; the chart shows their common trend.
        **changes:
            Arguments of `RangeTest` for this run, such as ``optimizer``,
            ``dataloader``, ``num_it`` or ``seed``.

        Raises
        ------
        RuntimeError
            If a job is running already, or the widget is closed.
        TypeError, ValueError
            If a change, or a setting in the widget, is not as described in `RangeTest`.
        """
        self._controller.run(label, changes)

    def compare(self, runs: Mapping[str, Changes]) -> None:
        """
        Start several tests in the background, and return at once.

        Their curves are laid over each other in the chart, and `curves` has each by its
        label. One runs after the other, on a copy of the model that is made when its
        turn comes: leave the model as it is until the end.

        Parameters
        ----------
        runs:
            For each label, the arguments of `RangeTest` that differ from those of the
            widget, as `run` takes them.

        Raises
        ------
        RuntimeError
            If a job is running already, or the widget is closed.
        TypeError, ValueError
            If ``runs`` is not as described, or a change not as in `RangeTest`.
        """
        self._controller.compare(runs)

    def race(
        self, rates: Sequence[float] | None = None, steps: int | None = None
    ) -> None:
        """
        Start short trainings at some rates in the background, and return at once.

        Each starts from the same model, on a copy that is made when its turn comes,
        and sees the same batches. The second chart shows them, and a click there picks
        a rate; `race_curves` has their losses. The race itself leaves `value` as it is.

        Parameters
        ----------
        rates:
            The learning rates, within the swept range. If None, the chosen rate, the
            suggestion, and rates around these.
        steps:
            The number of optimizer steps of each training; that of the test if None.

        Raises
        ------
        RuntimeError
            If a job is running already, the widget is closed, or ``rates`` is None and
            no rate is chosen or suggested.
        TypeError, ValueError
            If rates or steps are not as described.
        """
        self._controller.race(rates, steps)

    def verify(self, total_steps: int | None = None) -> None:
        """
        Check the suggestion by short trainings in the background, and return at once.

        Five trainings start from the same model with the same batches, up to the rate
        at which the latest test became unstable; the second chart shows them. If there
        is no such test, or it does not tell where to train, one is run first. The
        suggestion is moved into the range of rates that the trainings allow. The chart
        shows both until the next test, and `value` follows. `verification` has the
        result. See the function `lrwidget.verify`.

        Parameters
        ----------
        total_steps:
            The optimizer steps of the training for which the rate is wanted. If None,
            those in the settings panel, or else those that the trainer of a framework
            tells.

        Raises
        ------
        RuntimeError
            If a job is running already, or the widget is closed.
        TypeError, ValueError
            If ``total_steps`` or a setting in the widget is not as described, or the
            loader gives its batches only once.
        """
        self._controller.verify(total_steps)

    def remove(self, name: str) -> None:
        """
        Forget a former run.

        Parameters
        ----------
        name:
            A key of `curves`, except the last.

        Raises
        ------
        ValueError
            If it is another name.
        """
        self._controller.remove(name)

    def stop(self) -> None:
        """
        Ask the running job to stop after its present step, and return at once.

        A followed test is asked by a file beside its record; a second time, following
        ends. On a Ray cluster, the processes of the workers are ended at once, in the
        middle of a step; the steps that they have sent are kept.
        """
        self._controller.stop()

    def wait(self, timeout: float | None = None) -> LRCurve:
        """
        Wait for the end of the running job.

        An interrupt of the kernel stops the job. A followed test goes on then, and
        following it ends.

        Parameters
        ----------
        timeout:
            The longest time to wait, in seconds; None for no limit.

        Returns
        -------
        :
            The curve of the latest test.

        Raises
        ------
        RuntimeError
            If no job was started.
        TimeoutError
            If the job has not ended by then. The job goes on.
        Exception
            The error of the job, or of an observer of `value` at its end.
        """
        self._controller.wait(timeout)
        return self.curve

    def apply(self) -> None:
        """
        Write the chosen rate into the optimizer.

        The last parameter group gets `value`, and the others keep their ratios to it.
        Make a learning-rate scheduler after this. A widget of one of the ``from_``
        constructors writes to where that framework takes its rate from.

        Raises
        ------
        RuntimeError
            If no rate is chosen, or a test is training the original at the moment.
        """
        self._display.say(self._controller.apply())

    def undo(self) -> None:
        """
        Undo the latest pick, zoom, `apply` or change in the table of runs.

        After an `apply`, the rates that the optimizer or the framework had before it
        are written back. If there is nothing to undo, nothing happens.

        Raises
        ------
        RuntimeError
            If a test is training the original at the moment, which an `apply` changed.
        """
        self._display.say(self._controller.undo())

    def close(self) -> None:
        """
        Stop the running job, and close the widget with all its parts.

        The job has up to 5 seconds to end. A followed test goes on.
        """
        if self.comm is None:  # closed already, or never finished
            return
        self._controller.close()
        close_with_parts(self)

    # ---- the chosen rate, as the controller uses it

    @property
    def choice(self) -> Choice:
        """The chosen rate, and the suggestion that it follows."""
        with self._deciding:
            return Choice(self.value, self._suggested)

    def restore(self, choice: Choice) -> None:
        """Choose what was chosen before."""
        with self._deciding:
            self._suggested = choice.suggested
        self.value = choice.rate

    def pick(self, rate: float) -> None:
        """Choose a rate, whatever was chosen before."""
        if not LRWidget.value.change(self, rate, suggested=False):
            self._show_value()  # a rate clamped to the present one has no observers

    def follow_suggestion(self, suggestion: float) -> None:
        """Choose a suggestion, unless another rate was picked."""
        LRWidget.value.change(self, rounded(suggestion), suggested=True)

    # ---- the display

    def __repr__(self) -> str:
        """Return one short line; the default one writes out the whole chart."""
        text = textwrap.shorten(self.status, _MAX_STATUS_IN_REPR, placeholder=" ...")
        return f"<LRWidget: value={self.value!r}, status={text!r}>"

    def _repr_png_(self) -> bytes | None:
        """Return a picture of the curve, for where no widget is shown."""
        curve, smoothing = self.curve, self._display.view_bar.view.smoothing
        return picture.cached_png(
            curve, **self._controller.state.looks(curve, smoothing)
        )

    @traitlets.validate("value")
    def _clamped(self, proposal: dict[str, Any]) -> float | None:
        rate: float | None = proposal["value"]
        if rate is None:
            return None
        if math.isnan(rate):
            msg = "value=nan must be a number; set for example value=1e-3"
            raise traitlets.TraitError(msg)
        low, high = self._controller.state.shown.bounds
        return min(max(rate, low), high)

    @traitlets.observe("value")
    def _show_value(self, _change: object = None) -> None:
        self._controller.state.show_rates()

    @traitlets.observe("rule")
    def _show_rule(self, _change: object = None) -> None:
        self._controller.use_rule(self.rule)


def _check_value(value: object) -> None:
    """Raise unless a value is a rate, or None."""
    try:
        rate = 1.0 if value is None else float(value)  # type: ignore[arg-type]  # raises
        usable = 0 < rate < math.inf
    except (TypeError, ValueError, OverflowError):
        usable = False
    if not usable:
        problem = "must be a rate above 0, or None; pass for example 1e-3"
        raise invalid(value, "value", problem)
