"""The tests, comparisons and races of a training in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lrwidget.backends.base import Activity, Capabilities
from lrwidget.backends.verification import VerificationJob
from lrwidget.curve.race_history import race_plans
from lrwidget.curve.ticks import exact
from lrwidget.engine.distributed import context
from lrwidget.engine.optimizers import (
    apply_rate,
    as_one,
    each_of,
    rate_ratios,
    saved_rates,
)
from lrwidget.engine.race import race_runs, run_in_turn
from lrwidget.engine.range_test import RangeTest
from lrwidget.engine.thread_settings import ThreadSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from lrwidget.curve.history import Event, Plan
    from lrwidget.curve.lr_curve import LRCurve
    from lrwidget.engine.race import Startable


class LocalJob:
    """
    Trainings that run one after the other in this process.

    ``tests`` are the range tests whose loaders the trainings use.
    """

    goes_on = False

    def __init__(
        self,
        trainings: Sequence[Startable],
        plans: Sequence[Plan],
        tests: Sequence[RangeTest],
    ) -> None:
        self._trainings = trainings
        self.plans = plans
        self._tests = tests
        self._stopping = False

    @property
    def notices(self) -> Sequence[str]:
        """The known differences from the user's training, each once."""
        return list(dict.fromkeys(x for test in self._tests for x in test.notices))

    def events(self) -> Iterator[Event]:
        """Start the first training, and return the events of all."""
        return self._until_stopped(run_in_turn(self._trainings, self.plans))

    def stop(self) -> None:
        """Stop after the present step."""
        self._stopping = True

    abandon = stop

    def activity(self) -> Activity:
        """Return whether a training waits for a loader, or is to stop."""
        for test in self._tests:
            loader = test.waiting_for
            if loader is not None:
                return Activity("waiting", detail=loader)
        return Activity("stopping" if self._stopping else "running")

    def _until_stopped(
        self, events: Generator[Event, None, None]
    ) -> Generator[Event, None, None]:
        try:
            for event in events:
                yield event
                if self._stopping:
                    return
        finally:
            events.close()


class LocalBackend:
    """
    The back end of a training in this process, with the arguments of a `RangeTest`.

    ``write_rate`` writes a rate to where the training takes it from, and returns the
    name of that place; ``save_rates`` returns a function that writes back what is there
    now. If they are None, `apply_rate` writes to the optimizer.
    ``total_steps`` are the optimizer steps of the user's training, if known.
    """

    def __init__(
        self,
        arguments: Mapping[str, Any],
        write_rate: Callable[[float], str] | None = None,
        total_steps: int | None = None,
        save_rates: Callable[[], Callable[[], None]] | None = None,
    ) -> None:
        self.arguments = arguments
        self.total_steps = total_steps
        test = self._test({})
        self.config = test.config
        self.arguments = {**arguments, **test.config.settings()}
        validated = test.config.val_loader is not None
        self.capabilities = Capabilities(
            optimizer="" if write_rate else _named(arguments["optimizer"]),
            loss_name="validation loss" if validated else "loss",
        )
        self._write_rate = write_rate
        self._save_rates = save_rates
        self._check_free = test.check_free
        # A press on Run may come on a thread without the settings of this one.
        self.as_made = ThreadSettings().applied

    def test(self, changes: Mapping[str, Any]) -> LocalJob:
        """Return a test with some arguments changed."""
        return self.compare([changes])

    def compare(self, changes: Sequence[Mapping[str, Any]]) -> LocalJob:
        """Return several tests that run one after the other."""
        tests = list(map(self._test, changes))
        return LocalJob(tests, [test.plan for test in tests], tests)

    def race(
        self, changes: Mapping[str, Any], rates: Sequence[float], steps: int
    ) -> LocalJob:
        """Return trainings at constant rates that run one after the other."""
        test, plans = self._test(changes), race_plans(rates, steps)
        return LocalJob(race_runs(test, plans), plans, [test])

    def sweep(self, changes: Mapping[str, Any]) -> LocalJob:
        """Return a test with some arguments changed, without validation losses."""
        self._test(changes)  # which checks the loader that is left out
        return self.test({**changes, "val_loader": None})

    def lanes(
        self, changes: Mapping[str, Any], rates: Sequence[float], steps: int
    ) -> LocalJob:
        """Return trainings at constant rates, with validations at their ends alone."""
        test, plans = self._test(changes), race_plans(rates, steps)
        return LocalJob(race_runs(test, plans, at_ends=True), plans, [test])

    def verify(
        self, changes: Mapping[str, Any], curve: LRCurve | None, total_steps: int | None
    ) -> VerificationJob:
        """Return a sweep, unless its curve is given, and its lanes."""
        return VerificationJob(self, changes, curve, total_steps)

    def rate_ratios(self) -> list[float]:
        """Return the rate of each parameter group over that of the last one."""
        return rate_ratios(as_one(self.arguments["optimizer"]))

    def saved_rates(self) -> Callable[[], None]:
        """Return a function that writes the present rates back."""
        if self._save_rates is not None:
            write_back = self._save_rates()
        else:
            write_back = saved_rates(as_one(self.arguments["optimizer"]))

        def checked() -> None:
            self._check_free()
            write_back()

        return checked

    def apply_rate(self, rate: float) -> str:
        """Write a rate to the optimizer or to the framework; return what changed."""
        self._check_free()
        if self._write_rate is not None:
            return f"{self._write_rate(rate)} is now {exact(rate)}"
        optimizer = as_one(self.arguments["optimizer"])
        apply_rate(optimizer, rate)
        rates = [exact(float(group["lr"])) for group in optimizer.param_groups]
        groups = "" if len(rates) == 1 else " in its groups"
        return f"{_named(optimizer)} now has lr={', '.join(rates)}{groups}"

    def _test(self, changes: Mapping[str, Any]) -> RangeTest:
        with context.errors_kept():  # a refused test of a widget is no rank's failure
            return RangeTest(**{**self.arguments, **changes})


def _named(optimizer: Any) -> str:  # noqa: ANN401 (one or several)
    """Return the class of an optimizer, or the classes of several."""
    names = (type(each).__name__ for each in each_of(as_one(optimizer)))
    return " and ".join(dict.fromkeys(names))
