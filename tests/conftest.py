"""Hooks and fixtures of all tests: their processes, their random state, their leaks."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

# The models of the tests are small. On a busy machine with few cores, threads that wait
# for each other make their training a hundred times slower. Torch reads this variable
# when it is imported, and the programs that the tests start inherit it.
os.environ["OMP_NUM_THREADS"] = "1"
# Ray gives its workers a low priority, with which they hardly run beside other tests.
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 (its name in Ray)

import fsspec
import pytest
import torch
from hypothesis import settings
from torch import nn
from xdist.scheduler import LoadScopeScheduling

import lrwidget
import tests.torchvision_operators  # noqa: F401 (before any import of torchvision)
from tests.widget_parts import BATCHES, parts

# Programs of `nohup` and of a shell's background ignore interrupts, which tests send.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A machine under load is slow, and no test here is about speed.
settings.register_profile("lrwidget", deadline=None)
settings.load_profile("lrwidget")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TESTS = Path(__file__).parent
# Tests that start other programs or import large libraries; all of them are slow.
_SLOW = re.compile(
    "(backends/ray|browser|engine/distributed|faults|kernels)/"
    "|integrations/test_(fastai_fit|pytorch_for|sentence|transformers_exact|trl)"
)
# Tests that share a program or import a large library run in one process, one after the
# other. The groups that take longest begin first.
_GROUPS = {
    name: re.compile(f"tests/{pattern}")
    for name, pattern in {
        # A search of all objects is fast before other tests have imported much.
        "orphans": "test_orphans",
        "ray": r"backends/ray/|.*::test_(many_machines|the_snippets_about_many)",
        "browser": "browser/test_(lab|page|escaping)",
        "faults in the browser": "browser/test_faults",
        "front ends": "browser/",
        "distributed": "engine/distributed/",
        "Hugging Face": "integrations/test_(transformers|trl|sentence)",
        "fastai": "integrations/test_fastai",
        "Lightning": "integrations/test_(lightning|pytorch_forecasting)",
        "package": "test_package",
        "ipykernel 6": r"kernels/.*\[6\.",
        "ipykernel 7.3": r"kernels/.*\[7\.3\.",
        "ipykernel 7.4": r"kernels/.*\[7\.4\.",
    }.items()
}


def _group(nodeid: str) -> str | None:
    return next((name for name, test in _GROUPS.items() if test.match(nodeid)), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _SLOW.match(item.path.relative_to(_TESTS).as_posix()):
            item.add_marker(pytest.mark.slow)
    order = [*_GROUPS, None]
    items.sort(key=lambda item: order.index(_group(item.nodeid)))


class _Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    # Names group the tests, since the mark xdist_group of pytest-xdist 3.8 has no
    # effect in pytest 9.2.
    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid) or nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Scheduling:
    return _Scheduling(config, log)


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    # Imported here, since the tests of the curve run without Jupyter's packages too.
    from ipywidgets.widgets import widget  # noqa: PLC0415

    threads, widgets = _threads(), set(widget._instances)
    yield
    for thread in _threads() - threads:
        if thread.name == "QueueFeederThread":  # ends soon after its queue
            thread.join(10)
    assert _threads() <= threads, "the test left a thread"
    left = [widget._instances[key] for key in set(widget._instances) - widgets]
    assert not left, "the test left an open widget"


def _threads() -> set[threading.Thread]:
    # jupyter_core never ends the thread of its event loop, and tqdm never ends the
    # thread that watches its bars. The thread lrwidget-ray ends within a second after
    # Ray.
    kept = {"MainThread - runner", "tqdm_monitor", "lrwidget-ray"}
    return {t for t in threading.enumerate() if t.name not in kept}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _first_widget() -> None:
    """Forget the view that the widgets of another test were set to."""
    views = sys.modules.get("lrwidget.ui.view_options")
    if views is not None:
        views.session.clear()


@pytest.fixture
def memory() -> Iterator[str]:
    """Yield the URL of a file in fsspec's memory, which is empty at the start."""
    fsspec.filesystem("memory").store.clear()
    yield "memory://folder/run.jsonl"
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def make() -> Iterator[Callable[..., lrwidget.LRWidget]]:
    """Return a function that creates a small model's widget, closed after the test."""
    made: list[lrwidget.LRWidget] = []

    def make(
        loss_fn: Any = None, dataloader: Any = BATCHES, **settings: Any
    ) -> lrwidget.LRWidget:
        loss_fn = loss_fn or nn.MSELoss()
        made.append(lrwidget.LRWidget(*parts(), dataloader, loss_fn, **settings))
        return made[-1]

    yield make
    for widget in made:
        widget.close()
