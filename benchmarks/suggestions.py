"""
How much of what a training can reach the suggested learning rates forgo.

Each task of `tasks` is swept with seeds of its own, each rule suggests a rate for each
sweep, and `truth` tells what training at that rate comes to:

    python -m benchmarks.suggestions
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.peers import PEERS
from benchmarks.tasks import TASKS
from lrwidget import LRCurve, range_test
from lrwidget.curve.suggest import DEFAULT_RULE
from lrwidget.engine.stopping import StopRule

FloatArray: TypeAlias = npt.NDArray[np.float64]
# From raw losses of a sweep that did not stop to a rate.
Rule: TypeAlias = Callable[[FloatArray, FloatArray], float | None]

_FIRST_SEED = 1000
_NUM_IT = 100


def swept(index: int, seed: int) -> LRCurve:
    """Return the curve of a task, all steps of it."""
    torch.set_num_threads(1)
    start = TASKS[index].start(seed)
    return range_test(
        *(start.model, start.optimizer, start.dataloader, start.loss_fn),
        num_it=_NUM_IT,
        stop_div=False,
    )


def stopped(lrs: FloatArray, losses: FloatArray) -> LRCurve:
    """Return the curve that a test of lrwidget leaves of a sweep, since it stops."""
    rule = StopRule()
    for count, loss in enumerate(losses.tolist(), start=1):
        reason = rule.update(loss)
        if reason is not None:
            return LRCurve(lrs[:count], losses[:count], reason, len(lrs))
    return LRCurve(lrs, losses, "completed")


def own(lrs: FloatArray, losses: FloatArray) -> float | None:
    """Suggest by the default rule of lrwidget."""
    return stopped(lrs, losses).suggest()


RULES: dict[str, Rule] = {
    f"lrwidget {DEFAULT_RULE}": own,
    **{peer.name: peer.restated for peer in PEERS},
}
