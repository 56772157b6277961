from __future__ import annotations

import io
import itertools
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib import pyplot as plt
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from lrwidget.curve import drawing, picture
from lrwidget.curve.lr_curve import LRCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"


def _losses(count: int = 100, noise: float = 0.0) -> Any:
    x = np.linspace(-7, 1, count)
    noises = noise * np.random.default_rng(0).normal(size=count)
    return 1 / (1 + np.exp(2 * (x + 2.5))) + np.where(x > 0, x**2, 0) + noises


def _curve(losses: Any, low: float = 1e-7, high: float = 10.0) -> LRCurve:
    return LRCurve(np.geomspace(low, high, len(losses)), losses)


def _diverged(*ends: float) -> LRCurve:
    losses = _losses()
    losses[-len(ends) :] = ends
    return _curve(losses)


_CURVES = {
    "smooth": _curve(_losses()),
    "noisy": _curve(_losses(noise=0.2)),
    "diverged": _diverged(1e5, 1e20, 1e30, 1e300),
    "infinite": _diverged(1e30, np.inf),
    "gaps": _diverged(np.nan, np.inf, 1.0),
    "all NaN": _curve(np.full(100, np.nan)),
    "negative": _curve(_losses() - 3),
    "constant": _curve(np.full(100, 2.302585)),
    "zero": _curve(np.zeros(100)),
    "huge": _curve(1e30 * _losses()),
    "tiny": _curve(1e-30 * _losses()),
    "one point": LRCurve(np.array([0.1]), np.array([2.0])),
    "two points": LRCurve(np.array([0.1, 0.2]), np.array([2.0, 1.0])),
    "long": _curve(_losses(100_000, 0.2)),
    "linear": LRCurve(np.linspace(1e-7, 10, 100), _losses()),
    "narrow": _curve(_losses(), 1e-3, 2e-3),
    "narrower": _curve(_losses(), 1e-3, 1.001e-3),
    "wide": _curve(_losses(), 1e-30, 1e3),
}
_EMPTY = _curve([])


@pytest.mark.parametrize("choice", [0.0123, 10.0])
@pytest.mark.parametrize("name", _CURVES)
def test_no_text_covers_another_or_leaves_the_picture(name: str, choice: float) -> None:
    figure = picture._still(_CURVES[name], {"choice": choice})
    assert figure is not None
    FigureCanvasAgg(figure).draw()
    width, height = figure.bbox.size
    low, high = figure.axes[0].get_ylim()
    beyond = {
        tick.label1
        for tick in figure.axes[0].yaxis.get_major_ticks()
        if not low <= tick.get_loc() <= high
    }
    texts = [
        text
        for text in figure.findobj(Text)
        if text.get_text() and text.get_visible() and text not in beyond
    ]
    written = [text.get_text() for text in texts]
    assert {"learning rate", "loss", "trend", "± 2 standard errors"} <= set(written)
    boxes = [text.get_window_extent() for text in texts]
    for box in boxes:
        assert 0 < box.x0 < box.x1 < width
        assert 0 < box.y0 < box.y1 < height
    for (one, box), (other, beside) in itertools.combinations(
        zip(written, boxes, strict=True), 2
    ):
        assert not box.overlaps(beside), f"{one} and {other}"


@pytest.mark.parametrize("name", _CURVES)
def test_png(name: str) -> None:
    png = picture.png(_CURVES[name], choice=0.01)
    assert png is not None
    assert len(png) < 60_000  # a notebook stores it
    image = Image.open(io.BytesIO(png))
    assert (image.format, image.size) == ("PNG", (1080, 480))
    colours = {colour for _, colour in image.convert("RGB").getcolors(2**20) or []}
    assert (0xFF, 0xFF, 0xFF) in colours
    assert tuple(bytes.fromhex(drawing.CHOICE[1:])) in colours
    assert tuple(bytes.fromhex(drawing.CURVE[1:])) in colours


@pytest.mark.parametrize("name", _CURVES)
def test_svg(name: str) -> None:
    svg = picture.svg(_CURVES[name], choice=0.01)
    assert svg is not None
    assert svg == picture.svg(_CURVES[name], choice=0.01)
    assert len(svg) < 120_000
    root = ET.fromstring(svg)  # noqa: S314 (our own)
    assert root.tag == f"{_SVG}svg"
    assert not root.findall(f".//{_SVG}text")
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(set(ids)) == len(ids)
    used = {element.get(_HREF, "#")[1:] for element in root.iter(f"{_SVG}use")}
    used |= set(re.findall(r"url\(#(.*?)\)", svg))
    assert used <= set(ids)


def test_svgs_in_one_page_share_no_names_of_differing_parts() -> None:
    parts: dict[str, bytes] = {}
    for name in ("smooth", "noisy", "narrow"):
        root = ET.fromstring(picture.svg(_CURVES[name]) or "")  # noqa: S314 (our own)
        for defs in root.iter(f"{_SVG}defs"):
            for part in defs:
                content = ET.tostring(part).strip()
                assert parts.setdefault(part.get("id", ""), content) == content
    assert len(parts) > 10


def test_what_is_asked_for_is_drawn() -> None:
    curve = _CURVES["noisy"]
    asked: list[dict[str, Any]] = [
        *(
            {},
            {"smoothing": 0.5},
            {"smoothing": "fastai"},
            {"rule": "steep"},
            {"choice": 0.1},
            {"choice": 0.2},
        ),
    ]
    for draw in (picture.png, picture.svg):
        assert len({draw(curve, **arguments) for arguments in asked}) == len(asked)
    assert curve._repr_png_() == picture.png(curve)


def test_ipython_shows_one_picture_in_one_format() -> None:
    formatter: Any = DisplayFormatter()
    data, _ = formatter.format(_CURVES["noisy"])
    assert set(data) == {"text/plain", "image/png"}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Return what is drawn from now on, with an empty cache."""
    drawn: list[tuple[Any, ...]] = []

    def draw(ax: Axes, *args: Any, **looks: Any) -> None:
        drawn.append(args)
        drawing.draw(ax, *args, **looks)

    monkeypatch.setattr(picture, "draw", draw)
    monkeypatch.setattr(picture, "_cached", {})
    return drawn


def test_the_same_curve_is_drawn_once(drawn: list[tuple[Any, ...]]) -> None:
    curve = _CURVES["noisy"]
    copy = LRCurve(curve.lrs, curve.losses)
    first = curve._repr_png_()
    assert curve._repr_png_() == copy._repr_png_() == first
    assert len(drawn) == 1
    others = [
        LRCurve(curve.lrs, curve.losses, num_it=500),
        LRCurve(curve.lrs, curve.losses, optimizer_memory=100.0),
        LRCurve(curve.lrs[:-1], curve.losses[:-1], num_it=100),
        LRCurve(curve.lrs, curve.losses, train_losses=curve.losses),
        _CURVES["smooth"],
    ]
    for other in others:
        assert other._repr_png_() == picture.png(other)
    assert len(drawn) == 1 + 2 * len(others)


def test_only_the_latest_pictures_are_kept(drawn: list[tuple[Any, ...]]) -> None:
    curve = _CURVES["smooth"]
    choices = [float(f"1e-{power}") for power in range(1, 10)]
    for choice in [*choices, *choices[:0:-1]]:
        picture.cached_png(curve, choice=choice)
    assert len(drawn) == 9
    picture.cached_png(curve, choice=choices[0])
    assert len(drawn) == 10


def test_there_is_none_of_an_empty_curve() -> None:
    assert _EMPTY._repr_png_() is None
    assert picture.svg(_EMPTY) is None


def test_there_is_none_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    curve = _CURVES["smooth"]
    monkeypatch.setattr(picture, "_cached", {})
    with monkeypatch.context() as without:
        for name in ("matplotlib", "matplotlib.figure"):
            without.setitem(sys.modules, name, None)
        assert curve._repr_png_() is None
        assert picture.svg(curve) is None
    assert curve._repr_png_() is not None


_STYLES: dict[str, Any] = {
    **{name: name for name in ("dark_background", "ggplot", "seaborn-v0_8-poster")},
    "usetex": {"text.usetex": True},
    "sketchy": {"path.sketch": (1, 100, 2), "font.family": "fantasy"},
    "bold": {"font.size": 24, "font.weight": "bold", "font.style": "italic"},
    "thick": {"lines.linewidth": 9, "lines.marker": "s", "axes.linewidth": 4},
    "saved": {"savefig.dpi": 30, "savefig.transparent": True, "figure.dpi": 30},
    "ticks": {"xtick.top": True, "ytick.minor.visible": True, "ytick.left": False},
    "svg": {"svg.hashsalt": "another"},
}


@pytest.mark.parametrize("name", _STYLES)
def test_no_style_changes_a_still_picture(name: str) -> None:
    def drawn() -> list[bytes | str | None]:
        curves = _CURVES["noisy"], _CURVES["all NaN"]
        draws = picture.png, picture.svg
        return [draw(curve, choice=0.01) for curve in curves for draw in draws]

    plain = drawn()
    with style.context(_STYLES[name]):
        assert drawn() == plain


def test_a_still_picture_touches_nothing_of_matplotlib() -> None:
    code = """
import sys, threading, numpy
import matplotlib
from lrwidget import LRCurve
from lrwidget.curve import picture
curve = LRCurve(numpy.array([0.1, 0.2]), numpy.array([2., 1.]))
before = list(dict.items(matplotlib.rcParams))
pictures = []
def draw():
    pictures.extend([curve._repr_png_(), picture.svg(curve)])
thread = threading.Thread(target=draw)
thread.start()
thread.join()
assert None not in pictures and len(pictures) == 2
assert list(dict.items(matplotlib.rcParams)) == before and len(before) > 100
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_many_threads_draw_at_once() -> None:
    names = ["smooth", "noisy", "narrow", "wide"]
    expected = [picture.png(_CURVES[name]) for name in names]
    barrier = threading.Barrier(len(names))

    def draw(name: str) -> list[bytes | None]:
        barrier.wait(60)
        return [picture.png(_CURVES[name]) for _ in range(3)]

    with ThreadPoolExecutor(len(names)) as pool:
        drawn = list(pool.map(draw, names))
    assert drawn == [[png] * 3 for png in expected]


def test_plot_draws_on_axes() -> None:
    ax = Figure().subplots()
    assert _CURVES["smooth"].plot(ax, choice=0.01) is ax
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()][0::5] == [
        "one batch",
        "chosen 1.0e-2",
    ]


def test_new_axes_are_in_the_users_style_and_without_a_screen() -> None:
    code = """
import matplotlib, numpy
matplotlib.use("agg")
from matplotlib import pyplot as plt
from lrwidget import LRCurve
plt.style.use("dark_background")
ax = LRCurve(numpy.array([0.1, 0.2]), numpy.array([2., 1.])).plot()
assert len(ax.lines) == 2 and plt.get_fignums() == [1] and plt.gca() is ax
assert ax.get_facecolor() == (0, 0, 0, 1)
assert len(ax.figure.legends[0].get_texts()) == 3
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_bad_choice_leaves_no_empty_picture() -> None:
    before = plt.get_fignums()
    with pytest.raises(ValueError, match="choice=0 must be finite and above 0"):
        _CURVES["smooth"].plot(choice=0)
    assert plt.get_fignums() == before


def test_plot_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'lrwidget\[plot\]'"):
        _CURVES["smooth"].plot()


def test_bad_arguments() -> None:
    for draw in (picture.png, picture.svg):
        for arguments, message in (
            ({"smoothing": 0.98}, "smoothing=0.98 must be 'automatic', 'fastai'"),
            ({"rule": "best"}, "rule='best' is not known"),
            ({"choice": -1.0}, "choice=-1.0 must be finite and above 0"),
        ):
            with pytest.raises(ValueError, match=message):
                draw(_CURVES["smooth"], **arguments)
