"""The documents: their snippets run as they are, and their links have a target."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import ray

from lrwidget import LRCurve, LRWidget
from lrwidget.integrations import fastai, transformers
from lrwidget.ui.widgets import close_with_parts
from tests.curves import picked
from tests.engine import test_pytorch_optimizer as optimizers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Follow = Callable[[Path], "Pasted"]

_ROOT = Path(__file__).parents[1]
_README = _ROOT / "README.md"
_DOCS = sorted((_ROOT / "docs").glob("*.md"))
_DOCUMENTS = (
    _README,
    *_DOCS,
    *(_ROOT / "CHANGELOG.md", _ROOT / "CONTRIBUTING.md"),
    *(_ROOT / "benchmarks" / "README.md", _ROOT / "tests" / "README.md"),
)
_LINK = re.compile(r"\]\(((?!https?:)[^)]+)\)")


def _snippets(document: Path) -> list[str]:
    text = document.read_text()
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def _name(document: Path) -> str:
    return document.relative_to(_ROOT).as_posix()


class Pasted:
    """A session that executes snippets, and the widgets that the snippets create."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.widgets: list[LRWidget] = []

    def paste(self, snippet: str) -> None:
        try:
            exec(snippet, self.names)  # noqa: S102 (tested here)
        finally:
            widget = self.names.get("widget")
            if widget is not None and widget not in self.widgets:
                self.widgets.append(widget)


@pytest.fixture
def quiet_ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Shut down Ray after a test that starts it."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    yield
    ray.shutdown()


@pytest.fixture
def follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Follow]:
    """Return a function that pastes all snippets of a document, from top to bottom."""
    monkeypatch.chdir(tmp_path)
    session = Pasted()

    def follow(document: Path) -> Pasted:
        if document != _README:  # the documents use the names of the quickstart
            session.paste(_snippets(_README)[0])
        for snippet in _snippets(document):
            session.paste(snippet)
        return session

    yield follow
    for widget in session.widgets:
        close_with_parts(widget)


@pytest.mark.slow
def test_the_snippets_of_the_readme(follow: Follow) -> None:
    session = follow(_README)
    first, followed = session.widgets
    assert first.value == picked(first.curve.suggest())
    assert session.names["optimizer"].param_groups[0]["lr"] == first.value
    assert LRCurve.load("curve.json").num_it == 200
    recorded = LRCurve.load("run.jsonl")
    assert followed.curve.to_dict() == recorded.to_dict()


@pytest.mark.slow
def test_the_snippets_about_the_chart(follow: Follow) -> None:
    session = follow(_ROOT / "docs" / "chart.md")
    (widget,) = session.widgets
    assert list(widget.curves) == [
        *("run", "AdamW", "wd=0", "wd=0.1", "seed=0", "seed=1", "seed=2"),
    ]
    assert [curve.lr for curve in widget.race_curves] == [0.01, 0.1, 1]
    assert [curve.lr for curve in session.names["curves"]] == [0.01, 0.1, 1]
    assert session.names["best"] in {0.01, 0.1, 1}
    checked = session.names["checked"]
    assert [lane.num_it for lane in checked.lanes] == [200] * 5


@pytest.mark.slow
@pytest.mark.usefixtures("quiet_ray")
def test_the_snippets_about_many_processes(follow: Follow) -> None:
    session = follow(_ROOT / "docs" / "many-processes.md")
    _, followed, on_ray = session.widgets
    recorded = LRCurve.load("run.jsonl")
    assert followed.curve.to_dict() == recorded.to_dict()
    assert on_ray.curve.stop_reason in {"completed", "diverged"}
    assert on_ray.value == picked(on_ray.curve.suggest())


@pytest.mark.slow
def test_the_snippets_about_training(follow: Follow) -> None:
    session = follow(_ROOT / "docs" / "training.md")
    _, with_a_step, with_options = session.widgets
    for widget in (with_a_step, with_options):
        widget.run()
        assert len(widget.wait()) > 10
    assert with_options.curve.num_it == 50


def test_every_document_with_snippets_is_followed() -> None:
    followed = {"docs/chart.md", "docs/many-processes.md", "docs/training.md"}
    assert {_name(path) for path in _DOCS if _snippets(path)} == followed


def test_all_that_is_refused_by_name_is_in_the_document() -> None:
    document = (_ROOT / "docs" / "training.md").read_text()
    of_fastai = " ".join(fastai._REFUSED).split()
    names = [*transformers._WITHOUT_FIXED_DATA, *of_fastai, *optimizers.REFUSED]
    assert [name for name in names if f"`{name}`" not in document] == []


def test_the_errors_in_the_document_are_those_of_the_code() -> None:
    document = (_ROOT / "docs" / "training.md").read_text()
    tables = document.partition("## What is refused")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in tables.splitlines() if line[:2] == "| "]
    quoted = [error for row in rows for error in re.findall('"([^"]+)"', row[-1])]
    assert len(quoted) > 20
    messages = [
        "".join(str(getattr(part, "value", "")) for part in node.values)
        if isinstance(node, ast.JoinedStr)
        else str(node.value)
        for path in (_ROOT / "lrwidget").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.JoinedStr | ast.Constant)
    ]
    assert [x for x in quoted if not any(x in text for text in messages)] == []


def test_the_quickstart_has_eight_lines() -> None:
    lines = [line for line in _snippets(_README)[0].splitlines() if line]
    assert len(lines) == 8


def test_the_readme_is_short() -> None:
    assert len(_README.read_text().splitlines()) <= 160


def test_every_row_of_what_it_is_tested_with_names_tests_that_are_there() -> None:
    text = (_ROOT / "tests" / "README.md").read_text()
    table = text.partition("## What it is tested with")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    assert len(rows) > 20
    for row in rows:
        tests = re.findall(r"`(tests/[a-z_/]+\.py)::(test_[a-z_]+)`", row)
        assert tests, row
        for path, name in tests:
            assert f"def {name}(" in (_ROOT / path).read_text(), row


def test_the_folders_of_tests_that_are_described_are_there() -> None:
    text = (_ROOT / "tests" / "README.md").read_text()
    described = re.findall(r"^\| `([a-z/]+)` \|", text, re.MULTILINE)
    assert described
    for folder in described:
        assert (_ROOT / "tests" / folder).is_dir(), folder


@pytest.mark.parametrize("document", _DOCUMENTS, ids=_name)
def test_its_links_lead_somewhere(document: Path) -> None:
    for link in _LINK.findall(document.read_text()):
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), link
        if anchor:
            assert anchor in _anchors(target), link


def test_the_readme_links_to_every_document() -> None:
    links = {link.partition("#")[0] for link in _LINK.findall(_README.read_text())}
    expected = {_name(document) for document in _DOCUMENTS if document != _README}
    notebooks = {_name(path) for path in (_ROOT / "notebooks").glob("*.ipynb")}
    assert expected | notebooks <= links


def _anchors(document: Path) -> set[str]:
    """Return the names of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in headings
    }
