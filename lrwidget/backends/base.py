"""What a stage needs to know of what it shows, wherever that is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lrwidget.curve.history import Part
    from lrwidget.curve.lr_curve import Recording
    from lrwidget.curve.runs import RepeatKey
    from lrwidget.ui.capabilities import Controls

# Those that the widget has fields for, as the test has them.
DEFAULTS: dict[str, Any] = {
    "start_lr": 1e-7,
    "end_lr": 10.0,
    "num_it": 100,
    "step_mode": "exp",
    "stop_div": True,
    "seed": None,
}


class Planned(Protocol):
    """
    The rates of a range test.

    Attributes
    ----------
    start_lr, end_lr, num_it:
        As `learning_rates` takes them, as far as they are known by now.
    """

    @property
    def start_lr(self) -> float: ...  # noqa: D102 (see above)
    @property
    def end_lr(self) -> float: ...  # noqa: D102 (see above)
    @property
    def num_it(self) -> int: ...  # noqa: D102 (see above)


class Source(Planned, Protocol):
    """A range test, run by iterating over it, which may return why it stopped."""

    def __iter__(self) -> Iterator[Any]: ...

    def check_free(self) -> None:
        """Raise RuntimeError where nothing can be written to model or optimizer."""


class RaceSource(Protocol):
    """
    A race, run by iterating over it, which may return why it stopped.

    Attributes
    ----------
    rates, steps:
        As `RaceRecording` takes them.
    """

    rates: list[float]
    steps: int

    def __iter__(self) -> Iterator[Part]: ...


class ComparisonSource(Protocol):
    """
    Several range tests, run by iterating over them, which may return why they stopped.

    Attributes
    ----------
    tests:
        The rates of each, in the order of the numbers of the parts.
    """

    @property
    def tests(self) -> Sequence[Planned]: ...  # noqa: D102 (see above)

    def __iter__(self) -> Iterator[Part]: ...


class Recipe(Protocol):
    """
    What makes the tests and races of a widget.

    Attributes
    ----------
    settings:
        What the fields for the next run say at first: ``start_lr``, ``end_lr``,
        ``num_it``, ``step_mode``, ``stop_div`` and ``seed``.
    loss_name:
        What the losses are, at their axis.
    controls:
        What there is to press.
    """

    @property
    def settings(self) -> dict[str, Any]: ...  # noqa: D102 (see above)
    @property
    def loss_name(self) -> str: ...  # noqa: D102 (see above)
    @property
    def controls(self) -> Controls: ...  # noqa: D102 (see above)

    def check_runs(self) -> None:
        """Raise RuntimeError where tests and races cannot be started by a user."""

    def test(self, changes: Mapping[str, Any]) -> Source:
        """Return the test with some arguments changed."""

    def race(
        self, changes: Mapping[str, Any], rates: Sequence[float], steps: int | None
    ) -> RaceSource:
        """Return a race of such a test, with as many steps as that has if None."""

    def compare(self, changes: Sequence[Mapping[str, Any]]) -> ComparisonSource:
        """Return several tests, each with some arguments changed."""

    def recording(self, test: Source) -> Recording:
        """Return what records the items of a test."""

    def name(self, changes: Mapping[str, Any]) -> str:
        """Return what a run is called for what it has otherwise than the widget."""

    def setting(self, changes: Mapping[str, Any], label: str | None) -> RepeatKey:
        """Return what a run has in common with those that repeat it."""

    def ratios(self) -> list[float]:
        """Return the rate of each parameter group as a share of the last one's."""

    def write(self, rate: float) -> str:
        """Write a rate to where the training takes it from, and return where."""
