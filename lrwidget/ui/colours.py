"""
The colours of the charts, as variables that the style sheet has for each theme.

They are Okabe and Ito's, which the colour-blind can tell apart, made darker for light
themes where these stand out too little. No meaning is told by a colour alone.
"""

from __future__ import annotations

CURVE = "var(--lrwidget-curve, #0072b2)"
SUGGESTION = "var(--lrwidget-suggestion, #00805c)"
CHOICE = "var(--lrwidget-choice, #d55e00)"

_OTHERS = (
    "var(--lrwidget-pink, #b0558a)",
    "var(--lrwidget-ochre, #a66a00)",
    "var(--lrwidget-grey, #6b6b6b)",
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
