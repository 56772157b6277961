"""The suggestion rules, by name."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from lrwidget.curve.classic import classic, min_grad, minimum, slide, steep, valley
from lrwidget.curve.descent import descent
from lrwidget.curve.short_repr import short_repr

if TYPE_CHECKING:
    from collections.abc import Callable

    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.suggestion import Suggestion

# Of rates, raw losses, and how many steps the test was to have.
Rule: TypeAlias = "Callable[[FloatArray, FloatArray, int], Suggestion]"

DEFAULT_RULE = "descent"

RULES: dict[str, Rule] = {
    DEFAULT_RULE: lambda lrs, losses, _num_it: descent(lrs, losses),
    "valley": partial(classic, valley, "halfway down the longest valley"),
    "slide": partial(classic, slide, "where the valley levels off, from the right"),
    "minimum": partial(classic, minimum, "a tenth of the rate at the lowest loss"),
    "steep": partial(classic, steep, "where the loss falls fastest over the axis"),
    "min_grad": partial(classic, min_grad, "where the loss falls most in one step"),
}


def suggest(rule: str, lrs: FloatArray, losses: FloatArray, num_it: int) -> Suggestion:
    """
    Apply one rule to a curve.

    Parameters
    ----------
    rule:
        A name in `RULES`.
    lrs:
        The rates, strictly increasing.
    losses:
        The raw losses, as many as ``lrs``; they may hold NaN and infinity.
    num_it:
        How many steps the test was to have.

    Returns
    -------
    :
        A rate within ``lrs`` or none, with the reason in words.

    Raises
    ------
    ValueError
        If ``rule`` is not known.
    """
    check_rule(rule)
    return RULES[rule](lrs, losses, num_it)


def check_rule(rule: object) -> None:
    """Raise ValueError unless it is the name of a rule."""
    if not isinstance(rule, str) or rule not in RULES:
        msg = f"rule={short_repr(rule)} is not known; pass one of {tuple(RULES)}"
        raise ValueError(msg)
