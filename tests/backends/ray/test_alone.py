"""What needs a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.backends.ray.conftest import SECONDS

_ROOT = Path(__file__).parents[3]


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


@pytest.mark.exhaustive
def test_a_node_is_removed() -> None:
    out = _said("-m", "tests.backends.ray.node_removed")
    test, comparison = json.loads(out.splitlines()[-1])
    for ended in (test, comparison):
        assert ended["error"] == "ClusterError"
        assert " was lost: " in ended["words"]
        assert "node" in ended["words"]
        assert ended["status"].startswith("Failed")
        assert ended["steps"] > 0
        assert ended["free"]
    assert "worker " in test["words"]


_FROM_START_TO_EXIT = """
import os
os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
from contextlib import suppress
from lrwidget import LRWidget
from lrwidget.backends.ray import connection
from tests.backends.ray.builds import build
from tests.backends.ray.conftest import comes
import ray

widgets = [LRWidget.on_ray(build, num_it=20) for _ in range(2)]
widget, _ = widgets
assert not ray.is_initialized()
for each in widgets:  # both at the same time
    each.compare({"one": {}})
print(*(len(each.wait(240)) for each in widgets), ray.is_initialized())
# Long after the threads that have asked for it have ended.
widget.compare({"other": {}})
print(len(widget.wait(240)))

def in_the_midst():
    with connection.translate_ray_errors():
        widget.race([0.01, 0.1], steps=100_000)
        assert comes(lambda: len(widget.race_curves) > 0), widget.status
        ray.shutdown()
        widget.stop()
        try:
            widget.wait(60)
        except Exception as error:
            print(type(error).__name__, error)
        else:
            print(widget.status)
        for call in (connection.cancel, connection.get, connection.wait):
            with suppress(Exception):
                call(None)
        print(ray.is_initialized())
        ray.init(num_cpus=1)
        raise TypeError

try:
    in_the_midst()
except Exception as error:
    print(error)
widget.run()  # and leaves it in mid-start
"""


def test_ray_is_started_at_need_shut_down_in_the_midst_and_left() -> None:
    lines = _said("-c", _FROM_START_TO_EXIT).splitlines()
    both, other, ended, started, anew = lines[-5:]
    # It is started once, and does not keep the process.
    assert both == "20 20 True"
    assert other == "20"
    # Stop may be seen before the end of Ray.
    assert "Ray was shut down in the midst of it" in ended or "stopped" in ended
    # No call has started another Ray, and that of the user is not taken for the first.
    assert started == "False"
    assert anew == "Ray was shut down in the midst of it"


_NOWHERE = """
import os
os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_ADDRESS": "127.0.0.1:6399"}
from lrwidget import LRWidget
from tests.backends.ray.builds import build
widget = LRWidget.on_ray(build)
for start in (widget.run, lambda: widget.compare({"one": {}})):
    start()
    widget.stop()
    print(widget.wait(5).stop_reason)
os._exit(0)  # not waiting for Ray to give up
"""


def test_stop_does_not_wait_for_a_cluster_that_is_not_there() -> None:
    said = _said("-c", _NOWHERE).splitlines()
    assert said[-2:] == ["stopped", "stopped"]


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
