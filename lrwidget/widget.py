"""The widget: the range test, its chart and its controls, wired together."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import traitlets

from lrwidget import orphans as reruns
from lrwidget.backends.local import LocalRecipe
from lrwidget.choice import RateChoice
from lrwidget.choosing import Choosing
from lrwidget.controller import Stage
from lrwidget.curve import picture
from lrwidget.curve.export import exported
from lrwidget.curve.smoothing import DEFAULT_BETA
from lrwidget.curve.suggest import DEFAULT_RULE, check_rule
from lrwidget.elsewhere import FromElsewhere
from lrwidget.engine.range_test import RangeTest
from lrwidget.engine.settings import with_settings_of
from lrwidget.integrations.constructors import FromFrameworks
from lrwidget.ui import arguments
from lrwidget.ui.closing import close_with_parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import nn
    from torch.optim import Optimizer
    from typing_extensions import Unpack

    from lrwidget.backends.base import Recipe
    from lrwidget.backends.local import Changes
    from lrwidget.curve.lr_curve import LRCurve
    from lrwidget.curve.picture import Looks
    from lrwidget.curve.training_curve import TrainingCurve
    from lrwidget.engine.losses import LossFunction
    from lrwidget.engine.settings import Settings

_STATUS_IN_REPR = 80


@with_settings_of(RangeTest)
class LRWidget(FromFrameworks, FromElsewhere, RateChoice):
    """
    A learning-rate range test to run, watch, and pick a rate from.

    Display it, press Run, and drag the handle, click in the chart or type into the
    field: `value` is the rate. Race trains shortly at it and at its neighbours. Model
    and optimizer stay as they are; only `apply` writes to the optimizer.

    Parameters
    ----------
    model, optimizer, dataloader, loss_fn, **settings:
        As `RangeTest` takes them.
    smoothing:
        Where the smoothing slider stands at first, from 0 to 0.99.
    value:
        A rate that is chosen from the start.
    rule:
        The rule whose suggestion is shown; see `suggestions`.

    Raises
    ------
    TypeError, ValueError
        As `RangeTest` raises them, and for a bad smoothing, value or rule.
    """

    def __init__(  # noqa: PLR0913 (the four parts of a training, and the display)
        self,
        model: nn.Module,
        optimizer: Optimizer,
        dataloader: Iterable[Any],
        loss_fn: LossFunction | None = None,
        *,
        smoothing: float = DEFAULT_BETA,
        value: float | None = None,
        rule: str = DEFAULT_RULE,
        **settings: Unpack[Settings],
    ) -> None:
        parts = {
            "model": model,
            "optimizer": optimizer,
            "dataloader": dataloader,
            "loss_fn": loss_fn,
        }
        self._make(LocalRecipe({**parts, **settings}), smoothing, value, rule)

    def _make(
        self, recipe: Recipe, smoothing: float, value: float | None, rule: str
    ) -> None:
        """Make all there is of the widget, whatever it is to show."""
        arguments.check_smoothing(smoothing)
        arguments.check_value(value)
        check_rule(rule)
        choosing = Choosing(
            chosen=lambda: self.value,
            follow=self._follow,
            pick=self._pick,
            step=self._step,
            home=self._home,
            apply=self._apply,
            export=self._export,
        )
        self._stage = Stage(recipe, choosing, smoothing, rule)
        super().__init__(self._stage.display.parts, recipe, self._stage)
        self.add_class("lrwidget")
        self.rule = rule
        traitlets.link((self, "rule"), (self._stage.display.pick_bar.rule, "value"))
        self.value = value
        reruns.watch(self)

    @property
    def curve(self) -> LRCurve:
        """The curve of the latest run so far."""
        return self._stage.session.curve

    @property
    def curves(self) -> dict[str, LRCurve]:
        """The curve of each run so far, by its name, the latest last."""
        return self._stage.session.runs.curves()

    @property
    def suggestions(self) -> dict[str, float | None]:
        """What each rule suggests for the curve so far, by its name."""
        return self.curve.suggestions

    @property
    def race_curves(self) -> list[TrainingCurve]:
        """The trainings of the latest race so far, in increasing order of the rates."""
        return self._stage.session.raced.curves()

    @property
    def running(self) -> bool:
        """Whether a test or a race is running."""
        return self._stage.session.running

    @property
    def progress(self) -> float:
        """The share of the steps of the latest run that are done, from 0 to 1."""
        latest = self._stage.session.latest
        return len(latest) / (latest.total or 1)

    @property
    def status(self) -> str:
        """How the latest run is, in words."""
        return self._stage.status

    def run(self, label: str | None = None, **changes: Unpack[Changes]) -> None:
        """
        Start a test in the background, and return at once.

        What it trains is set apart before this returns, so that later changes to
        the model are not seen by the test. The last thirty former runs stay in the
        chart.

        Parameters
        ----------
        label:
            What to call the run, in the legend and in `curves`; what it has otherwise
            than the widget if None. Of three or more runs with the same label and
            rates, or without a label and with the same numbers but for the seed, the
            chart shows the median and the extent.
        **changes:
            Arguments of `RangeTest` that this run has otherwise than the widget, such
            as ``optimizer``, ``dataloader``, ``num_it`` or ``seed``.

        Raises
        ------
        RuntimeError
            If something is running already, or the widget is closed.
        TypeError, ValueError
            As `RangeTest` raises them for the changes, or the settings in the widget.
        """
        self._stage.run(label, changes)

    def compare(self, runs: Mapping[str, Changes]) -> None:
        """
        Start several tests in the background, and return at once.

        They are laid over each other in the chart, and `curves` has each by its label.
        One runs after the other, on a copy of the model that is made when its turn
        comes: leave that as it is until the end.

        Parameters
        ----------
        runs:
            For each label, what its test has otherwise than the widget: arguments of
            `RangeTest`, as `run` takes them.

        Raises
        ------
        RuntimeError
            If something is running already, or the widget is closed.
        TypeError, ValueError
            If ``runs`` is not as described, and as `RangeTest` raises them.
        """
        self._stage.compare(runs)

    def remove(self, name: str) -> None:
        """
        Forget a former run.

        Parameters
        ----------
        name:
            One of the keys of `curves`, but the last.

        Raises
        ------
        ValueError
            If it is none of these.
        """
        self._stage.remove(name)

    def race(
        self, rates: Sequence[float] | None = None, steps: int | None = None
    ) -> None:
        """
        Start short trainings at some rates in the background, and return at once.

        Each starts from the same model, on a copy that is made when its turn comes,
        and sees the same batches. The second chart shows them, and a click there
        picks a rate; `race_curves` are they. The race itself leaves `value` as it is.

        Parameters
        ----------
        rates:
            The learning rates, within the swept range. If None, the chosen rate, the
            suggestion, and what lies around these.
        steps:
            How many optimizer steps each training has; as many as the test if None.

        Raises
        ------
        RuntimeError
            If something is running already, the widget is closed, or ``rates`` is None
            where nothing is chosen or suggested.
        TypeError, ValueError
            If rates or steps are not as described.
        """
        self._stage.race(rates, steps)

    def stop(self) -> None:
        """
        Ask what runs to stop after its present step, and return at once.

        A test that is followed is asked by a file beside its record; the second time,
        it is followed no more.
        """
        self._stage.stop()

    def wait(self, timeout: float | None = None) -> LRCurve:
        """
        Wait for what runs to end. An interrupt of the kernel stops it.

        A test that is followed goes on at an interrupt, and is followed no more.

        Parameters
        ----------
        timeout:
            How many seconds to wait at most; for ever if None.

        Returns
        -------
        :
            The curve of the test.

        Raises
        ------
        RuntimeError
            If nothing was run.
        TimeoutError
            If it has not ended by then. It goes on.
        Exception
            What the run raised, or an observer of `value` at its end.
        """
        self._stage.session.wait(timeout)
        return self.curve

    def close(self) -> None:
        """Stop what runs, and close the widget with all its parts."""
        if self.comm is None:  # closed already, or never finished
            return
        self._stage.close()
        close_with_parts(self)

    def __repr__(self) -> str:
        """Return one short line; the default one writes out the whole chart."""
        status = textwrap.shorten(self.status, _STATUS_IN_REPR, placeholder=" ...")
        return f"<LRWidget: value={self.value!r}, status={status!r}>"

    def _repr_png_(self) -> bytes | None:
        """Return a picture of the curve, for where no widget is shown."""
        # No SVG beside it, as for a curve.
        return picture.cached_png(self.curve, **self._looks())

    @traitlets.observe("value")
    def _show_value(self, _change: object = None) -> None:
        self._stage.show_choice()

    @traitlets.observe("rule")
    def _show_rule(self, _change: object = None) -> None:
        self._stage.show_rule(self.rule)

    def _looks(self) -> Looks:
        """Return what a picture shows beside the curve itself."""
        beta = self._stage.display.view_bar.view.beta
        return {"beta": beta, "rule": self.rule, "choice": self.value}

    def _export(self, kind: str) -> bytes:
        return exported(self.curve, kind, self._looks())
