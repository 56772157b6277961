from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

_FOLDER = Path(__file__).parents[1] / "notebooks"
_NOTEBOOKS = sorted(_FOLDER.glob("*.ipynb"))
_QUESTION = """
import json
print(json.dumps({
    "value": widget.value,
    "suggestion": widget.curve.suggest(),
    "applied": optimizer.param_groups[0]["lr"],
    "losses": {name: sum(x[-20:]) / 20 for name, x in histories.items()},
}))
"""


def test_there_are_notebooks() -> None:
    assert _NOTEBOOKS


@pytest.mark.parametrize("path", _NOTEBOOKS, ids=lambda path: path.name)
def test_is_committed_without_outputs(path: Path) -> None:
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


def test_the_quickstart_from_top_to_bottom(tmp_path: Path) -> None:
    book = nbformat.read(_FOLDER / "01-quickstart.ipynb", 4)
    book.cells.append(nbformat.v4.new_code_cell(_QUESTION))
    client = NotebookClient(book, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    answer = json.loads(book.cells[-1].outputs[0]["text"])
    assert answer["value"] == answer["suggestion"] == answer["applied"]
    learned = answer["losses"].pop("chosen")
    assert learned < 0.7
    assert len(answer["losses"]) == 3
    assert min(answer["losses"].values()) > 2  # chance is log(10) = 2.3
    pictures = [
        output
        for cell in book.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 2
