from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.distributed.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Iterator


class Pools:
    """Pools that several tests use, as long as all their ranks are idle and alive."""

    def __init__(self) -> None:
        self._pools: dict[int, Pool] = {}

    def of(self, size: int) -> Pool:
        pool = self._pools.get(size)
        if pool is None or not pool.idle:
            self.close(size)
            pool = self._pools[size] = Pool(size)
        return pool

    def close(self, size: int) -> None:
        pool = self._pools.pop(size, None)
        if pool is not None:
            pool.close()

    def close_all(self) -> None:
        for size in list(self._pools):
            self.close(size)


@pytest.fixture(scope="package")
def pools() -> Iterator[Pools]:
    every = Pools()
    yield every
    every.close_all()


@pytest.fixture
def two(pools: Pools) -> Pool:
    return pools.of(2)
