"""The final losses of short trainings over their rates, below the chart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import bqplot
import numpy as np
from bqscales import LinearScale

from lrwidget.curve import drawing
from lrwidget.curve.outcomes import ERRORS, best_of
from lrwidget.curve.ticks import plain
from lrwidget.ui.lane_looks import LaneLosses, lane_colours
from lrwidget.ui.marks import SUGGESTION, clear, set_points
from lrwidget.ui.text_places import beside_dots

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.outcomes import Outcome
    from lrwidget.curve.suggestion import Suggestion
    from lrwidget.ui.axes import Axes
    from lrwidget.ui.text_places import Place, Places

_Text: TypeAlias = tuple[float, float, str]  # a rate, a height, and the text there

_PROBLEM = "var(--lrwidget-problem, #b3261e)"
_TEXT = "var(--lrwidget-text, #222)"
_SIZE, _SMALL = 150, 0.6  # of the best dot in square pixels, and of others as a share
_MOST_TICKS = 4
_MARGIN = 0.25  # of the range of losses, above and below them
_LEAST_SPAN = 0.1  # of a logarithmic axis, or of the largest loss
_ROOM_ALONE = 0.5  # decades above a lane that alone has learned
_TOP = 0.9  # share of the height for a loss that is above the axis
_LINE = 0.17  # height of a text, as a share of that of the plot
_CROWDED = 0.25  # between marks at the top whose texts meet, as a share of the width
_ROOM = 0.2  # to the right of such a mark for a text, as a share of the plot's width


class FinalLosses:
    """
    The loss of each lane at its end, with two standard errors of its difference.

    The axis of rates is that of the chart. A click on a dot picks its rate.
    """

    def __init__(
        self,
        axes: Axes,
        margins: dict[str, int],
        on_pick: Callable[[float], object],
    ) -> None:
        self._on_pick = on_pick
        self._axes = axes
        self._losses = LaneLosses("final loss", _MOST_TICKS)
        height = LinearScale(min=0.0, max=1.0, allow_padding=False)
        scales = {"x": self._axes.on_curve["x"], "y": self._losses.scale}
        thin = {"colors": [_TEXT], "stroke_width": 1}
        self.band = bqplot.Lines(
            x=[],
            y=[],
            scales={"x": self._axes.on_curve["x"], "y": height},
            colors=[SUGGESTION],
            opacities=[0.0],
            fill="bottom",
            fill_colors=[SUGGESTION],
            fill_opacities=[drawing.BAND_OPACITY],
        )
        self.way = bqplot.Lines(
            x=[], y=[], scales=scales, line_style="dashed", opacities=[0.8], **thin
        )
        self.bars = bqplot.Lines(x=[], y=[], scales=scales, stroke_width=2.5)
        size = LinearScale(min=0.0, max=1.0)
        self.dots = bqplot.Scatter(
            x=[],
            y=[],
            size=[],
            scales={**scales, "size": size},
            default_size=_SIZE,
            stroke="var(--lrwidget-back, #fff)",
        )
        self.triangles = bqplot.Scatter(
            x=[],
            y=[],
            scales=scales,
            marker="triangle-up",
            default_size=90,
        )
        self.crosses = bqplot.Scatter(
            x=[],
            y=[],
            scales={**scales, "rotation": LinearScale(min=0.0, max=180.0)},
            marker="cross",
            colors=[_PROBLEM],
            default_size=90,
        )
        look = {"default_size": 12, "font_weight": "normal", "apply_clip": False}
        self.texts, self.texts_before = (
            bqplot.Label(
                x=[], y=[], text=[], scales=scales, align=align, x_offset=x, **look
            )
            for align, x in (("start", 9), ("end", -9))
        )
        self.to_pick = (self.dots, self.triangles, self.crosses)
        for mark in self.to_pick:
            mark.on_element_click(self._on_clicked)
        self.figure = bqplot.Figure(
            marks=[
                *(self.band, self.way, self.bars),
                *(*self.to_pick, self.texts, self.texts_before),
            ],
            axes=[axes.both[0], self._losses.axis],
            fig_margin={**margins, "top": 10},
            display_toolbar=False,
            layout={"width": "auto", "height": "170px"},
        )
        self.figure.add_class("lrwidget-final")

    def show_range(self, suggestion: Suggestion) -> None:
        """Show the range to try."""
        low, high = suggestion.low, suggestion.high
        if low is None or high is None:
            clear(self.band)
        else:
            set_points(self.band, [low, high], [1.0, 1.0])

    def draw(self, outcomes: Mapping[int, Outcome], rates: Sequence[float]) -> None:
        """Show the lanes that have ended, by the positions of their rates."""
        ended = {i: x for i, x in outcomes.items() if x.state != "unfinished"}
        placed = {
            i: x
            for i, x in ended.items()
            if x.state != "unstable" and math.isfinite(x.loss)
        }
        self._losses.logarithmic = all(x.loss > 0 for x in placed.values())
        ceiling = self._fit_axis([*placed.values()])
        heights = {i: self._height(x.loss) for i, x in placed.items()}
        inside = [i for i in placed if heights[i] <= ceiling]
        above = [i for i in ended if i not in inside]
        self._losses.axis.visible = bool(inside)
        every = lane_colours(len(rates))
        lrs, colours = [rates[i] for i in inside], [every[i] for i in inside]
        best = best_of([*placed.values()])
        set_points(self.way, lrs, [heights[i] for i in inside])
        self._draw_bars([placed[i] for i in inside], lrs, colours)
        with self.dots.hold_sync():
            self.dots.colors = colours or [_TEXT]
            sizes = [1.0 if placed[i] is best else _SMALL for i in inside]
            self.dots.size = np.array(sizes)
            set_points(self.dots, lrs, [heights[i] for i in inside])
        unstable = [i for i in above if ended[i].state == "unstable"]
        self._draw_unstable([rates[i] for i in unstable])
        self._draw_above({i: rates[i] for i in above if i not in unstable}, every)
        order = sorted(inside, key=lambda i: placed[i] is not best)
        named = self._beside(
            [(rates[i], placed[i].loss) for i in order],
            [(self._across(rates[i]), _TOP) for i in above],
        )
        before, after = self._at_the_top([(rates[i], ended[i]) for i in above])
        _write(self.texts, [*named, *after])
        _write(self.texts_before, before)

    def _fit_axis(self, placed: list[Outcome]) -> float:
        """Fit the axis to losses, and return the highest one of these as a height."""
        learned = [x for x in placed if x.state != "nothing"] or placed
        if not learned:
            return -math.inf
        ends = [self._height(x.loss) for x in placed]
        low, high = min(ends), max(ends)
        # A huge loss, or one of a lane that has learned nothing, flattens no other.
        highest = max(self._height(x.loss) for x in learned)
        alone = _ROOM_ALONE if self._losses.logarithmic else abs(highest)
        ceiling = high = min(high, highest + (highest - low or alone))
        least = _LEAST_SPAN * (1.0 if self._losses.logarithmic else abs(high) or 1.0)
        margin = max(high - low, least) * _MARGIN
        # A long bar may leave the plot.
        errors = [(x.loss, ERRORS * x.error) for x in placed if math.isfinite(x.error)]
        bottom = min((self._height(x - e) for x, e in errors), default=low)
        top = max((self._height(x + e) for x, e in errors), default=high)
        bottom = max(min(low, bottom), low - 2 * margin)
        top = min(max(high, top), high + 2 * margin)
        # Below, there is room for the text of the lowest one.
        self._losses.show((bottom - 1.5 * margin, top + margin))
        return ceiling

    def _draw_bars(
        self, outcomes: list[Outcome], lrs: list[float], colours: list[str]
    ) -> None:
        """Show two standard errors below and above each loss that has some."""
        known = [i for i, x in enumerate(outcomes) if math.isfinite(x.error)]
        losses = np.array([outcomes[i].loss for i in known]).reshape(-1, 1)
        errors = np.array([outcomes[i].error for i in known]).reshape(-1, 1)
        ends = losses + ERRORS * errors * np.array([-1.0, 1.0])
        with self.bars.hold_sync():
            self.bars.colors = [colours[i] for i in known] or [_TEXT]
            self.bars.x = np.array([[lrs[i]] * 2 for i in known])
            self.bars.y = self._losses.kept(self._losses.heights(ends))

    def _draw_above(self, lrs: dict[int, float], colours: list[str]) -> None:
        """Show lanes whose losses are above the plot."""
        with self.triangles.hold_sync():
            self.triangles.colors = [colours[i] for i in lrs] or [_TEXT]
            tops = [self._height_at(_TOP)] * len(lrs)
            set_points(self.triangles, [*lrs.values()], tops)

    def _draw_unstable(self, lrs: list[float]) -> None:
        """Show lanes that became unstable."""
        with self.crosses.hold_sync():
            self.crosses.rotation = np.full(len(lrs), 45.0)
            set_points(self.crosses, lrs, [self._height_at(_TOP)] * len(lrs))

    def _beside(
        self, losses: list[tuple[float, float]], tops: list[Place]
    ) -> list[_Text]:
        """Return each loss beside its dot where there is room, the first ones first."""
        dots: Places = {}
        for i, (lr, loss) in enumerate(losses):
            height = self._losses.shares(np.array(self._height(loss)))
            dots[i] = self._across(lr), float(height)
        return [
            (losses[i][0], self._height_at(share), plain(losses[i][1], 2))
            for i, (_, share) in beside_dots(dots, tops).items()
        ]

    def _at_the_top(
        self, above: list[tuple[float, Outcome]]
    ) -> tuple[list[_Text], list[_Text]]:
        """
        Return the texts before and after the marks of lanes above the plot: the losses.

        Of those that were unstable, there is one text.
        """
        top = self._height_at(_TOP)
        before: list[_Text] = [
            (lr, top, plain(x.loss, 2)) for lr, x in above if x.state != "unstable"
        ]
        after: list[_Text] = []
        unstable = [lr for lr, x in above if x.state == "unstable"]
        if unstable:
            count = f"{len(unstable)} " if len(unstable) > 1 else ""
            fits = self._across(unstable[-1]) + _ROOM <= 1
            lr, side = (unstable[-1], after) if fits else (unstable[0], before)
            crowded = side and self._across(lr) - self._across(side[-1][0]) < _CROWDED
            height = self._height_at(_TOP - _LINE) if crowded else top
            side.append((lr, height, f"{count}unstable"))
        return before, after

    def _height_at(self, share: float) -> float:
        low, high = self._losses.limits
        return low + share * (high - low)

    def _height(self, loss: float) -> float:
        return float(self._losses.heights(np.array(loss)))

    def _across(self, rate: float) -> float:
        """Return the place of a rate, as a share of the plot's width."""
        low, high, at = self._placed(*self._axes.range, rate)
        return float((at - low) / (high - low))

    def _placed(self, *rates: float) -> FloatArray:
        places = np.array(rates)
        return places if self._axes.linear else np.log10(places)

    def _on_clicked(self, mark: bqplot.Scatter, event: dict[str, Any]) -> None:
        number = int(event["data"]["index"])
        for rate in mark.x.tolist()[number : number + 1]:  # it may have gone
            self._on_pick(rate)


def _write(mark: bqplot.Label, texts: Sequence[_Text]) -> None:
    with mark.hold_sync():
        mark.text = [text for _, _, text in texts]
        set_points(mark, [x for x, _, _ in texts], [y for _, y, _ in texts])
