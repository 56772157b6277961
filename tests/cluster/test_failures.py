from __future__ import annotations

import pytest

from lrwidget import RankError
from lrwidget.cluster.failures import WorkerTraceback, failure_of
from tests.cluster.builds import OwnError, UnsendableError, happen


def _caught(fault: str) -> BaseException:
    with pytest.raises(BaseException) as raised:  # noqa: PT011 (any of them)
        happen(fault)
    return raised.value


def test_an_error_comes_with_where_it_was_raised() -> None:
    error = failure_of("worker 3", _caught("error")).error()
    assert isinstance(error, OwnError)
    assert str(error) == "no loss today"
    assert isinstance(error.__cause__, WorkerTraceback)
    assert str(error.__cause__).startswith("on worker 3\n\nTraceback")
    assert "in happen" in str(error.__cause__)


def test_what_cannot_be_sent_comes_in_words() -> None:
    unsendable = failure_of("worker 3", _caught("unsendable"))
    assert str(unsendable.error()).endswith("UnsendableError: 1 and 2")
    held = OwnError(lambda: (yield))
    held.lock = (x for x in "generators cannot be pickled")  # type: ignore[attr-defined]  # of a user's own
    assert isinstance(failure_of("worker 3", held).error(), RuntimeError)


def test_what_ends_a_worker_does_not_end_who_watches() -> None:
    error = failure_of("worker 3", _caught("exit")).error()
    assert type(error) is RuntimeError
    assert str(error) == "SystemExit: 3"


@pytest.mark.parametrize(
    ("error", "collateral"),
    [
        (RankError("rank 1 of 2: ...", 1), True),
        (RuntimeError("[gloo/transport/tcp/pair.cc] Connection closed by peer"), True),
        (RuntimeError("shapes cannot be multiplied"), False),
        (UnsendableError(1, 2), False),
    ],
)
def test_errors_that_tell_of_others(error: Exception, *, collateral: bool) -> None:
    assert failure_of("worker 3", error).collateral == collateral
