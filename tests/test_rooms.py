"""Each room of the house imports only what belongs in it."""

from __future__ import annotations

import subprocess
import sys

import pytest

_HEAVY = {"torch", "ipywidgets", "bqplot", "pandas", "matplotlib", "IPython"}
_NO_JUPYTER = {"ipywidgets", "bqplot", "IPython", "matplotlib", "lrwidget.ui"}
_ROOMS = {
    "package": ("import lrwidget", _HEAVY | {"numpy"}),
    "worker": ("import lrwidget.worker", _HEAVY | {"numpy"}),
    "curve": (
        "from lrwidget.curve import limits, picture, record, schedule",
        _HEAVY | {"lrwidget.engine", "lrwidget.ui"},
    ),
    "follower": (
        "import lrwidget.follower",
        _HEAVY | {"lrwidget.engine", "lrwidget.ui"},
    ),
    "engine": ("import lrwidget.engine.range_test", _NO_JUPYTER),
    "without a notebook": (
        "from lrwidget import LRCurve, RangeTest, Step, range_test",
        _NO_JUPYTER,
    ),
    "ui": (
        "from lrwidget.ui import chart, closing, controls, status, style",
        {"torch", "matplotlib", "lrwidget.engine", "lrwidget.worker"},
    ),
}


def _loaded(code: str, unwanted: set[str]) -> set[str]:
    """Return which modules a fresh interpreter has loaded after some code."""
    code += f"\nimport sys\nprint(*(set(sys.modules) & {unwanted!r}))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(run.stdout.split())


@pytest.mark.parametrize("room", _ROOMS)
def test_a_room_keeps_to_itself(room: str) -> None:
    code, unwanted = _ROOMS[room]
    assert _loaded(code, unwanted) == set()


def test_that_test_can_fail() -> None:
    code = "from lrwidget import LRWidget"
    assert _loaded(code, {"torch", "bqplot", "decimal"}) >= {"torch", "bqplot"}
