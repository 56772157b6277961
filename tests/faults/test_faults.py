"""After each fault, all state is as before, and the widget works again."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import pytest

from tests.faults.scene import Scene, left
from tests.faults.table import FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.table import Fault


@pytest.fixture
def temporary() -> Iterator[str]:
    """Yield a folder for temporary files, with a short path, which sockets need."""
    with tempfile.TemporaryDirectory() as folder:
        yield folder


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_nothing_is_lost(
    fault: Fault, tmp_path: Path, temporary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", temporary)
    before = left()
    scene = Scene(**fault.options)
    try:
        fault.play(scene, tmp_path)
        assert scene.state() == scene.before
        there = left()
        assert there.threads <= before.threads
        assert there.processes <= before.processes
        scene.check_usable(scene.widget)
        assert scene.state() == scene.before
    finally:
        scene.widget.close()
    assert left() == before
