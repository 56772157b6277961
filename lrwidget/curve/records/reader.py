"""A record that grows while it is read."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lrwidget.curve.records.format import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from lrwidget.curve.records.format import Journal
    from lrwidget.curve.records.store import Place

_PIECE = 2**20
_KNOWN_BY = 256  # which hold the name of its first test


class GrowingRecord:
    """
    What is read of a record so far.

    A file that is shorter than before, or was replaced, is read from its beginning.

    Parameters
    ----------
    place:
        Where it is.

    Attributes
    ----------
    age:
        How many seconds old that is, at least, which was read last: more than 0 only
        for what was there before, by the time of the file.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self.age = 0.0
        self._begin_anew(None)

    @property
    def journal(self) -> Journal | None:
        """What it says of its latest test; None before that is read."""
        return self._reader.journal

    @property
    def problem(self) -> str | None:
        """What is wrong with it, unless another test begins after that."""
        return self._reader.problem

    @property
    def begun(self) -> bool:
        """Whether anything of it was read."""
        return self._offset > 0

    def read_on(self, wanted: Callable[[], bool]) -> None:
        """
        Take in what is new, up to what is the end of the file now.

        Parameters
        ----------
        wanted:
            Returns whether to go on, which may take long.

        Raises
        ------
        OSError
            If it cannot be read. That there is no file is no error.
        ValueError
            If it is no file to be read.
        """
        look = self._place.look(self._offset, _PIECE)
        if look is not None and (
            look.size < self._offset or look.file != self._file or self._replaced()
        ):
            self._begin_anew(look.file)
            look = self._place.look(0, _PIECE)
        self.age = 0.0
        end = 0 if look is None else look.size
        while look is not None and look.contents and wanted():
            if not self.begun and look.changed is not None:
                self.age = max(time.time() - look.changed, 0.0)
            if len(self._beginning) < _KNOWN_BY:
                self._beginning += look.contents[: _KNOWN_BY - len(self._beginning)]
            self._reader.feed(look.contents)
            self._offset += len(look.contents)
            if self._offset >= end:
                return
            look = self._place.look(self._offset, _PIECE)

    def _begin_anew(self, file: Hashable) -> None:
        self._file = file
        self._reader = Reader()
        self._offset = 0
        self._beginning = b""

    def _replaced(self) -> bool:
        """Whether it begins otherwise than it did: file numbers may come again."""
        look = self._place.look(0, len(self._beginning))
        return look is not None and look.contents != self._beginning
