"""
The colours of the charts, as variables that the style sheet sets for each theme.

Without a style sheet, the colours are those of the palette, for light themes.
"""

from __future__ import annotations

from lrwidget.curve import palette

CURVE = f"var(--lrwidget-curve, {palette.CURVE})"
SUGGESTION = f"var(--lrwidget-suggestion, {palette.SUGGESTION})"
CHOICE = f"var(--lrwidget-choice, {palette.CHOICE})"

_OTHERS = tuple(
    f"var(--lrwidget-other-{number}, {colour})"
    for number, colour in enumerate(palette.OTHERS, 1)
)
_STYLES = ("dashed", "dotted", "dash_dotted")

RACE_COLOURS = (CURVE, _OTHERS[1], SUGGESTION, CHOICE, _OTHERS[0], _OTHERS[2])


def look_of_former(number: int) -> tuple[str, str]:
    """Return colour and style of the line of a former run; nine of them differ."""
    style = number + number // len(_OTHERS)
    return _OTHERS[number % len(_OTHERS)], _STYLES[style % len(_STYLES)]


def border_style(line_style: str) -> str:
    """Return the style of a border that looks like a line most."""
    return "double" if line_style == "dash_dotted" else line_style
