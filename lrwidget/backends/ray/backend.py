"""The tests of a training that is made on the workers of a Ray cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lrwidget.backends.ray.job import ClusterTest
from lrwidget.backends.ray.tasks import ClusterComparison, ClusterRace
from lrwidget.backends.variants import Variants
from lrwidget.curve.short_repr import shown
from lrwidget.ui.capabilities import Controls

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import NoReturn

    from lrwidget.backends.ray.scaling import Scaling


class ClusterRecipe(Variants):
    """
    What makes a training on workers, of which each run may change something.

    Parameters
    ----------
    build, settings, scaling:
        As `ClusterTest` takes them.
    """

    controls = Controls(apply=False)
    loss_name = "loss"

    def __init__(
        self, build: Callable[[], Any], settings: Mapping[str, Any], scaling: Scaling
    ) -> None:
        self._scaling = scaling
        super().__init__({**settings, "build": build})
        self._test = self.test({})

    def test(self, changes: Mapping[str, Any]) -> ClusterTest:
        """Return the test with some arguments changed."""
        return ClusterTest(*self._changed(changes), self._scaling)

    def race(
        self, changes: Mapping[str, Any], rates: Sequence[float], steps: int | None
    ) -> ClusterRace:
        """Return a race of that test, with as many steps if None."""
        build, settings = self._changed(changes)
        count = self.test(changes).num_it if steps is None else steps
        return ClusterRace(build, settings, self._scaling, rates, count)

    def compare(self, changes: Sequence[Mapping[str, Any]]) -> ClusterComparison:
        """Return several tests that run at once."""
        every = [self._changed(each) for each in changes]
        builds, settings = [build for build, _ in every], [each for _, each in every]
        return ClusterComparison(builds, settings, self._scaling)

    def ratios(self) -> NoReturn:
        """Raise RuntimeError, since the parameter groups are on the workers."""
        self._test.check_free()

    def write(self, _rate: float) -> NoReturn:
        """Raise RuntimeError, since the optimizer is on the workers."""
        self._test.check_free()

    def _changed(
        self, changes: Mapping[str, Any]
    ) -> tuple[Callable[[], Any], dict[str, Any]]:
        """Return what makes the training of a run, and its settings."""
        settings = {**self.arguments, **changes}
        build = settings.pop("build")
        if not callable(build):
            msg = (
                f"build={shown(build)} must be a function; pass one that returns "
                "(model, optimizer, dataloader, loss_fn)"
            )
            raise TypeError(msg)
        return build, settings
