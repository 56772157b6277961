"""How a session is, in words."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from lrwidget.ui import messages as status

if TYPE_CHECKING:
    from lrwidget.curve.suggestion import Suggestion
    from lrwidget.session import Session


def in_words(session: Session, suggestion: Suggestion, *, running: bool) -> str:
    """
    Return how the latest test or race is.

    Parameters
    ----------
    session:
        Which has run something.
    suggestion:
        What the curve of the latest test suggests.
    running:
        Whether it was running before the curve was looked at.
    """
    if session.error is not None:
        what = "Race failed" if session.racing else "Failed"
        return status.failed(what, len(session.latest), session.error)
    special = _special(session) if running else None
    if special is not None:
        return special
    return _goes_on(session) if running else _has_ended(session, suggestion)


def _goes_on(session: Session) -> str:
    if session.racing:
        return status.racing(session.raced, session.seconds)
    if session.comparing:
        return status.comparing(session.compared, session.seconds)
    return status.running(session.curve, session.seconds)


def _has_ended(session: Session, suggestion: Suggestion) -> str:
    if session.racing:
        return status.raced(session.raced)
    words, latest = status.ended(session.curve, suggestion), session.runs.latest
    if session.comparing and latest is not None:
        return status.compared(session.compared, latest.name, words)
    return words


def _special(session: Session) -> str | None:
    """Return how what runs is, where there is more to say than how far it is."""
    waiting = session.waiting
    if waiting is None:
        return session.state
    return status.waiting(*waiting, len(session.latest), session.latest.total)


def in_detail(error: BaseException) -> str:
    """Return an error with where it came from."""
    return "".join(traceback.format_exception(error)).strip()
