from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.engine.distributed.conftest import Pools


@pytest.mark.parametrize("most_children", [1, 2, 8])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 10])
def test_all_ranks_come_to_the_same_sums(
    pools: Pools, size: int, most_children: int
) -> None:
    found = pools.of(size).play("summed", count=3, most_children=most_children)
    if size > 4 and most_children == 8:
        pools.close(size)  # no other test has so many
    for rank in found:
        assert rank["sums"] == found[0]["sums"]
        for number, (total, count) in enumerate(rank["sums"]):
            assert count == size
            assert total == pytest.approx(0.1 * number * size * (size + 1) / 2)
    # one each way between a rank and its parent
    sent = [rank["sent"] / 3 for rank in found]
    assert sum(sent) == 2 * (size - 1)
    assert max(sent) <= most_children + 1
