from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.engine.distributed.conftest import Pools
    from tests.engine.distributed.pool import Pool


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 10])
def test_all_ranks_come_to_the_same_sums(pools: Pools, size: int) -> None:
    found = pools.of(size).play("summed", count=3)
    if size > 4:
        pools.close(size)  # no other test has so many
    for sums in found:
        assert sums == found[0]
        for number, (total, count) in enumerate(sums):
            assert count == size
            assert total == pytest.approx(0.1 * number * size * (size + 1) / 2)


def test_a_wrapper_that_is_kept_has_no_reducer(two: Pool) -> None:
    # As the last owner of its group, it would wait with the GIL for threads that may
    # wait for the GIL.
    assert two.play("kept_wrapper") == [False, False]
