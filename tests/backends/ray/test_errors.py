from __future__ import annotations

import socket
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import torch
from torch._C._distributed_c10d import TCPStore

from lrwidget import RankError
from lrwidget.backends.ray.errors import WorkerTraceback, failure_of
from tests.backends.ray.builds import OwnError, UnsendableError, happen

if TYPE_CHECKING:
    from collections.abc import Callable


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


def _never_connected() -> None:
    # Nobody listens there: the port is taken, and not listened at.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        _, port = taken.getsockname()
        patience = timedelta(milliseconds=100)
        TCPStore("127.0.0.1", port, is_master=False, timeout=patience)


def _raise(error: Exception) -> None:
    raise error


def _raise_in_backward() -> None:
    weight = torch.ones(2, requires_grad=True)
    factor = weight.exp()
    loss = (factor * weight).sum()
    factor.detach().zero_()
    loss.backward()


_LOST = "[gloo/transport/tcp/pair.cc] Connection closed by peer"


@pytest.mark.parametrize(
    ("raising", "collateral"),
    [
        (lambda: _raise(RankError("rank 1 of 2: ...", 1)), True),
        (_never_connected, True),
        (lambda: _raise(RuntimeError(_LOST)), False),
        (lambda: torch.ones(2) @ torch.ones(3), False),
        (lambda: _raise(UnsendableError(1, 2)), False),
    ],
)
def test_errors_that_tell_of_others(
    raising: Callable[[], object], *, collateral: bool
) -> None:
    with pytest.raises(Exception) as raised:  # noqa: PT011 (any of them)
        raising()
    assert failure_of("worker 3", raised.value).collateral == collateral


def test_an_error_that_has_ended_a_test_tells_of_itself() -> None:
    with pytest.raises(RuntimeError, match="inplace operation") as raised:
        _raise_in_backward()
    assert failure_of("worker 3", raised.value).collateral
    assert not failure_of("worker 3", raised.value, begun=True).collateral
    rank_error = RankError("rank 1 of 2: ...", 1)
    assert failure_of("worker 3", rank_error, begun=True).collateral
