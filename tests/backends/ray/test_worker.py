from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ray import cloudpickle

from lrwidget.backends.ray import worker
from lrwidget.backends.ray.errors import Failure
from lrwidget.backends.ray.worker import Work
from lrwidget.curve.history import Plan
from tests.backends.ray.builds import OwnError, unbuildable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


def test_an_error_is_sent_before_the_process_group_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[Any] = []
    sent_before_the_end: list[Any] = []

    @contextmanager
    def group(_work: Work) -> Iterator[None]:
        try:
            yield
        finally:
            sent_before_the_end.extend(sent)  # the end of a group may block

    monkeypatch.setattr(worker, "_process_group", group)
    build = cloudpickle.dumps(unbuildable)
    settings = cloudpickle.dumps({})
    work = Work(0, "worker 0", Plan(0.1, 1.0, 5), build, settings, 0, use_gpu=False)
    worker._train(work, "worker 0", sent.append)
    (failure,) = sent_before_the_end
    assert sent == sent_before_the_end
    assert isinstance(failure, Failure)
    assert isinstance(failure.error(), OwnError)
