from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lrwidget.ui.legend import Legend
from lrwidget.ui.widgets import close_with_parts

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def legend() -> Iterator[Legend]:
    legend = Legend()
    yield legend
    close_with_parts(legend)


def test_it_says_what_the_marks_are(legend: Legend) -> None:
    key = legend.children[0].value
    always = ("trend", "one batch", "suggestion", "range to try", "chosen")
    for name in (*always, "± 2 standard errors"):
        assert name in key
    legend.explain(band=False, repeats=True, checked=False)
    key = legend.children[0].value
    for name in (*always, "trend of repeated runs"):
        assert name in key
    assert "standard errors" not in key
    legend.explain(band=True, repeats=False, checked=True)
    key = legend.children[0].value
    assert "checked by training" in key
    assert "range to try" not in key
