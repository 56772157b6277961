"""A curve as a picture, and as a file to download."""

from __future__ import annotations

import hashlib
import io
import re
import threading
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from lrwidget.curve.curve_files import as_csv, as_json
from lrwidget.curve.drawing import draw
from lrwidget.curve.rules import DEFAULT_RULE
from lrwidget.curve.trend import AUTOMATIC

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from typing_extensions import Unpack

    from lrwidget.curve.lr_curve import LRCurve
    from lrwidget.curve.suggestion import Suggestion
    from lrwidget.curve.trend import Smoothing

_INCHES = (9.0, 4.0)
_DPI = 120
_FONT, _FONT_SIZE = "DejaVu Sans", 10  # it comes with matplotlib
_PAPER, _TEXT, _FRAME = "white", "#222222", "#666666"
_COLOURS = 256  # one byte a pixel, which changes a few mixed tones
_MOST_CACHED = 8  # some 0.2 MB
_RANDOM_ID = re.compile(r'(?<=["#])[a-z][0-9a-f]{10}(?=[")])')

_cached: dict[tuple[object, ...], bytes] = {}
_caching = threading.Lock()


class Looks(TypedDict, total=False):
    """The look of a picture; see `draw`."""

    smoothing: Smoothing
    rule: str
    choice: float | None
    checked: Suggestion | None


def plot(curve: LRCurve, ax: Axes | None = None, **looks: Unpack[Looks]) -> Axes:
    """Draw a curve with matplotlib, in the user's style; see `LRCurve.plot`."""
    if ax is not None:
        draw(ax, curve, **looks)
        ax.legend()
        return ax
    try:
        from matplotlib import pyplot as plt  # noqa: PLC0415 (an extra)
    except ImportError as error:
        msg = "plot needs matplotlib: pip install 'lrwidget[plot]'"
        raise ImportError(msg) from error
    figure = plt.figure(figsize=_INCHES)
    ax = figure.add_subplot()
    try:
        draw(ax, curve, **looks)
    except BaseException:
        plt.close(figure)  # or a notebook shows it, empty
        raise
    _explain_above(figure)
    return ax


def png(curve: LRCurve, **looks: Unpack[Looks]) -> bytes | None:
    """
    Return a curve as a PNG picture; None without steps, and without matplotlib.

    It may be called on any thread, and no style of the user's changes it.
    """
    figure = _still(curve, looks)
    if figure is None:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 (an extra)
    from PIL import Image  # noqa: PLC0415 (matplotlib needs it)

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    file = io.BytesIO()
    image.quantize(_COLOURS).save(file, "PNG", dpi=(_DPI, _DPI))
    return file.getvalue()


def cached_png(curve: LRCurve, **looks: Unpack[Looks]) -> bytes | None:
    """Return the picture of `png`; the latest 8 pictures are not drawn again."""
    drawn_from = [curve.lrs, curve.losses, curve.train_losses]
    columns = [x.tobytes() for x in drawn_from if x is not None]
    data = hashlib.sha256(b"".join(columns)).digest()
    every: Looks = {
        "smoothing": AUTOMATIC,
        "rule": DEFAULT_RULE,
        "choice": None,
        "checked": None,
        **looks,
    }
    key = (data, curve.num_it, curve.optimizer_memory, *every.values())
    with _caching:
        drawn = _cached.pop(key, None)
    if drawn is None:
        drawn = png(curve, **looks)
    if drawn is not None:  # or matplotlib may be installed before the next time
        with _caching:
            _cached[key] = drawn  # the latest last
            if len(_cached) > _MOST_CACHED:
                del _cached[next(iter(_cached))]
    return drawn


def svg(curve: LRCurve, **looks: Unpack[Looks]) -> str | None:
    """
    Return a curve as an SVG picture, as `png` does.

    The same curve gives the same text. The letters in the picture are shapes, which
    look the same everywhere, unless matplotlib's ``svg.fonttype`` is another.
    """
    figure = _still(curve, looks)
    if figure is None:
        return None
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415 (an extra)

    file = io.StringIO()
    FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None})
    return _for_any_page(file.getvalue())


def exported(curve: LRCurve, kind: str, looks: Looks) -> bytes:
    """
    Return a curve as a file: ``"json"``, ``"csv"``, or a picture ``"png"``, ``"svg"``.

    A curve without points, and a picture without matplotlib, are a RuntimeError.
    """
    if not len(curve):
        msg = "there is nothing to export yet: run the test first"
        raise RuntimeError(msg)
    if kind in {"json", "csv"}:
        return as_json(curve) if kind == "json" else as_csv(curve)
    drawn = png(curve, **looks) if kind == "png" else svg(curve, **looks)
    if drawn is None:
        msg = "a picture needs matplotlib: pip install 'lrwidget[plot]'"
        raise RuntimeError(msg)
    return drawn.encode() if isinstance(drawn, str) else drawn


def _still(curve: LRCurve, looks: Looks) -> Figure | None:
    """Return a figure outside pyplot; None without steps, or without matplotlib."""
    if not len(curve):
        return None
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 (an extra)
    except ImportError:
        return None
    figure = Figure(_INCHES, _DPI, facecolor=_PAPER, edgecolor=_PAPER, frameon=True)
    ax = figure.add_subplot(facecolor=_PAPER)
    draw(ax, curve, **looks)
    _explain_above(figure, _FONT_SIZE)
    _undo_style(figure, ax)
    return figure


def _explain_above(figure: Figure, font_size: float | None = None) -> None:
    """Write the legend into rows above the only axes of a figure."""
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.06)
    figure.legend(
        loc="outside upper center",
        ncols=3,
        fontsize=font_size,
        frameon=False,
        numpoints=1,
        markerscale=1,
        handlelength=1.6,
        handleheight=0.7,
        handletextpad=0.6,
        columnspacing=1.8,
        borderpad=0,
        borderaxespad=0.6,
    )


def _undo_style(figure: Figure, ax: Axes) -> None:
    """
    Overwrite the user's style.

    The style cannot be replaced meanwhile: all threads share one dict of settings.
    """
    from matplotlib.text import Annotation, Text  # noqa: PLC0415 (an extra)

    ax.spines[:].set(color=_FRAME, linewidth=0.8)
    ax.tick_params(direction="out", length=4, width=0.8, pad=4, color=_FRAME)
    ax.tick_params(bottom=True, left=True, top=False, right=False)
    ax.tick_params(labelbottom=True, labelleft=True, labeltop=False, labelright=False)
    for text in figure.findobj(Text):
        text.set(usetex=False, fontfamily=_FONT, fontsize=_FONT_SIZE)
        text.set_fontstyle("normal")
        if not isinstance(text, Annotation):  # the label of the choice is bold
            text.set(color=_TEXT, fontweight="normal")
    boxes = (text.get_bbox_patch() for text in ax.texts)
    for artist in (*figure.findobj(), *filter(None, boxes)):
        artist.set(sketch_params=None, path_effects=[])


def _for_any_page(file: str) -> str:
    """Return an SVG file with names by its content, since a page may have several."""
    svg = file[file.index("<svg") :]
    # matplotlib draws the names at random.
    content = hashlib.sha256(_RANDOM_ID.sub("", svg).encode()).hexdigest()[:8]
    for number, name in enumerate(dict.fromkeys(_RANDOM_ID.findall(svg))):
        svg = svg.replace(name, f"lr{content}-{number}")
    return svg
