"""What a test and its workers on a cluster tell each other."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import ray

if TYPE_CHECKING:
    from ray.util.placement_group import PlacementGroup


class Hello(NamedTuple):
    """
    A worker that has started.

    Attributes
    ----------
    rank:
        Its number.
    where:
        What and where it is, in words.
    resources:
        What is reserved for it and the others.
    """

    rank: int
    where: str
    resources: PlacementGroup | None


class Work(NamedTuple):
    """
    What the workers of a test are to do.

    Attributes
    ----------
    build:
        What makes a training, pickled.
    settings:
        The arguments of `RangeTest` beside that, pickled.
    seed:
        As `built` takes it.
    mailbox:
        Whom they tell.
    """

    build: bytes
    settings: bytes
    seed: int
    mailbox: Any


def worker_in_words(name: str) -> str:
    """Return what a worker is called, and where this process is."""
    node = ray.util.get_node_ip_address()
    return f"{name} (node {node}, pid {os.getpid()})"
