from __future__ import annotations

import inspect
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import lrwidget

_ROOT = Path(__file__).parents[1]


def test_the_public_names_are_sorted_and_there() -> None:
    assert sorted(lrwidget.__all__) == lrwidget.__all__
    assert lrwidget.__all__ == [
        "LRCurve",
        "LRWidget",
        "RangeTest",
        "RankError",
        "Step",
        "TrainingCurve",
        "Verification",
        "race",
        "range_test",
        "verify",
    ]
    for name in lrwidget.__all__:
        assert getattr(lrwidget, name).__doc__
    assert set(lrwidget.__all__) < set(dir(lrwidget))


def test_every_public_thing_is_documented() -> None:
    for name in lrwidget.__all__:
        thing = getattr(lrwidget, name)
        members = vars(thing).items() if inspect.isclass(thing) else ()
        for member, value in members:
            if not member.startswith("_") and (
                inspect.isfunction(value) or isinstance(value, property | classmethod)
            ):
                assert inspect.getdoc(value), f"{name}.{member}"


def test_every_trait_has_help() -> None:
    import ipywidgets  # noqa: PLC0415 (not needed by the other tests)

    traits = lrwidget.LRWidget.class_traits()
    own = set(traits) - set(ipywidgets.VBox.class_traits())
    assert own == {"value", "rule", "description"}
    assert all(traits[name].help for name in own)


def test_unknown_names() -> None:
    with pytest.raises(AttributeError, match="'lrwidget' has no attribute 'lr_find'"):
        lrwidget.lr_find  # type: ignore[attr-defined]  # noqa: B018  # tested here


def test_the_version_is_that_of_the_changelog() -> None:
    assert lrwidget.__version__ == metadata.version("lrwidget")
    newest = re.search(
        r"^## \[(\d[^\]]*)\]", (_ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert newest is not None
    assert newest[1] == lrwidget.__version__


@pytest.mark.slow
def test_types_reach_a_users_code(tmp_path: Path) -> None:
    user = tmp_path / "user.py"
    user.write_text("""
import torch
from lrwidget import LRCurve, LRWidget, range_test
model = torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=1)
batches = [(torch.ones(1, 2), torch.ones(1, 1))]
curve: LRCurve = range_test(model, optimizer, batches, torch.nn.MSELoss(), num_it=20)
lr: float | None = curve.suggest("steep")
range_test(model, optimizer, batches, num_its=20)
""")
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(user)],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    (error,) = re.findall(r"^.*error: .*$", run.stdout, re.MULTILINE)
    assert 'Unexpected keyword argument "num_its"' in error
