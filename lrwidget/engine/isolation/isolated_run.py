"""A training that leaves everything unchanged."""

from __future__ import annotations

import atexit
import weakref
from contextlib import ExitStack
from inspect import GEN_RUNNING, getgeneratorstate
from typing import TYPE_CHECKING, NamedTuple

import torch

from lrwidget.engine.isolation.components import isolate
from lrwidget.engine.isolation.random_state import RandomState

if TYPE_CHECKING:
    from lrwidget.engine.distributed.context import DistributedContext
    from lrwidget.engine.isolation.components import Components, Isolated
    from lrwidget.engine.loop import Steps, Training
    from lrwidget.engine.thread_settings import ThreadSettings


_originals_in_training: set[int] = set()  # models, by identity
_open: weakref.WeakSet[Steps] = weakref.WeakSet()


class IsolatedRun(NamedTuple):
    """A training of the user's components that leaves everything unchanged."""

    components: Components
    training: Training

    def start(self, settings: ThreadSettings, context: DistributedContext) -> Steps:
        """
        Isolate the components at once, and return the steps, which the caller reports.

        The settings are those of the thread in which the test was started; another one
        may take the steps. The generator returns the reason of the end.
        """
        training = self.training
        loaders = [training.dataloader]
        if training.val_loader is not None:
            loaders.append(training.val_loader)
        config = training.config
        device = None if config.device is None else torch.device(config.device)
        try:
            self.check_free()
            random_state = RandomState(*loaders)
            try:
                with settings.applied():
                    isolated = isolate(self.components, config.isolation, device)
            except BaseException:
                random_state.restore()
                raise
        except BaseException as error:
            context.fail(error)
            raise
        steps = context.steps(
            training._replace(without_originals=isolated.without_originals),
            isolated.components,
            self.components,
            settings,
        )
        restoring = self._restoring(steps, isolated, random_state)
        _open.add(restoring)
        return restoring

    def check_free(self) -> None:
        """Raise RuntimeError while the model itself, not a copy, is trained."""
        if id(self.components.model) in _originals_in_training:
            msg = (
                "a range test or race is training this model itself at the moment, "
                "and not a copy; wait for its end, or stop it"
            )
            raise RuntimeError(msg)

    def _restoring(
        self, steps: Steps, isolated: Isolated, random_state: RandomState
    ) -> Steps:
        """Yield the steps, and restore everything at their end."""
        self.check_free()
        seed = self.training.config.seed
        with ExitStack() as at_the_end:
            if isolated.components is self.components:
                model = id(self.components.model)
                _originals_in_training.add(model)
                at_the_end.callback(_originals_in_training.discard, model)
            at_the_end.callback(random_state.restore)
            at_the_end.callback(isolated.restore)
            if seed is not None:
                # Not at the start: other code may draw until the first step.
                random_state.seed(seed)
            return (yield from steps)


@atexit.register
def _close_all() -> None:
    """
    Close unfinished trainings before the interpreter exits.

    Torch aborts the process if tensors are restored during the interpreter's shutdown.
    """
    with ExitStack() as stack:
        for steps in list(_open):
            # Another thread closes a training that it runs.
            if getgeneratorstate(steps) != GEN_RUNNING:
                stack.callback(steps.close)
