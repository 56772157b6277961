from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as ipw
import pytest
from ipywidgets.widgets import widget

from lrwidget.ui.legend import Legend
from lrwidget.ui.widgets import close_with_parts
from tests.curves import run_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_A, _B, _C = (run_of([1.0], name, number) for number, name in enumerate("abc"))


@pytest.fixture
def heard() -> list[str]:
    return []


@pytest.fixture
def legend(heard: list[str]) -> Iterator[Legend]:
    legend = Legend(lambda: heard.append("change"), heard.append)
    yield legend
    close_with_parts(legend)


def _entries(legend: Legend) -> dict[str, tuple[ipw.Checkbox, ipw.Button]]:
    """Return the controls of each former run, by the name beside the check box."""
    boxes = [part.children for part in legend.children if isinstance(part, ipw.HBox)]
    return {shown.description: (shown, remove) for shown, remove in boxes}


def _named(legend: Legend) -> list[str]:
    """Return the names of latest runs that are to be seen."""
    labels = [part for part in legend.children if isinstance(part, ipw.Label)]
    return [part.value for part in labels if part.layout.display != "none"]


def test_alone_a_run_needs_no_name(legend: Legend) -> None:
    assert (_entries(legend), _named(legend)) == ({}, [])
    legend.show([], _A)
    assert (_entries(legend), _named(legend)) == ({}, [])
    legend.show([_A], _B)
    assert (list(_entries(legend)), _named(legend)) == (["a"], ["b"])
    legend.show([], _B)
    assert (_entries(legend), _named(legend)) == ({}, [])


def test_each_former_run_has_a_check_box_and_a_delete_button(
    legend: Legend, heard: list[str]
) -> None:
    legend.show([_A, _B], _C)
    assert list(_entries(legend)) == ["a", "b"]
    for name, (shown, remove) in _entries(legend).items():
        assert shown.value
        assert name in shown.tooltip
        # what a button without a text is called
        assert remove.tooltip == f"Remove {name}"
        remove.click()
    assert heard == ["a", "b"]


def test_a_check_box_hides_a_run_and_shows_it_again(
    legend: Legend, heard: list[str]
) -> None:
    runs = [_A, _B]
    assert legend.show(runs, _C) == runs
    shown, _ = _entries(legend)["a"]
    shown.set_state({"value": False})
    assert legend.show(runs, _C) == [_B]
    shown.set_state({"value": True})
    assert legend.show(runs, _C) == runs
    assert heard == ["change", "change"]


def test_what_is_hidden_stays_hidden(legend: Legend) -> None:
    legend.show([_A], _B)
    _entries(legend)["a"][0].value = False
    assert legend.show([_A, _B], _C) == [_B]


def test_a_run_that_is_new_is_shown(legend: Legend) -> None:
    assert legend.show([_A], _B) == [_A]


def test_a_removed_run_leaves_nothing(legend: Legend) -> None:
    legend.show([_A], _C)
    before = set(widget._instances)
    legend.show([_A, _B], _C)
    _entries(legend)["b"][0].value = False
    legend.show([_A], _C)
    assert set(widget._instances) == before
    # nor is the next one of its name hidden
    again = run_of([1.0], "b", 3)
    assert legend.show([_A, again], _C) == [_A, again]


def test_a_run_has_the_colour_of_its_line(legend: Legend) -> None:
    legend.show([_A, _B], _C)
    borders = [shown.layout.border_bottom for shown, _ in _entries(legend).values()]
    assert len(set(borders)) == 2
    nine = [run_of([1.0], f"{number}", number) for number in range(9)]
    legend.show(nine, _C)
    nine_borders = [x.layout.border_bottom for x, _ in _entries(legend).values()]
    assert len(set(nine_borders)) == 9
    assert {border.split()[1] for border in nine_borders} == {
        *("dashed", "dotted", "double"),
    }
    legend.show([_A, _B], _C)
    legend.show([_B], _C)
    assert _entries(legend)["b"][0].layout.border_bottom == borders[1]


def test_names_are_text(legend: Legend) -> None:
    evil = run_of([1.0], "<b>a</b>")
    legend.show([evil], evil)
    (shown, _), (latest,) = _entries(legend)["<b>a</b>"], _named(legend)
    assert not shown.description_allow_html
    assert latest == "<b>a</b>"
