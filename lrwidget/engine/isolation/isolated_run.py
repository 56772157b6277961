"""A training that leaves everything as it was."""

from __future__ import annotations

import atexit
import weakref
from contextlib import ExitStack
from inspect import GEN_RUNNING, getgeneratorstate
from typing import TYPE_CHECKING, NamedTuple

from lrwidget.engine.isolation.components import isolate
from lrwidget.engine.isolation.random_state import RandomState
from lrwidget.engine.stopping import SteadyStopRule

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from lrwidget.curve.lr_curve import Recording, Step, StopReason
    from lrwidget.engine.distributed.context import Company
    from lrwidget.engine.isolation.components import Components, Isolation
    from lrwidget.engine.loop import Plan
    from lrwidget.engine.thread_settings import ThreadSettings

_trained_now: set[int] = set()  # models that are trained themselves, by identity
_open: weakref.WeakSet[Generator[Step, None, StopReason]] = weakref.WeakSet()


class IsolatedRun(NamedTuple):
    """
    A training after which all is as if it had never been, however it ends.

    Attributes
    ----------
    subject:
        What the user passed.
    plan:
        How to train.
    isolation, seed:
        As `RangeTest` takes them.
    """

    subject: Components
    plan: Plan
    isolation: Isolation
    seed: int | None

    def at(self, lr: float, steps: int) -> IsolatedRun:
        """Return such a training with some steps at one rate."""
        rule = None if self.plan.stop_rule is None else SteadyStopRule
        plan = self.plan._replace(rates=[lr] * steps, steps_per_lr=1, stop_rule=rule)
        return self._replace(plan=plan)

    def start(
        self, ambient: ThreadSettings, recording: Recording, company: Company
    ) -> Generator[Step, None, StopReason]:
        """
        Set apart what is trained, at once; the steps may be taken in another thread.

        Parameters
        ----------
        ambient:
            The settings of the thread that began.
        recording:
            Has each step before it is given, and in the end why they end, unless one
            fails.
        company:
            Who runs it.

        Returns
        -------
        :
            A generator of the steps, which returns why they end.
        """
        plan = self.plan
        loaders = [plan.dataloader]
        if plan.val_loader is not None:
            loaders.append(plan.val_loader)
        try:
            random_state = RandomState(*loaders)
            self.check_free()
            try:
                with ambient.entered():
                    subject, restore = isolate(
                        self.subject, self.isolation, plan.device
                    )
            except BaseException:
                random_state.restore()
                raise
        except BaseException as error:
            company.fail(error)
            raise
        restoring = self._restoring(
            company.steps(plan, subject, self.subject, ambient, recording),
            recording,
            restore,
            random_state,
            trains_original=subject.model is self.subject.model,
        )
        _open.add(restoring)
        return company.told(restoring)

    def check_free(self) -> None:
        """Raise RuntimeError where the model itself, and not a copy, is trained now."""
        if id(self.subject.model) in _trained_now:
            msg = (
                "a range test or race is training this model itself at the moment, "
                "and not a copy; wait for its end, or stop it"
            )
            raise RuntimeError(msg)

    def _restoring(
        self,
        steps: Generator[Step, None, StopReason],
        recording: Recording,
        restore: Callable[[], object],
        random_state: RandomState,
        *,
        trains_original: bool,
    ) -> Generator[Step, None, StopReason]:
        """Take the steps, make all as it was when they end, and record why they do."""
        self.check_free()
        reason: StopReason | None = "stopped"
        try:
            with ExitStack() as at_the_end:
                if trains_original:
                    model = id(self.subject.model)
                    _trained_now.add(model)
                    at_the_end.callback(_trained_now.discard, model)
                at_the_end.callback(random_state.restore)
                at_the_end.callback(restore)
                if self.seed is not None:
                    # Not at the start: others may draw until the first step is taken.
                    random_state.seed(self.seed)
                reason = yield from steps
        except Exception:
            reason = None
            raise
        finally:
            recording.stop_reason = reason
        return reason


@atexit.register
def _close_all() -> None:
    """
    End the trainings that somebody has left half-way, before the interpreter goes.

    Torch aborts the process where tensors are put back while it is torn down.
    """
    with ExitStack() as stack:
        for steps in list(_open):
            # One that another thread is in the midst of is closed there.
            if getgeneratorstate(steps) != GEN_RUNNING:
                stack.callback(steps.close)
