"""What needs a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.cluster.conftest import SECONDS

_ROOT = Path(__file__).parents[2]


def _said(*command: str) -> str:
    run = subprocess.run(
        [sys.executable, *command],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=2 * SECONDS,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_a_node_is_removed() -> None:
    out = _said("-m", "tests.cluster.node_removed")
    test, comparison = json.loads(out.splitlines()[-1])
    for ended in (test, comparison):
        assert ended["error"] == "ClusterError"
        assert " was lost: " in ended["words"]
        assert "node" in ended["words"]
        assert ended["status"].startswith("Failed")
        assert ended["steps"] > 0
        assert ended["free"]
    assert "worker " in test["words"]


_UNSTARTED = """
import os
os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
from lrwidget import LRWidget
from tests.cluster.builds import build
import ray
widget = LRWidget.on_ray(build, num_it=20)
assert not ray.is_initialized()
widget.compare({"one": {}})
print(len(widget.wait(240)), ray.is_initialized())
# Long after the thread that has asked for it has ended.
widget.compare({"other": {}})
print(len(widget.wait(240)))
widget.run()  # and leaves it in mid-start
"""


def test_ray_is_started_at_need_and_does_not_keep_the_process() -> None:
    assert _said("-c", _UNSTARTED).split() == ["20", "True", "20"]


_WITHOUT_RAY = """
import sys
sys.modules["ray"] = None
from lrwidget import LRWidget
try:
    LRWidget.on_ray(lambda: None)
except ImportError as error:
    print(error)
"""


def test_without_ray_it_says_what_to_install() -> None:
    assert _said("-c", _WITHOUT_RAY).strip() == (
        "LRWidget.on_ray needs Ray: pip install 'lrwidget[ray]'"
    )
