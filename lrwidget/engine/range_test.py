"""The learning-rate range test."""

from __future__ import annotations

import warnings
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from lrwidget.config import check_loader, config_of, is_kind, with_settings
from lrwidget.curve.checks import check_function, invalid
from lrwidget.curve.history import RunHistory
from lrwidget.curve.records.store import writable_store
from lrwidget.curve.records.writer import recorded
from lrwidget.engine.constructors import FromFrameworks, FunctionFromFrameworks
from lrwidget.engine.distributed import context
from lrwidget.engine.framework import FrameworkStep
from lrwidget.engine.isolation.components import Components
from lrwidget.engine.isolation.contents import outside
from lrwidget.engine.isolation.isolated_run import IsolatedRun
from lrwidget.engine.loop import Training
from lrwidget.engine.losses import check_loss, untrained
from lrwidget.engine.optimizers import (
    as_one,
    check_optimizer,
    check_trained,
    each_of,
    memory,
)
from lrwidget.engine.stopping import SteadyStopRule, stop_rule_of
from lrwidget.engine.thread_settings import ThreadSettings

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from torch import nn
    from torch.optim import Optimizer
    from typing_extensions import Unpack

    from lrwidget.config import LossFunction, Settings, TestConfig
    from lrwidget.curve.history import Plan
    from lrwidget.curve.lr_curve import LRCurve, Step, StopReason
    from lrwidget.engine.loop import Validations

    _OnlySteps: TypeAlias = Generator[Step, None, StopReason]

_COMPONENTS = ("model", "optimizer", "dataloader", "loss_fn")


@with_settings
class RangeTest(FromFrameworks):
    """
    Smith's learning-rate range test, run by iterating over it.

    Each iteration is one test: a training while the learning rate grows, with one
    `Step` for each optimizer step. Model, optimizer, loss function and random states
    are afterwards as if there had been no test, however it ends.

    Where torch's default process group is initialised, all its ranks run the test
    together: begin it on each. The loss of a point is the mean over the ranks, weighted
    by their samples, and an end on one rank ends the test on all. Wrap the model in
    `DistributedDataParallel`, shard it by ``fully_shard``, or average the gradients as
    your training does; the test itself averages none.
    Source: Smith (2015, arXiv:1506.01186), with the defaults of fastai.

    Parameters
    ----------
    model:
        Any module with trainable parameters. It is trained in training mode, as by
        ``model.train()``; see ``keep_modes``.
    optimizer:
        Any optimizer of its parameters. Several parameter groups keep the ratios of
        their rates; the rate of the last group is the rate of the test. Several
        optimizers of different parameters, in a list or tuple, count as one optimizer
        with all their groups. Learning-rate schedulers do not step.
    dataloader:
        Any iterable of batches. It starts again when it ends; most iterators cannot,
        and the test ends with them. A batch is copied to a GPU without a wait:
        do not write to its pinned memory meanwhile.
    loss_fn:
        Called as ``loss_fn(model(*inputs), target)`` for batches ``(*inputs,
        target)``, mappings with one target under a usual name (labels, label,
        targets, target, y), and objects with a ``y``. If None, the model gives the
        loss itself: called with the batch, it returns the loss, an object with a
        ``loss``, or a dict of losses.
    **settings:
        The settings of `lrwidget.config.TestConfig`.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If an argument has a value that cannot work. Both name the argument, its
        value and what to pass.
    """

    @context.errors_reported()
    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer | Sequence[Optimizer],
        dataloader: Iterable[Any],
        loss_fn: LossFunction | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        self.config = config = config_of(settings, _COMPONENTS)
        if isinstance(config.training_step, FrameworkStep):
            for name in ("closure", "create_graph", "keep_modes"):
                if getattr(config, name):
                    problem = (
                        "has no effect where a framework takes the steps; pass False"
                    )
                    raise invalid(True, name, problem)  # noqa: FBT003 (its value)
        check_loader("dataloader", dataloader)
        check_function("loss_fn", loss_fn)
        one, scaler, notices = _without_accelerate(optimizer, config)
        check_loss(model, loss_fn, config.training_step)
        # Its items are floats of Python, and it takes no more memory.
        lrs = config.lrs.data
        check_trained(model, one, (loss_fn, *outside(config.training_step)))
        check_optimizer(one, scaler, lrs, closure=config.closure)
        # Differences that are known before a test.
        self._left_out = [*notices, *untrained(loss_fn, one)]
        writes = config.record is not None and context.rank() == 0
        self._record = writable_store(config.record) if writes else None
        # Accelerate's wrapper of a loader counts as active until its end, which a test
        # seldom reaches.
        training = Training(
            config=config,
            dataloader=getattr(dataloader, "base_dataloader", dataloader),
            val_loader=getattr(config.val_loader, "base_dataloader", config.val_loader),
            lrs=lrs,
            stop_rule=stop_rule_of(config.stop_div, lrs),
            loaders={},
            notices=[],
        )
        components = Components(model, one, loss_fn, config.training_step, scaler)
        self._run = IsolatedRun(components, training)
        self._history: RunHistory | None = None

    @property
    def start_lr(self) -> float:
        """The first rate."""
        return self.config.start_lr

    @property
    def end_lr(self) -> float:
        """The last rate."""
        return self.config.end_lr

    @property
    def num_it(self) -> int:
        """The number of steps of a test that runs to its end."""
        return self.config.num_it

    @property
    def plan(self) -> Plan:
        """The rates, the number of steps, and the memory of the optimizer."""
        remembered = memory(self._run.components.optimizer)
        return self.config.plan._replace(optimizer_memory=remembered)

    @property
    def curve(self) -> LRCurve:
        """The steps of the latest iteration so far."""
        history = self._history
        return (RunHistory(self.plan) if history is None else history).curve()

    @property
    def waiting_for(self) -> str | None:
        """The loader whose next batch the test waits for at the moment, if any."""
        for batches in list(self._run.training.loaders.values()):
            if (awaited := batches.awaited) is not None:
                return awaited
        return None

    @property
    def notices(self) -> tuple[str, ...]:
        """Sentences on the known differences of the latest test from your training."""
        return (*self._left_out, *self._run.training.notices)

    def __iter__(self) -> Generator[Step, None, StopReason]:
        """
        Start a test.

        The model is copied at once, in the calling thread, whose settings of autocast
        and device count; the steps may be taken in another one. The generator returns
        the reason of the end.
        """
        steps = self.start(ThreadSettings())
        self._history = history = RunHistory(self.plan)
        return _kept(steps, history)

    def start(self, settings: ThreadSettings) -> _OnlySteps:
        """
        Start a test whose steps are not kept in `curve`; see `__iter__`.

        The settings are those of the thread in which it was started.
        """
        own = context.new()
        # A range test has no validation losses beside its steps.
        steps = cast("_OnlySteps", self._run.start(settings, own))
        if self._record is not None:
            components, training = self._run
            described = {
                "model": components.model,
                "optimizer": components.optimizer,
                "dataloader": training.dataloader,
                "loss_fn": components.loss_fn,
                "optimizer_memory": self.plan.optimizer_memory,
                **self.config.settings(),
            }
            steps = recorded(steps, self._record, described)
        return cast("_OnlySteps", own.reporting(steps))

    def at(
        self,
        lr: float,
        steps: int,
        raced_rates: Sequence[float] = (),
        validations: Validations = "each rate",
    ) -> IsolatedRun:
        """Return a training of the same components at a constant rate."""
        components, training = self._run
        return IsolatedRun(
            components,
            training._replace(
                config=training.config.with_one_step_a_rate(),
                lrs=[lr] * steps,
                raced_rates=raced_rates,
                validations=validations,
                stop_rule=SteadyStopRule if training.config.stop_div else None,
            ),
        )

    def check_free(self) -> None:
        """
        Raise if a test trains the model itself at the moment, and not a copy.

        Raises
        ------
        RuntimeError
            If a test does. All changes of model or optimizer until its end are lost.
        """
        self._run.check_free()


@FunctionFromFrameworks
@with_settings
def range_test(
    model: nn.Module,
    optimizer: Optimizer | Sequence[Optimizer],
    dataloader: Iterable[Any],
    loss_fn: LossFunction | None = None,
    **settings: Unpack[Settings],
) -> LRCurve:
    """
    Run a learning-rate range test to its end, without a notebook.

    Parameters
    ----------
    model, optimizer, dataloader, loss_fn, **settings:
        The arguments of `RangeTest`.

    Returns
    -------
    :
        The curve of the test.

    Warns
    -----
    UserWarning
        If the training is known to differ from yours: see `RangeTest.notices`.

    Raises
    ------
    TypeError, ValueError
        As `RangeTest` raises them.
    Exception
        The error of the training, if it fails.
    """
    test = RangeTest(model, optimizer, dataloader, loss_fn, **settings)
    for _ in test:
        pass
    warn_of_differences(test)
    return test.curve


def _without_accelerate(
    optimizer: Any,  # noqa: ANN401 (Accelerate is not imported)
    config: TestConfig,
) -> tuple[Any, Any, list[str]]:
    """Return the optimizer and the scaler in Accelerate's wrappers, and a notice."""
    one: Any = as_one(optimizer)
    scaler: Any = config.grad_scaler
    accelerated = [x for x in each_of(one) if is_kind(x, "AcceleratedOptimizer")]
    if not accelerated:
        return one, scaler, []
    notices: list[str] = []
    for wrapper in accelerated:
        scaler = wrapper.scaler if scaler is None else scaler
        count = wrapper.gradient_state.num_steps
        if count not in (1, config.accumulate) and not notices:
            notices.append(
                f"Accelerate accumulates {count} batches for each optimizer step, "
                f"and the test {config.accumulate}; pass accumulate={count}."
            )
    # An accelerated optimizer skips steps by Accelerate's own count of batches.
    plain = [x.optimizer if x in accelerated else x for x in each_of(one)]
    return as_one(plain if one is not optimizer else plain[0]), scaler, notices


def warn_of_differences(test: RangeTest) -> None:
    """Warn the caller's caller of the known differences from the user's training."""
    if test.notices:
        words = " ".join(("The test differs from your training.", *test.notices))
        warnings.warn(words, stacklevel=4)


def _kept(steps: _OnlySteps, history: RunHistory) -> _OnlySteps:
    """Yield the steps, each after it is in the history."""
    reason: StopReason | None = "stopped"
    try:
        with closing(steps):
            while True:
                try:
                    step = next(steps)
                except StopIteration as end:
                    reason = end.value
                    return end.value  # type: ignore[no-any-return]  # it has no types
                history.append(step)
                yield step
    except Exception:
        reason = None
        raise
    finally:
        history.stop_reason = reason
