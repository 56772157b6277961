"""The published package: its build, its files, its installation and its use."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import lrwidget

pytestmark = pytest.mark.slow
_ROOT = Path(__file__).parents[1]
_NOT_SOURCE = shutil.ignore_patterns(
    *(".git", ".venv", ".*_cache", ".hypothesis", ".ipynb_checkpoints"),
    *("build", "dist", "*.egg-info", "__pycache__"),
)

_USE = """
import json
import torch
from ipywidgets.widgets import widget as ipywidgets_widget
import lrwidget
from lrwidget.ui.page import Page

model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
batches = [(torch.ones(8, 4), torch.ones(8, 1))]
parts = model, optimizer, batches, torch.nn.MSELoss()
curve = lrwidget.range_test(*parts, num_it=20, end_lr=0.1)
widget = lrwidget.LRWidget(*parts)
(page,) = (x for x in ipywidgets_widget._instances.values() if isinstance(x, Page))
print(json.dumps({
    "file": lrwidget.__file__,
    "version": lrwidget.__version__,
    "steps": len(curve),
    "stop_reason": curve.stop_reason,
    "status": widget.status,
    "script": page._esm,
    "style": page._css,
}))
"""


def _run(*command: str, cwd: Path, **environment: str) -> str:
    run = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("source") / "lrwidget"
    shutil.copytree(_ROOT, source, ignore=_NOT_SOURCE)
    _run("-m", "build", "--no-isolation", cwd=source)
    return source / "dist"


def _files(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_the_package_only(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    package = {f"lrwidget/{name}" for name in _files(_ROOT / "lrwidget")}
    rest = {name for name in names - package if ".dist-info/" not in name}
    assert package <= names
    assert "lrwidget/py.typed" in names
    assert not rest


def test_the_sdist_holds_tests_and_documents_too(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for folder in ("lrwidget", "tests", "notebooks", "docs"):
        assert {f"{folder}/{name}" for name in _files(_ROOT / folder)} <= names
    files = {"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md"}
    others = {".ci/chromium", ".ci/run", ".pre-commit-config.yaml", "constraints.txt"}
    assert files | others <= names


def test_the_index_will_take_it(dist: Path) -> None:
    files = [str(file) for file in dist.iterdir()]
    assert "warning" not in _run("-m", "twine", "check", "--strict", *files, cwd=dist)


def _install(dist: Path, folder: Path) -> Path:
    """Install the wheel without other packages, and return the folder."""
    (wheel,) = dist.glob("*.whl")
    installed = folder / "installed"
    options = ("--quiet", "--no-deps", "--no-index", "--target", str(installed))
    _run("-m", "pip", "install", *options, str(wheel), cwd=folder)
    return installed


def test_the_wheel_works_where_it_is_installed(dist: Path, tmp_path: Path) -> None:
    installed, elsewhere = _install(dist, tmp_path), tmp_path / "elsewhere"
    elsewhere.mkdir()
    said = json.loads(_run("-c", _USE, cwd=elsewhere, PYTHONPATH=str(installed)))
    package = installed / "lrwidget"
    assert said["file"] == str(package / "__init__.py")
    assert said["version"] == lrwidget.__version__
    assert (said["steps"], said["stop_reason"]) == (20, "completed")
    assert said["status"].startswith("Run tries")
    assert said["script"].endswith((package / "ui" / "page.js").read_text())
    assert said["style"] == (package / "ui" / "page.css").read_text()
    for pattern in ("*.js", "*.css"):
        for source in (_ROOT / "lrwidget" / "ui").glob(pattern):
            assert (package / "ui" / source.name).read_text() == source.read_text()


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
def test_the_wheel_passes_the_tests_of_the_sdist(dist: Path, tmp_path: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    installed = _install(dist, tmp_path)
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.glob("lrwidget-*")
    shutil.rmtree(unpacked / "lrwidget")
    where = "import lrwidget; print(lrwidget.__file__)"
    found = _run("-c", where, cwd=unpacked, PYTHONPATH=str(installed))
    assert found.strip() == str(installed / "lrwidget" / "__init__.py")
    tests = ("tests/curve", "tests/engine", "tests/ui", "tests/test_widget.py")
    options = ("-p", "no:cacheprovider", "-m", "not exhaustive")
    command = ("-m", "pytest", *options, *tests)
    said = _run(*command, cwd=unpacked, PYTHONPATH=str(installed))
    assert " passed" in said
