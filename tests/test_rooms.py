"""Each room of the house imports only what belongs in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_HEAVY = {"torch", "ipywidgets", "bqplot", "pandas", "matplotlib", "IPython"}
_FRAMEWORKS = {"accelerate", "fastai", "lightning", "transformers"}
_OURS = {
    ".".join(path.relative_to(_ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (_ROOT / "lrwidget").rglob("*.py")
}


def _all_but(*rooms: str) -> set[str]:
    """Return our modules that are in none of some rooms."""
    allowed = ("lrwidget.__", *(f"lrwidget.{room}" for room in rooms))
    return {name for name in _OURS - {"lrwidget"} if not name.startswith(allowed)}


def _import_all(room: str) -> str:
    names = sorted(name for name in _OURS if name.startswith(f"lrwidget.{room}"))
    assert names
    return "\n".join(f"import {name}" for name in names)


_ROOMS = {
    "package": ("import lrwidget", _HEAVY | {"numpy"} | _all_but()),
    "worker": (_import_all("worker"), _HEAVY | {"numpy"} | _all_but("worker")),
    "ticker": (_import_all("ticker"), _HEAVY | {"numpy"} | _all_but("ticker")),
    "curve": (_import_all("curve"), _HEAVY | _all_but("curve")),
    "engine": (
        _import_all("engine"),
        (_HEAVY - {"torch"}) | _all_but("engine", "curve"),
    ),
    "frameworks": (
        _import_all("frameworks"),
        (_HEAVY - {"torch"}) | _FRAMEWORKS | _all_but("frameworks", "engine", "curve"),
    ),
    "widget": ("from lrwidget import LRWidget", _FRAMEWORKS | {"matplotlib", "ray"}),
    "ui": (
        _import_all("ui"),
        {"torch", "matplotlib"} | _all_but("ui", "curve"),
    ),
    "choice": (
        _import_all("choice"),
        ({"bqplot", "matplotlib", "torch"} | _all_but("choice", "curve", "ui.threads"))
        - {"lrwidget.ui"},
    ),
    "recipe": (
        _import_all("recipe"),
        _HEAVY | {"numpy"} | _all_but("recipe"),
    ),
    "local": (
        _import_all("local"),
        (
            (_HEAVY - {"torch"})
            | _all_but(
                *("local", "variants", "recipe"), *("engine", "curve", "ui.offered")
            )
        )
        - {"lrwidget.ui"},
    ),
    "variants": (
        _import_all("variants"),
        _HEAVY | _all_but("variants", "recipe", "curve"),
    ),
    # The class of the dashboard is in IPython, which Ray imports where it is.
    "cluster": (
        _import_all("cluster"),
        (
            {"ipywidgets", "bqplot", "matplotlib"}
            | _FRAMEWORKS - {"accelerate"}
            | _all_but(
                *("cluster", "variants", "recipe", "engine", "curve", "worker"),
                *("ui.status", "ui.offered"),
            )
        )
        - {"lrwidget.ui"},
    ),
    "followed": (
        _import_all("followed"),
        (_HEAVY | _all_but("followed", "curve", "ui.status")) - {"lrwidget.ui"},
    ),
    "recorded": (
        _import_all("recorded"),
        (
            _HEAVY
            | _all_but(
                *("recorded", "followed", "recipe", "curve"),
                *("ui.status", "ui.offered"),
            )
        )
        - {"lrwidget.ui"},
    ),
    "follower": (
        _import_all("follower"),
        _HEAVY | _all_but("follower", "ticker", "worker", "curve"),
    ),
    "session": (
        _import_all("session"),
        _HEAVY | _all_but("session", "follower", "ticker", "worker", "curve"),
    ),
    "report": (
        _import_all("report"),
        (_HEAVY | _all_but("report", "curve", "ui.status")) - {"lrwidget.ui"},
    ),
    "export": (_import_all("export"), _HEAVY | _all_but("export", "curve")),
    "stage": (
        _import_all("stage"),
        _FRAMEWORKS | {"matplotlib", "lrwidget.widget", "lrwidget.choice"},
    ),
    "without a notebook": (
        "from lrwidget import LRCurve, RangeTest, Step, race, range_test",
        (_HEAVY - {"torch"}) | _all_but("engine", "curve"),
    ),
}


def _loaded(code: str, unwanted: set[str]) -> set[str]:
    """Return which modules a fresh interpreter has loaded after some code."""
    code += f"\nimport sys\nprint(*(set(sys.modules) & {unwanted!r}))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(run.stdout.split())


@pytest.mark.slow
@pytest.mark.parametrize("room", _ROOMS)
def test_a_room_keeps_to_itself(room: str) -> None:
    code, unwanted = _ROOMS[room]
    assert _loaded(code, unwanted) == set()


@pytest.mark.slow
def test_that_test_can_fail() -> None:
    found = _loaded("from lrwidget import LRWidget", _ROOMS["follower"][1])
    assert found >= {"torch", "bqplot", "lrwidget.engine.range_test", "lrwidget.widget"}
