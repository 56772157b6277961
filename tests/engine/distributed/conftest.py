from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engine.distributed.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Iterator


class Pools:
    """Pools that several tests use, as long as all their ranks are idle and alive."""

    def __init__(self) -> None:
        self._pools: dict[tuple[int, float], Pool] = {}

    def of(self, size: int, timeout: float = 600) -> Pool:
        pool = self._pools.get((size, timeout))
        if pool is None or not pool.idle:
            self.close(size, timeout)
            pool = self._pools[size, timeout] = Pool(size, timeout)
        return pool

    def close(self, size: int, timeout: float = 600) -> None:
        pool = self._pools.pop((size, timeout), None)
        if pool is not None:
            pool.close()

    def close_all(self) -> None:
        for key in list(self._pools):
            self.close(*key)


@pytest.fixture(scope="package")
def pools() -> Iterator[Pools]:
    every = Pools()
    yield every
    every.close_all()


@pytest.fixture
def two(pools: Pools) -> Pool:
    return pools.of(2)
