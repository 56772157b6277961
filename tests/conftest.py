"""What every test is checked for: it leaves no thread and no widget behind."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    # Imported here, since the tests of the curve run without Jupyter's packages too.
    from ipywidgets.widgets import widget  # noqa: PLC0415

    threads, widgets = set(threading.enumerate()), set(widget._instances)
    yield
    assert set(threading.enumerate()) <= threads, "the test left a thread"
    left = [widget._instances[key] for key in set(widget._instances) - widgets]
    assert not left, "the test left an open widget"


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
