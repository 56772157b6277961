"""What runs on a Ray cluster, as it is watched from here."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from lrwidget.backends.ray.connection import connect

if TYPE_CHECKING:
    from lrwidget.backends.ray.progress import Progress
    from lrwidget.backends.ray.scaling import Scaling


class Watched:
    """
    What runs on a cluster, as far as all of that is alike.

    Parameters
    ----------
    progress:
        How far it has come.
    scaling:
        What it needs.
    """

    goes_on = False

    def __init__(self, progress: Progress, scaling: Scaling) -> None:
        self._progress = progress
        self._scaling = scaling
        self._left = threading.Event()

    @property
    def seconds(self) -> float:
        """How long the steps after the first took."""
        return self._progress.seconds

    @property
    def state(self) -> str | None:
        """How it is, in words, where there is more to say than how far it has come."""
        return self._progress.state

    def stop(self) -> None:
        """Let it be ended, and return at once."""
        self.leave()

    def leave(self) -> None:
        """Let it be ended, and return at once."""
        self._left.set()

    def _begin(self) -> None:
        self._left.clear()
        self._progress.begin()

    def _connect(self, workers: int) -> None:
        """Connect to the cluster, and see whether it has room for so many workers."""
        there = connect(self._left)
        if not self._left.is_set():
            self._progress.lacking = self._scaling.lacking(workers, there)
