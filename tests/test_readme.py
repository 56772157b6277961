from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import ray

from lrwidget import LRCurve, LRWidget
from lrwidget.ui.closing import close_with_parts

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).parents[1]
_README = (_ROOT / "README.md").read_text()


def _snippets() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", _README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def quiet_ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a Ray that is started meanwhile be gone afterwards."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.usefixtures("quiet_ray")
def test_the_snippets_run_as_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    made: list[LRWidget] = []
    applied = 0
    for snippet in _snippets():
        exec(snippet, names)  # noqa: S102 (the point)
        if names["widget"] not in made:
            made.append(names["widget"])
        if "apply()" in snippet:
            applied += 1
            assert made[0].value == made[0].curve.suggest()
            assert names["optimizer"].param_groups[0]["lr"] == made[0].value
    curve = LRCurve.load("curve.json")
    assert curve.num_it == 200
    assert (applied, len(made)) == (1, 5)
    assert list(made[0].curves) == [
        *("run", "AdamW", "wd=0", "wd=0.1", "seed=0", "seed=1", "seed=2"),
    ]
    followed = made.pop(1)
    assert followed.curve.to_dict() == LRCurve.load("run.jsonl").to_dict()
    close_with_parts(followed)
    for widget in made[1:]:
        widget.run()
        assert len(widget.wait()) > 10
    for widget in made:
        close_with_parts(widget)


def test_the_quickstart_is_under_ten_lines() -> None:
    lines = [line for line in _snippets()[0].splitlines() if line]
    assert len(lines) < 10


def test_every_row_of_what_it_is_tested_with_names_tests_that_are_there() -> None:
    table = _README.partition("## What it is tested with")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    assert len(rows) > 20
    for row in rows:
        tests = re.findall(r"`(tests/[a-z_/]+\.py)::(test_[a-z_]+)`", row)
        assert tests, row
        for path, name in tests:
            assert f"def {name}(" in (_ROOT / path).read_text(), row


def test_what_it_links_to_is_there() -> None:
    links = re.findall(r"\]\(((?!http)[^)#]+)\)", _README)
    assert "notebooks/01-quickstart.ipynb" in links
    for link in links:
        assert (_ROOT / link).exists(), link
