"""The axes that the parts of the chart stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lrwidget.ui.axes import Axes
from lrwidget.ui.widgets import close_with_parts

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def axes() -> Iterator[Axes]:
    axes = Axes(1e-7, 10.0, "loss")
    yield axes
    for part in (*axes.rates, *axes.both, *axes.on_plot.values(), axes.across["x"]):
        close_with_parts(part)


@pytest.fixture
def picked() -> list[float]:
    """Return where a part is to put the rates that are picked."""
    return []
