"""A curve in files, and in the forms of other libraries."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import stat
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from lrwidget.curve.arrays import listed_floats, number
from lrwidget.curve.records.reader import RecordedTest, is_record
from lrwidget.curve.records.store import contents_of, store_of, without_password
from lrwidget.curve.strict_json import check_version, parsed
from lrwidget.curve.trend import fit_at_steps

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from typing_extensions import Self

    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.fit import Fit
    from lrwidget.curve.lr_curve import StopReason

_FORMAT = "lrwidget.LRCurve"
_VERSION = 1
# A file there may be a pipe of this process, or its standard output.
_SPECIAL = {Path("/dev"), Path("/dev/fd"), Path("/proc")}


class Stored:
    """The methods of `LRCurve` for files and other libraries."""

    lrs: FloatArray
    losses: FloatArray
    stop_reason: StopReason | None
    num_it: int
    optimizer_memory: float
    train_losses: FloatArray | None

    if TYPE_CHECKING:

        def fit(self, width: float | None = None) -> Fit:
            """Return the curve without its noise, as `LRCurve.fit` does."""

    def to_dict(self) -> dict[str, Any]:
        """
        Return the curve as plain data that strict JSON can hold.

        A loss that is not finite is the string ``"nan"``, ``"inf"`` or ``"-inf"``.
        """
        trained = self.train_losses
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "lrs": self.lrs.tolist(),
            "losses": _listed(self.losses),
            **({} if trained is None else {"train_losses": _listed(trained)}),
            "stop_reason": self.stop_reason,
            "num_it": self.num_it,
            "optimizer_memory": self.optimizer_memory,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """
        Return the curve of which `to_dict` returned the data.

        Raises
        ------
        ValueError
            If ``data`` is not of that form.
        """
        if not isinstance(data, dict) or data.get("format") != _FORMAT:
            msg = f"data must be a dict with format={_FORMAT!r}, as to_dict returns it"
            raise ValueError(msg)
        check_version(data.get("version"), _VERSION)
        make: Callable[..., Self] = cls
        return make(
            lrs=listed_floats("lrs", data.get("lrs")),
            losses=listed_floats("losses", data.get("losses")),
            stop_reason=data.get("stop_reason"),
            num_it=data.get("num_it", 0),
            optimizer_memory=_memory(data),
            train_losses=(
                listed_floats("train_losses", data["train_losses"])
                if "train_losses" in data  # not in older files
                else None
            ),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """
        Write the curve to a JSON file, which `load` reads.

        Raises
        ------
        OSError
            If that fails, as on a full disk. An existing file is as before then.
        """
        _write(path, as_json(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """
        Read a curve from a file that `save` wrote, or from the record of a test.

        A record gives the steps so far, also while its test runs and after that was
        killed. A file is data: nothing in it is executed.

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
        make: Callable[..., Self] = cls
        try:
            contents = contents_of(store_of(path))
            if not is_record(contents):
                return cls.from_dict(parsed(contents))
            expected = "record of a test as it must be"
            test = RecordedTest()
            test.feed(contents)
            if not test.header:
                msg = "its header is incomplete"
                raise ValueError(msg)  # noqa: TRY301 (one error for all)
            settings = test.header["settings"]
            return make(
                test.lrs,
                test.losses,
                test.stop_reason,
                settings.get("num_it", 0),
                _memory(settings),
                test.train_losses or None,
            )
        except (ValueError, MemoryError) as error:
            msg = (
                f"path={without_password(str(path))!r} holds no {expected}: "
                f"{str(error) or type(error).__name__}"
            )
            raise ValueError(msg) from error

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """
        Write a CSV file with one row a step: ``lr``, ``loss``, ``fit``, ``error``.

        With a ``val_loader``, ``train_loss`` comes after ``loss``. The last two are
        the fitted loss and its standard error, as `LRCurve.fit` returns them;
        they are empty where the loss is not finite.

        Raises
        ------
        OSError
            If that fails, as on a full disk. An existing file is as before then.
        """
        _write(path, as_csv(self))

    def to_pandas(self) -> pd.DataFrame:
        """
        Return a data frame with one row a step: ``lr``, ``loss``, ``fit``, ``error``.

        With a ``val_loader``, ``train_loss`` comes after ``loss``. The last two are
        the fitted loss and its standard error, as `LRCurve.fit` returns them;
        they are NaN where the loss is not finite.
        """
        import pandas as pd  # noqa: PLC0415 (slow to import, and only needed here)

        frame: pd.DataFrame = pd.DataFrame(_columns(self))
        return frame


def _listed(losses: FloatArray) -> list[float | str]:
    """Return losses as strict JSON can hold them."""
    return [x if math.isfinite(x) else str(x) for x in losses.tolist()]


def _memory(data: dict[str, Any]) -> float:
    """Return the memory of the optimizer, which older files lack."""
    return number("optimizer_memory", data.get("optimizer_memory", 1.0))


def as_json(curve: Stored) -> bytes:
    """Return the contents of the file that `Stored.save` writes."""
    return (json.dumps(curve.to_dict(), allow_nan=False) + "\n").encode()


def as_csv(curve: Stored) -> bytes:
    """Return the contents of the file that `Stored.to_csv` writes."""
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    columns = _columns(curve)
    rows.writerow(columns)
    for *step, fit, error in zip(*(x.tolist() for x in columns.values()), strict=True):
        rows.writerow([*step, *("" if math.isnan(x) else x for x in (fit, error))])
    return text.getvalue().encode()


def _columns(curve: Stored) -> dict[str, FloatArray]:
    fit, error = fit_at_steps(curve)
    steps = {"lr": curve.lrs, "loss": curve.losses}
    if curve.train_losses is not None:
        steps["train_loss"] = curve.train_losses
    return {**steps, "fit": fit, "error": error}


def _write(path: str | os.PathLike[str], contents: bytes) -> None:
    """
    Write a file as a whole, or leave all as it was; an OSError names the given path.

    An existing file keeps its mode, and a link continues to lead to it. A device or a
    pipe is written to as it is.
    """
    file = Path(path)
    try:
        existing = file.stat()
        kept = "; the file there is as before"
    except FileNotFoundError:
        existing, kept = None, "; no file was made"
    try:
        folder = Path(os.path.realpath(file.parent))
        special = folder in _SPECIAL or Path("/proc") in folder.parents
        if special or (existing is not None and not stat.S_ISREG(existing.st_mode)):
            kept = ""
            file.write_bytes(contents)
        else:
            # Path.resolve raises RuntimeError where links go in circles.
            _replace(Path(os.path.realpath(file)), contents, existing)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}{kept}", str(file)) from error


def _replace(file: Path, contents: bytes, existing: os.stat_result | None) -> None:
    if existing is not None:
        with file.open("r+b"):  # raises where it is not to be written
            pass
    # In the same folder, since a file can be moved at once only on its own disk.
    partial = file.with_name(f".{token_hex(8)}.part")
    try:
        with partial.open("xb") as opened:
            opened.write(contents)
            opened.flush()
            os.fsync(opened.fileno())  # some disks tell only now that they are full
        if existing is not None:
            partial.chmod(stat.S_IMODE(existing.st_mode))
        partial.replace(file)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
