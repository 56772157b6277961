"""The settings of the next job."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from lrwidget.config import FIELDS
from lrwidget.curve.verification_history import usable_total

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lrwidget.backends.base import Backend
    from lrwidget.config import TestConfig


class Entered(NamedTuple):
    """Settings as they were entered, usable or not."""

    fields: Mapping[str, Any]
    total_steps: object  # of the training


class Settings:
    """The settings that were entered last, and the last ones that can be used."""

    def __init__(self, backend: Backend) -> None:
        self.config = config = backend.config
        self.known_steps = backend.total_steps  # of the training
        self.problem = ""  # why what was entered cannot be used
        fields = {name: getattr(config, name) for name in FIELDS}
        self.entered = Entered(fields, None)

    def use(self, entered: Entered, checked: Checked) -> bool:
        """Use settings that were checked, unless later ones were entered meanwhile."""
        if self.entered is not entered:
            return False
        config, self.known_steps, self.problem = checked
        self.config = config or self.config
        return True


class Checked(NamedTuple):
    """The result of a check of settings."""

    config: TestConfig | None  # None with a problem
    known_steps: int | None
    problem: str


def checked(entered: Entered, backend: Backend, known_steps: int | None) -> Checked:
    """Check settings, without the lock: methods of the user's loaders are called."""
    try:
        known_steps = usable_total(entered.total_steps) or backend.total_steps
        return Checked(replace(backend.config, **entered.fields), known_steps, "")
    except Exception as error:  # noqa: BLE001 (whatever it is, the user is told)
        return Checked(None, known_steps, str(error) or type(error).__name__)
