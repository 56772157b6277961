"""The pictures of a widget and of a curve, for pages in which no widget runs."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
import torch
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from torch import nn

from lrwidget import LRWidget
from lrwidget.curve import picture
from tests.widget_parts import display_of, parts

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).parents[1]
_SETUP = f"""
import sys
sys.path.insert(0, {str(_ROOT)!r})
import torch
from lrwidget import LRWidget
from tests.widget_parts import parts

model, optimizer = parts()
batch = torch.ones(4, 8), torch.zeros(4, 1)
w = LRWidget(model, optimizer, [batch], torch.nn.MSELoss(), num_it=50)
"""
_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def widget() -> Iterator[LRWidget]:
    batch = torch.ones(4, 8), torch.zeros(4, 1)
    widget = LRWidget(*parts(), [batch], nn.MSELoss(), num_it=50)
    yield widget
    widget.close()


def test_a_fresh_widget_has_no_picture(widget: LRWidget) -> None:
    assert widget._repr_png_() is None


def test_the_picture_of_a_widget_is_what_it_shows(widget: LRWidget) -> None:
    widget.run()
    curve = widget.wait()
    seen = set()
    bar = display_of(widget).view_bar
    for smoothing, rule, value in (
        ("automatic", "descent", widget.value),
        (0.4, "descent", widget.value),
        (0.4, "steep", widget.value),
        (0.4, "steep", 1e-3),
        (0.4, "steep", None),
    ):
        bar.smoothing.value = smoothing
        widget.rule = rule
        widget.value = value
        shown: dict[str, Any] = {"smoothing": smoothing, "rule": rule, "choice": value}
        assert widget._repr_png_() == picture.png(curve, **shown)
        seen.add(widget._repr_png_())
    bar.fastai.value = True
    assert widget._repr_png_() == picture.png(curve, smoothing="fastai", rule="steep")
    assert len({*seen, widget._repr_png_()}) == 6


def test_an_unchanged_widget_is_drawn_once(
    widget: LRWidget, monkeypatch: pytest.MonkeyPatch
) -> None:
    widget.run()
    widget.wait()
    monkeypatch.setattr(picture, "_cached", {})
    assert widget._repr_png_() is not None
    monkeypatch.delattr(picture, "draw")
    assert widget._repr_png_() is not None


@pytest.mark.slow
def test_a_notebook_keeps_pictures_beside_the_widget(tmp_path: Path) -> None:
    cells = [_SETUP, "w", "w.run(); w.wait(); w", "w.curve", "w.close()"]
    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells]
    )
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(book, resources=resources, store_widget_state=False).execute()
    _, fresh, run, curve, _ = (
        cell.outputs[0].data if cell.outputs else {} for cell in book.cells
    )
    assert set(fresh) == {"text/plain", _WIDGET_VIEW}
    assert set(run) == {"text/plain", _WIDGET_VIEW, "image/png"}
    assert set(curve) == {"text/plain", "image/png"}
    assert base64.b64decode(run["image/png"]).startswith(b"\x89PNG\r\n")

    html, _ = HTMLExporter().from_notebook_node(book)
    for output in (run, curve):
        png = "".join(output["image/png"].split())
        assert f"data:image/png;base64,{png}" in "".join(html.split("\n"))
