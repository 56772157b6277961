"""Each room, a package or module of lrwidget, loads only modules that it may load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_HEAVY = {"torch", "ipywidgets", "bqplot", "pandas", "matplotlib", "IPython", "ray"}
_FRAMEWORKS = {"accelerate", "fastai", "lightning", "transformers"}
_OURS = {
    ".".join(path.relative_to(_ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (_ROOT / "lrwidget").rglob("*.py")
}


def _in(room: str) -> set[str]:
    """Return the modules of a room; a room may be a single module."""
    inside = f"lrwidget.{room}"
    return {name for name in _OURS if f"{name}.".startswith(f"{inside}.")}


def _all_but(*rooms: str) -> set[str]:
    """Return the modules of lrwidget outside of these rooms and of their packages."""
    allowed = {"lrwidget"}.union(*map(_in, rooms))
    allowed |= {name.rpartition(".")[0] for name in allowed}
    return _OURS - allowed


# For each room, the other rooms that its modules may load, and the modules of other
# packages that they must not load.
_ROOMS: dict[str, tuple[set[str], set[str]]] = {
    "curve": (set(), _HEAVY),
    "config": ({"curve"}, _HEAVY),
    "engine": ({"curve", "config"}, _HEAVY - {"torch"}),
    "ui": ({"curve", "config"}, {"torch", "matplotlib", "ray"}),
    "backends.base": (set(), _HEAVY | {"numpy"}),
    "backends.local": (
        {"engine", "curve", "config", "backends.base", "backends.verification"},
        _HEAVY - {"torch"},
    ),
    "backends.verification": (
        {"engine", "curve", "config"},
        _HEAVY - {"torch"},
    ),
    "backends.record": ({"curve", "config", "backends.base"}, _HEAVY),
    # Ray imports pandas and IPython if these are installed.
    "backends.ray": (
        {
            *("engine", "curve", "config", "runner"),
            *("backends.base", "backends.verification"),
        },
        {"ipywidgets", "bqplot", "matplotlib"} | _FRAMEWORKS - {"accelerate"},
    ),
    "integrations": (
        {"engine", "curve", "config"},
        (_HEAVY - {"torch"}) | _FRAMEWORKS,
    ),
    "runner": ({"curve"}, _HEAVY),
    "state.undo": (set(), _HEAVY | {"numpy"}),
    "state.choice": (set(), _HEAVY | {"numpy"}),
    "state": ({"curve", "config", "ui.snapshot"}, _HEAVY),
    "jobs": ({"state", "runner", "curve", "config", "ui.snapshot"}, _HEAVY),
    "controller": (
        {"jobs", "state", "runner", "curve", "config", "ui.snapshot"},
        _HEAVY,
    ),
    "orphans": (set(), _HEAVY | {"numpy"}),
    "widget": (
        {
            *("orphans", "controller", "runner", "curve", "config", "engine", "ui"),
            *("integrations", "backends.base", "backends.local", "backends.record"),
            *("backends.verification", "jobs", "state"),
        },
        _FRAMEWORKS | {"matplotlib", "ray"},
    ),
}
_PUBLIC = {
    "import lrwidget": _HEAVY | {"numpy"} | _all_but(),
    "from lrwidget import LRWidget": _FRAMEWORKS | {"matplotlib", "ray"},
    "from lrwidget import LRCurve, RangeTest, Step, TrainingCurve, race, range_test\n"
    "from lrwidget import Verification, verify": (
        (_HEAVY - {"torch"}) | _all_but("engine", "curve", "config")
    ),
}


def _import_all(room: str) -> str:
    return "\n".join(f"import {name}" for name in sorted(_in(room)))


def _unwanted(room: str) -> set[str]:
    """Return the modules that a room must not load."""
    others, unwanted = _ROOMS[room]
    return unwanted | _all_but(room, *others)


def _loaded(code: str, unwanted: set[str]) -> set[str]:
    """Return the unwanted modules that a new interpreter has loaded after some code."""
    code += f"\nimport sys\nprint(*(set(sys.modules) & {unwanted!r}))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


def test_every_module_is_in_a_room() -> None:
    rooms = set().union(*map(_in, _ROOMS))
    assert _OURS - rooms == {"lrwidget", "lrwidget.backends"}
    assert all(_in(room) for room in _ROOMS)


@pytest.mark.slow
@pytest.mark.parametrize("room", _ROOMS)
def test_a_room_keeps_to_itself(room: str) -> None:
    assert _loaded(_import_all(room), _unwanted(room)) == set()


@pytest.mark.slow
@pytest.mark.parametrize("code", _PUBLIC)
def test_a_public_name_loads_what_it_needs(code: str) -> None:
    assert _loaded(code, _PUBLIC[code]) == set()


@pytest.mark.slow
def test_those_tests_can_fail() -> None:
    found = _loaded("from lrwidget import LRWidget", _unwanted("controller"))
    assert found >= {
        *("torch", "bqplot", "ipywidgets", "lrwidget.widget"),
        *("lrwidget.engine.range_test", "lrwidget.backends.base", "lrwidget.ui.layout"),
    }
