"""What is published: built, looked into, installed elsewhere and run there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_NOT_SOURCE = shutil.ignore_patterns(
    *(".git", ".venv", ".*_cache", ".hypothesis", ".ipynb_checkpoints"),
    *("build", "dist", "*.egg-info", "__pycache__"),
)


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


def test_the_wheel_passes_the_tests_of_the_sdist(dist: Path, tmp_path: Path) -> None:
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    installed = tmp_path / "installed"
    options = ("--quiet", "--no-deps", "--no-index", "--target", str(installed))
    _run("-m", "pip", "install", *options, str(wheel), cwd=tmp_path)
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.glob("lrwidget-*")
    shutil.rmtree(unpacked / "lrwidget")
    where = "import lrwidget; print(lrwidget.__file__, lrwidget.__version__)"
    path = {"PYTHONPATH": str(installed)}
    found = _run("-c", where, cwd=unpacked, **path)
    assert found.split()[0] == str(installed / "lrwidget" / "__init__.py")
    tests = ("tests/curve", "tests/engine", "tests/ui", "tests/test_widget.py")
    said = _run("-m", "pytest", "-p", "no:cacheprovider", *tests, cwd=unpacked, **path)
    assert " passed" in said
