"""The suggestion of a rule, with its range to try."""

from __future__ import annotations

from typing import NamedTuple


class Suggestion(NamedTuple):
    """
    A suggested learning rate with its range, or the reason why there is none.

    Attributes
    ----------
    lr:
        The rate, within the swept range; None if there is none to suggest.
    low, high:
        The range to try, with `lr` in it. Of the default rule: in nine of ten tasks
        of ``benchmarks/``, it has a rate that forgoes less than a tenth of the best
        achievable improvement. None for another rule, or without a suggestion.
    reason:
        The position of the rate in words, such as "halfway down the slope", or the
        reason why there is none; with a capital letter if it is a sentence.
    """

    lr: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""


NO_SUGGESTION = Suggestion(None)
