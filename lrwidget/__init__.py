"""A learning-rate finder that you watch, drag and read, and that breaks nothing."""

from __future__ import annotations

from importlib import import_module, metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lrwidget.curve.lr_curve import LRCurve, Step
    from lrwidget.curve.training_curve import TrainingCurve
    from lrwidget.curve.verification import Verification
    from lrwidget.engine.distributed.rank_errors import RankError
    from lrwidget.engine.race import race
    from lrwidget.engine.range_test import RangeTest, range_test
    from lrwidget.engine.verify import verify
    from lrwidget.widget import LRWidget

    __version__: str

__all__ = [
    "LRCurve",
    "LRWidget",
    "RangeTest",
    "RankError",
    "Step",
    "TrainingCurve",
    "Verification",
    "race",
    "range_test",
    "verify",
]

# Imported at first use, so that `import lrwidget` loads neither torch nor bqplot.
_HOMES = {
    "LRCurve": "lrwidget.curve.lr_curve",
    "LRWidget": "lrwidget.widget",
    "RangeTest": "lrwidget.engine.range_test",
    "RankError": "lrwidget.engine.distributed.rank_errors",
    "Step": "lrwidget.curve.lr_curve",
    "TrainingCurve": "lrwidget.curve.training_curve",
    "Verification": "lrwidget.curve.verification",
    "race": "lrwidget.engine.race",
    "range_test": "lrwidget.engine.range_test",
    "verify": "lrwidget.engine.verify",
}


if not TYPE_CHECKING:  # to a type checker, it would make every name one of ours

    def __getattr__(name: str) -> object:
        if name == "__version__":
            value = metadata.version("lrwidget")
        elif name in _HOMES:
            value = getattr(import_module(_HOMES[name]), name)
        else:
            msg = f"module 'lrwidget' has no attribute {name!r}"
            raise AttributeError(msg)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
