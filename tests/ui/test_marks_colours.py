from __future__ import annotations

import re
from pathlib import Path

import pytest

import lrwidget
from lrwidget.ui import marks
from lrwidget.ui.lane_looks import LANE_COLOURS, lane_colours
from lrwidget.ui.marks import look_of_former

_CSS = Path(lrwidget.__file__).with_name("ui").joinpath("page.css").read_text()
_BLOCKS = re.findall(r"([^{}]*)\{(.*?)\}", _CSS, re.DOTALL)
_LIGHT, _DARK = (
    dict(
        variable
        for selector, block in _BLOCKS
        if ".lrwidget" in selector.split() and ("dark" in selector) == dark
        for variable in re.findall(r"(--lrwidget-[a-z0-9-]+): (#[0-9a-f]{6});", block)
    )
    for dark in (False, True)
)
_USED = {*LANE_COLOURS, *(look_of_former(number)[0] for number in range(9))}


def test_nine_former_runs_differ() -> None:
    assert len({look_of_former(number) for number in range(9)}) == 9
    assert look_of_former(9) == look_of_former(0)


def test_neighbours_differ_in_more_than_colour() -> None:
    for number in range(20):
        one, other = look_of_former(number), look_of_former(number + 1)
        assert one[0] != other[0]
        assert one[1] != other[1]


def test_no_former_run_looks_like_the_latest() -> None:
    looks = [look_of_former(number) for number in range(9)]
    assert marks.CURVE not in {colour for colour, _ in looks}
    assert "solid" not in {style for _, style in looks}


@pytest.mark.parametrize("colour", sorted(_USED))
def test_each_colour_is_in_both_themes(colour: str) -> None:
    found = re.fullmatch(r"var\((--lrwidget-[a-z0-9-]+), (#[0-9a-f]{6})\)", colour)
    assert found is not None
    name, without_style_sheet = found.groups()
    assert _LIGHT[name] == without_style_sheet
    assert _DARK[name] != _LIGHT[name]


def test_the_colours_of_lanes_are_ordered_by_rate() -> None:
    """From light to dark in a light theme, and reversed in a dark one."""
    for theme, sign in ((_LIGHT, -1), (_DARK, 1)):
        lanes = [theme[f"--lrwidget-lane-{number}"] for number in range(1, 10)]
        shades = [sign * _luminance(colour) for colour in lanes]
        assert shades == sorted(shades)
    assert lane_colours(9) == [*LANE_COLOURS]
    assert lane_colours(2) == [LANE_COLOURS[0], LANE_COLOURS[-1]]
    assert len(set(lane_colours(5))) == 5


def _luminance(colour: str) -> float:
    """Return the relative luminance of a colour, as WCAG 2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts
    ]
    return sum(w * x for w, x in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


_TEXTS = {"problem", "quiet", "good", "doubtful"}
_BACKS = {  # of a text
    "button": "quiet",
    "good-back": "good",
    "doubtful-back": "doubtful",
    "on-primary": "primary",
}


def _contrast(*colours: str) -> float:
    """Return the contrast of two colours, as WCAG 2 defines it."""
    dark, light = sorted(map(_luminance, colours))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(
    ("theme", "back"), [(_LIGHT, "#ffffff"), (_DARK, "#111111")], ids=["light", "dark"]
)
def test_each_stands_out_of_the_background(theme: dict[str, str], back: str) -> None:
    """WCAG 2 asks for a contrast of 3:1 in graphics, and of 4.5:1 in text."""
    assert len(theme) >= 7
    for variable, colour in theme.items():
        name = variable.removeprefix("--lrwidget-")
        if name in _BACKS:
            assert _contrast(colour, theme[f"--lrwidget-{_BACKS[name]}"]) >= 4.5, name
        else:
            assert _contrast(colour, back) >= (4.5 if name in _TEXTS else 3), name
