"""A curve in files, and in the forms of other libraries."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import TYPE_CHECKING, Any

from lrwidget.curve import files
from lrwidget.curve.arrays import listed_floats
from lrwidget.curve.records import format as journal
from lrwidget.curve.records.store import place_of
from lrwidget.curve.strict_json import check_version, parsed

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    import pandas as pd
    from typing_extensions import Self

    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.lr_curve import StopReason

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
        given = data.get("format") if isinstance(data, dict) else None
        if not (isinstance(given, str) and given == _FORMAT):
            msg = f"data must be a dict with format={_FORMAT!r}, as to_dict returns it"
            raise ValueError(msg)
        check_version(data.get("version"), _VERSION)
        make: Callable[..., Self] = cls
        return make(
            lrs=listed_floats("lrs", data.get("lrs")),
            losses=listed_floats("losses", data.get("losses")),
            stop_reason=data.get("stop_reason"),
            num_it=data.get("num_it", 0),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """
        Write the curve to a JSON file, from which `load` makes it again.

        Raises
        ------
        OSError
            If that fails, as on a full disk. A file that was there is as before then.
        """
        files.write(path, as_json(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """
        Read a curve from a file that `save` wrote, or from the record of a test.

        Of a record to which several tests have added, that is the latest one; so far,
        where it goes on or has died. It is data: nothing is run.

        Parameters
        ----------
        path:
            The path of the file, or a URL that fsspec opens, such as ``s3://...``.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it holds no such curve.
        """
        expected = "curve that LRCurve.save wrote, and no record of a test"
        try:
            contents = place_of(path).contents()
            if journal.is_record(contents):
                expected = "record of a test as it must be"
                return cls._of_journal(journal.latest(contents))
            return cls.from_dict(parsed(contents))
        except (ValueError, RecursionError, MemoryError) as error:
            msg = (
                f"path={str(path)!r} holds no {expected}: "
                f"{str(error) or type(error).__name__}"
            )
            raise ValueError(msg) from error

    @classmethod
    def _of_journal(cls, recorded: journal.Journal) -> Self:
        make: Callable[..., Self] = cls
        return make(
            lrs=recorded.lrs,
            losses=recorded.losses,
            stop_reason=recorded.stop_reason,
            num_it=recorded.num_it,
        )

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """
        Write a CSV file with the columns ``lr`` and ``loss``, one row a step.

        Raises
        ------
        OSError
            If that fails, as on a full disk. A file that was there is as before then.
        """
        files.write(path, as_csv(self))

    def to_pandas(self) -> pd.DataFrame:
        """Return a data frame with the columns ``lr`` and ``loss``, one row a step."""
        import pandas as pd  # noqa: PLC0415 (slow to import, and only needed here)

        frame: pd.DataFrame = pd.DataFrame({"lr": self.lrs, "loss": self.losses})
        return frame


def as_json(curve: Stored) -> bytes:
    """Return the contents of the file that `Stored.save` writes."""
    return (json.dumps(curve.to_dict(), allow_nan=False) + "\n").encode()


def as_csv(curve: Stored) -> bytes:
    """Return the contents of the file that `Stored.to_csv` writes."""
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(["lr", "loss"])
    rows.writerows(zip(curve.lrs.tolist(), curve.losses.tolist(), strict=True))
    return text.getvalue().encode()
