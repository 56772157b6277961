"""The result of one range test: its steps, with raw losses."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from lrwidget.curve import picture
from lrwidget.curve.arrays import float_array
from lrwidget.curve.checks import (
    check_known,
    invalid,
    usable_memory,
    usable_number,
)
from lrwidget.curve.curve_files import Stored
from lrwidget.curve.edge import learning_from, unstable_from
from lrwidget.curve.fit import local_fit
from lrwidget.curve.rules import DEFAULT_RULE, RULES, check_rule
from lrwidget.curve.smoothing import DEFAULT_BETA, exponential_mean
from lrwidget.curve.trend import AUTOMATIC

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes

    from lrwidget.curve.fit import Fit
    from lrwidget.curve.suggestion import Suggestion
    from lrwidget.curve.trend import Smoothing

StopReason: TypeAlias = Literal[
    "completed", "diverged", "non_finite", "exhausted", "stopped"
]
MOST_STEPS = 2**53 - 1  # what every reader of JSON has as an exact number


class Step(NamedTuple):
    """
    One optimizer step of a range test.

    Attributes
    ----------
    iteration:
        How many steps came before it.
    lr:
        The learning rate that the step used; of several parameter groups, the
        last one's.
    loss:
        The raw loss of its batch, before the step; with a ``val_loader``, the loss on
        that after the step.
    train_loss:
        With a ``val_loader``, the mean raw loss of the batches at this rate, each
        before its step; otherwise None.
    """

    iteration: int
    lr: float
    loss: float
    train_loss: float | None = None


@dataclass(frozen=True, eq=False)
class LRCurve(Stored):
    """
    The raw learning rates and losses of one range test.

    Parameters
    ----------
    lrs:
        The rate of each optimizer step: finite, above 0, strictly increasing.
    losses:
        The raw loss of each step, as many as ``lrs``. NaN and infinity are kept.
    stop_reason:
        Why the test ended: ``"completed"`` (all steps done), ``"diverged"`` (the loss
        was well above its start), ``"non_finite"`` (a loss was NaN or infinite),
        ``"exhausted"`` (no more batches) or ``"stopped"`` (by its user); None while it
        runs and where it failed.
    num_it:
        How many steps the test was to have; as many as ``lrs`` if not given.
    optimizer_memory:
        How many steps the optimizer averages over, at least 1: ``1 / (1 - momentum)``
        or ``1 / (1 - beta1)``, which is 10 for Adam, and 1 without momentum. A long
        memory makes a curve late, for which the default suggestion allows.
    train_losses:
        The training loss of each step, if ``losses`` are those on a ``val_loader``.
        Nothing is computed from them.

    Raises
    ------
    ValueError
        If an argument is not as described.
    """

    lrs: npt.NDArray[np.float64]
    losses: npt.NDArray[np.float64]
    stop_reason: StopReason | None = None
    num_it: int = 0
    optimizer_memory: float = 1.0
    train_losses: npt.NDArray[np.float64] | None = None
    # Each is computed once.
    _fits: dict[float | None, Fit] = field(default_factory=dict, init=False, repr=False)
    _suggestions: dict[str, Suggestion] = field(
        default_factory=dict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        """Check the arguments, and copy the arrays so that nobody can change them."""
        lrs, losses = float_array("lrs", self.lrs), float_array("losses", self.losses)
        if len(lrs) != len(losses):
            msg = (
                f"lrs and losses must be of one length, not of {len(lrs)} and "
                f"{len(losses)}; pass one loss for each rate"
            )
            raise ValueError(msg)
        if self.train_losses is not None:
            trained = float_array("train_losses", self.train_losses)
            if len(trained) != len(lrs):
                msg = (
                    f"lrs and train_losses must be of one length, not of {len(lrs)} "
                    f"and {len(trained)}; pass one training loss for each rate"
                )
                raise ValueError(msg)
            trained.flags.writeable = False
            object.__setattr__(self, "train_losses", trained)
        positive = np.isfinite(lrs) & (lrs > 0)
        if not (positive.all() and (np.diff(lrs) > 0).all()):
            msg = f"lrs={lrs} must be finite, above 0 and strictly increasing"
            raise ValueError(msg)
        check_stop_reason(self.stop_reason)
        num_it = planned_steps(self.num_it, len(lrs))
        memory = usable_memory("optimizer_memory", self.optimizer_memory)
        lrs.flags.writeable = losses.flags.writeable = False
        checked = {"lrs": lrs, "losses": losses, "num_it": num_it}
        for name, value in {**checked, "optimizer_memory": memory}.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        """Return the number of steps."""
        return len(self.lrs)

    def __repr__(self) -> str:
        """Return one short line."""
        span = f", {self.lrs[0]:.3g} to {self.lrs[-1]:.3g}" if len(self) else ""
        return f"<LRCurve: {len(self)} steps{span}, stop_reason={self.stop_reason!r}>"

    def smoothed(self, beta: float = DEFAULT_BETA) -> npt.NDArray[np.float64]:
        """
        Return the losses smoothed by fastai's debiased exponential mean.

        Parameters
        ----------
        beta:
            The weight of the past, from 0 (raw) to below 1; fastai's is 0.98.

        Returns
        -------
        :
            One value a step; NaN where the raw loss is not finite.

        Raises
        ------
        ValueError
            If ``beta`` is not in ``[0, 1)``.
        """
        return exponential_mean(self.losses, beta)

    def fit(self, width: float | None = None) -> Fit:
        """
        Return the curve without its noise and without lag, and how sure that is.

        Parameters
        ----------
        width:
            The standard deviation of the kernel in decades of the rate, above 0. If
            None, it is chosen by the noise, between 0.12 and 0.5 decades.

        Returns
        -------
        :
            ``lrs``, ``losses`` and their standard ``errors``, in about 13 places a
            decade, and the ``width``; see `local_fit`.

        Raises
        ------
        TypeError, ValueError
            If ``width`` is not a number above 0.
        """
        if width is not None:
            width = usable_number("width", width, "width=0.2")
        if width not in self._fits:
            fit = local_fit(self.lrs, self.losses, width)
            for array in (fit.lrs, fit.losses, fit.errors):
                array.flags.writeable = False  # the next caller gets them, too
            self._fits[width] = fit
        return self._fits[width]

    # Computed once, since the display asks for them often.
    @cached_property
    def learning_from(self) -> float | None:
        """The rate from which on losses are below the start; None without a fall."""
        return learning_from(self)

    @cached_property
    def unstable_from(self) -> float | None:
        """The rate from which on losses are above the start; None if they never are."""
        return unstable_from(self)

    def suggestion(self, rule: str = DEFAULT_RULE) -> Suggestion:
        """
        Return the suggestion of a rule, with its range and its reason.

        No rule depends on how the losses are displayed.

        Parameters
        ----------
        rule:
            lrwidget's ``"descent"``: as far down the slope of the fit as its noise
            allows, see `descent`. Or fastai's ``"valley"`` (its default), ``"slide"``,
            ``"minimum"`` (a tenth of the rate at the lowest loss) or ``"steep"``, or
            fastai v1's ``"min_grad"``: each of these sees the losses smoothed with
            ``beta=0.98``, without the first ``num_it // 10`` and the last 5.

        Returns
        -------
        :
            ``lr``, a rate inside the swept range or None; ``low`` and ``high``, the
            range to try; and the ``reason`` in words.

        Raises
        ------
        ValueError
            If ``rule`` is not known.
        """
        check_rule(rule)
        if rule not in self._suggestions:
            self._suggestions[rule] = RULES[rule](self)
        return self._suggestions[rule]

    def suggest(self, rule: str = DEFAULT_RULE) -> float | None:
        """Return the rate alone that `suggestion` returns; None where it has none."""
        return self.suggestion(rule).lr

    @property
    def suggestions(self) -> dict[str, float | None]:
        """The rate that each rule suggests, by its name."""
        return {rule: self.suggest(rule) for rule in RULES}

    @property
    def min_grad_lr(self) -> float | None:
        """The rate where the loss falls fastest: fastai v1's name for it."""
        return self.suggest("min_grad")

    def plot(
        self,
        ax: Axes | None = None,
        *,
        smoothing: Smoothing = AUTOMATIC,
        rule: str = DEFAULT_RULE,
        choice: float | None = None,
    ) -> Axes:
        """
        Draw the curve and its suggestion with matplotlib.

        Parameters
        ----------
        ax:
            Where to draw; new axes if None.
        smoothing:
            The way to smooth the bold line: ``"automatic"`` for `fit`, a number from
            0.05 to 0.8 for `fit` with this width in decades, or ``"fastai"`` for
            `smoothed`. The band is two standard errors of the fit on each side.
        rule:
            The rule of the suggestion, as `suggestion` takes it.
        choice:
            A learning rate that is chosen, to be marked.

        Returns
        -------
        :
            The axes drawn on.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError, ValueError
            If an argument is not as described.
        """
        return picture.plot(self, ax, smoothing=smoothing, rule=rule, choice=choice)

    def _repr_png_(self) -> bytes | None:
        """Return the picture that IPython shows, if there is one."""
        # No SVG beside it: a notebook would store both. PNG is shown everywhere.
        return picture.cached_png(self)


def check_stop_reason(stop_reason: object) -> None:
    """Raise ValueError unless it is a known reason, or None."""
    check_known("stop_reason", stop_reason, (None, *get_args(StopReason)))


def planned_steps(num_it: object, done: int) -> int:
    """Return how many steps there were to be: those that were done, if it is 0."""
    if isinstance(num_it, bool) or not isinstance(num_it, int):
        raise invalid(num_it, "num_it", "must be an integer")
    if 0 != num_it < done:
        problem = f"is less than the {done} steps that were done"
        raise invalid(num_it, "num_it", problem)
    if num_it > MOST_STEPS:
        raise invalid(num_it, "num_it", f"must be at most {MOST_STEPS}")
    return num_it or done
