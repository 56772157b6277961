"""A curve in files, and in the forms of other libraries."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrwidget.curve.arrays import listed_floats

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    import pandas as pd
    from typing_extensions import Self

    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.record import StopReason

_FORMAT = "lrwidget.LRCurve"
_VERSION = 1


class Stored:
    """What has the attributes of an `LRCurve`, and is made of these alone."""

    lrs: FloatArray
    losses: FloatArray
    stop_reason: StopReason | None
    num_it: int

    def to_dict(self) -> dict[str, Any]:
        """
        Return the curve as plain data that strict JSON can hold.

        A loss that is not finite is the string ``"nan"``, ``"inf"`` or ``"-inf"``.
        """
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "lrs": self.lrs.tolist(),
            "losses": [x if math.isfinite(x) else str(x) for x in self.losses.tolist()],
            "stop_reason": self.stop_reason,
            "num_it": self.num_it,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """
        Make a curve of what `to_dict` returned.

        Raises
        ------
        ValueError
            If ``data`` is not of that form.
        """
        if not isinstance(data, dict) or data.get("format") != _FORMAT:
            msg = f"data must be a dict with format={_FORMAT!r}, as to_dict returns it"
            raise ValueError(msg)
        if data.get("version") != _VERSION:
            msg = f"version={data.get('version')!r} is not known; this is {_VERSION}"
            raise ValueError(msg)
        make: Callable[..., Self] = cls
        return make(
            lrs=listed_floats("lrs", data.get("lrs")),
            losses=listed_floats("losses", data.get("losses")),
            stop_reason=data.get("stop_reason"),
            num_it=data.get("num_it", 0),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the curve to a JSON file, from which `load` makes it again."""
        Path(path).write_text(
            json.dumps(self.to_dict(), allow_nan=False) + "\n", encoding="utf-8"
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """
        Read a curve from a file that `save` wrote. It is data: nothing is run.

        Raises
        ------
        ValueError
            If the file holds no such curve.
        """
        try:
            return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        except (ValueError, RecursionError) as error:
            msg = f"path={str(path)!r} holds no curve that LRCurve.save wrote: {error}"
            raise ValueError(msg) from error

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write a CSV file with the columns ``lr`` and ``loss``, one row a step."""
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["lr", "loss"])
            rows.writerows(zip(self.lrs.tolist(), self.losses.tolist(), strict=True))

    def to_pandas(self) -> pd.DataFrame:
        """Return a data frame with the columns ``lr`` and ``loss``, one row a step."""
        import pandas as pd  # noqa: PLC0415 (slow to import, and only needed here)

        frame: pd.DataFrame = pd.DataFrame({"lr": self.lrs, "loss": self.losses})
        return frame
