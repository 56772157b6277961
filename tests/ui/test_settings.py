from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as ipw
import pytest

from lrwidget.config import TestConfig
from lrwidget.ui.settings import SettingsPanel
from lrwidget.ui.widgets import close_with_parts

if TYPE_CHECKING:
    from collections.abc import Iterator

_SETTINGS: dict[str, Any] = {
    "start_lr": 1e-6,
    "end_lr": 2.0,
    "num_it": 50,
    "step_mode": "linear",
    "stop_div": False,
    "seed": 7,
}
_CHANGED: dict[str, Any] = {
    "start_lr": ("From", 1e-5, 1e-5),
    "end_lr": ("To", 3.0, 3.0),
    "num_it": ("Steps", 80, 80),
    "step_mode": ("Sweep", "exp", 0),  # the first in the menu
    "stop_div": ("Stop when unstable", "fastai", 1),
    "seed": ("Seed", 42, " 42 "),
}


@pytest.fixture
def changes() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def panel(changes: list[dict[str, Any]]) -> Iterator[SettingsPanel]:
    config = TestConfig(**_SETTINGS)
    made: SettingsPanel
    made = SettingsPanel(config, None, lambda: changes.append(made.values))
    yield made
    for part in (made, made.toggle):
        close_with_parts(part)


def _field(panel: SettingsPanel, description: str) -> ipw.Widget:
    (field,) = (x for x in panel.children if x.description == description)
    return field


def test_the_fields_say_what_they_are_given(panel: SettingsPanel) -> None:
    assert panel.values == _SETTINGS
    types = {name: type(value) for name, value in panel.values.items()}
    assert types == {name: type(value) for name, value in _SETTINGS.items()}
    assert panel.problem.value == ""


@pytest.mark.parametrize("name", _CHANGED)
def test_each_of_them_can_be_changed(
    panel: SettingsPanel, changes: list[dict[str, Any]], name: str
) -> None:
    description, value, typed = _CHANGED[name]
    trait = "index" if name in ("step_mode", "stop_div") else "value"
    _field(panel, description).set_state({trait: typed})
    assert changes == [{**_SETTINGS, name: value}]
    assert panel.values == changes[0]


@pytest.mark.parametrize("nothing", ["", "  "])
def test_there_may_be_no_seed(panel: SettingsPanel, nothing: str) -> None:
    _field(panel, "Seed").value = nothing
    assert panel.values["seed"] is None


def test_without_a_seed_the_field_is_empty() -> None:
    settings = {**_SETTINGS, "seed": None}
    panel = SettingsPanel(TestConfig(**settings), 5000, lambda: None)
    assert _field(panel, "Seed").value == ""
    assert panel.values["seed"] is None
    assert _field(panel, "Steps of your training").placeholder == "5000"
    for part in (panel, panel.toggle):
        close_with_parts(part)


@pytest.mark.parametrize("text", ["five", "1.5", "1e3", "<b>"])
def test_what_is_no_seed_is_left_to_the_range_test(
    panel: SettingsPanel, text: str
) -> None:
    _field(panel, "Seed").value = text
    assert panel.values["seed"] == text


@pytest.mark.parametrize(
    ("text", "total"), [(" 5000 ", 5000), ("", None), (" ", None), ("1e4", "1e4")]
)
def test_the_steps_of_the_training(
    panel: SettingsPanel, changes: list[dict[str, Any]], text: str, total: object
) -> None:
    field = _field(panel, "Steps of your training")
    assert (panel.total_steps, field.placeholder) == (None, "not known")
    field.value = text
    assert panel.total_steps == total
    assert changes == ([_SETTINGS] if text else [])


def test_it_is_folded_away_until_somebody_wants_it(panel: SettingsPanel) -> None:
    for wanted, display in ((False, "none"), (True, None), (False, "none")):
        panel.toggle.set_state({"value": wanted})
        assert panel.layout.display == display


def test_problems_are_told_by_the_names_of_the_fields(panel: SettingsPanel) -> None:
    for problem, told in (
        ("num_it=1 must be at least 2", "Steps = 1 must be at least 2"),
        ("start_lr=2 must be below end_lr=1", "From = 2 must be below To = 1"),
        ("seeds are no seed", "seeds are no seed"),
        ("", ""),
    ):
        panel.show_problem(problem)
        assert panel.problem.value == told


def test_fields_can_be_changed_for_a_run(
    panel: SettingsPanel, changes: list[dict[str, Any]]
) -> None:
    panel.change({"end_lr": 5.0, "num_it": 60})
    assert changes[-1] == {**_SETTINGS, "end_lr": 5.0, "num_it": 60}


def test_problems_are_text(panel: SettingsPanel) -> None:
    assert isinstance(panel.problem, ipw.Label)
    assert panel.problem in panel.children
