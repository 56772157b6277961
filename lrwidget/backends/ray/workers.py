"""The workers of one test, and what is known of them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayTaskError

from lrwidget.backends.ray import ray_calls
from lrwidget.backends.ray.errors import ClusterError
from lrwidget.backends.ray.messages import Hello

if TYPE_CHECKING:
    from lrwidget.backends.ray.errors import Failure


class Workers:
    """The workers of one test, as far as they have told of themselves."""

    def __init__(self) -> None:
        self._resources: Any = None
        self._here: dict[int, str] = {}
        self._collateral: dict[str, Failure] = {}

    def hear(self, item: Hello | Failure) -> None:
        """Note what a worker tells, and raise what has ended the test."""
        if isinstance(item, Hello):
            self._here[item.rank] = item.where
            self._resources = item.resources
        elif item.collateral:
            self._collateral[item.where] = item
        else:
            raise item.error()

    def lost(self, fitting: Any) -> ClusterError:  # noqa: ANN401 (Ray's)
        """Return why a test has ended without a word of its own."""
        cause: BaseException | None = None
        try:
            ray_calls.get(fitting)
        except RayTaskError as error:
            cause = error.cause
        failures = getattr(cause, "worker_failures", {})
        dead = [
            f"{self._here.get(rank, f'worker {rank}')} was lost: {found}"
            for rank, failure in failures.items()
            if (found := getattr(failure, "health_check_failure", None)) is not None
        ]
        if not dead and self._collateral:
            # Ray may not know yet that one is gone: it is who has said nothing.
            silent = [x for x in self._here.values() if x not in self._collateral]
            first = next(iter(self._collateral.values()))
            names = ", ".join(silent) or "a worker"
            dead = [f"{names} was lost: {first.where} has {first.words}"]
        words = "\n".join(dead) or str(cause or "the workers have ended")
        lost = ClusterError(words)
        lost.__cause__ = cause
        return lost

    def end(self, fitting: Any, mailbox: Any) -> None:  # noqa: ANN401 (Ray's)
        """End what is left of them, and free what was reserved."""
        if not ray.is_initialized():  # any call would start a cluster
            return
        # Another Ray knows none of them, and has errors of any kind for that.
        with suppress(Exception):
            ray_calls.cancel(fitting)
        with suppress(Exception):
            ray_calls.kill(mailbox)
        if self._resources is not None:
            with suppress(Exception):
                ray.util.remove_placement_group(self._resources)
