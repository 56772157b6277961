"""The suggestions for curves, and the trainings that have checked them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lrwidget.curve.suggestion import Suggestion
from lrwidget.curve.verification_history import VerificationHistory

if TYPE_CHECKING:
    from lrwidget.curve.history import JobHistory
    from lrwidget.curve.lr_curve import LRCurve
    from lrwidget.curve.verification import Verification
    from lrwidget.ui.snapshot import Trainings


class Suggestions:
    """The rule of the suggestions, and the latest check by training."""

    def __init__(self, rule: str) -> None:
        self.rule = rule
        self.trainings: Trainings | None = None  # of the latest race or check
        self._verified: tuple[Verification, str] | None = None  # and the rule then

    @property
    def trainings_with_rates(self) -> Trainings | None:
        """The trainings, once their rates are known."""
        trainings = self.trainings
        return trainings if trainings is not None and trainings.rates else None

    def keep(self, ended: JobHistory) -> None:
        """Keep the result of a job that has ended by itself, if it is a check."""
        if isinstance(ended, VerificationHistory) and ended.rates:
            self._verified = ended.verification(), self.rule

    def of(self, curve: LRCurve) -> Suggestion:
        """Return the suggestion for a curve, checked by training if it was."""
        return self.checked(curve) or curve.suggestion(self.rule)

    def verification(self, curve: LRCurve) -> Verification | None:
        """Return the latest verification, if it has checked a curve."""
        found = self._verified
        return found[0] if found is not None and found[0].curve is curve else None

    def checked(self, curve: LRCurve) -> Suggestion | None:
        """Return that of the verification, unless another rule was chosen since."""
        found = self.verification(curve)
        if found is None or not found.checked or self._verified != (found, self.rule):
            return None
        return Suggestion(found.lr, found.low, found.high, "checked by training")
