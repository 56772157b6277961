"""Several programs in one thread, a few steps of each in turn."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from greenlet import getcurrent, greenlet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Program = Callable[[Callable[[], None]], object]


def seconds_by_turns(
    programs: Mapping[str, Program], steps: int
) -> dict[str, list[float]]:
    """
    Let some programs run by turns, and return how long their steps take.

    Other work on the machine, or another pace of its clock, is then the same for all.

    Parameters
    ----------
    programs:
        By name, what is called with a function to be called at each step.
    steps:
        How many steps a turn has.

    Returns
    -------
    :
        By name, the seconds a step in each turn: the mean of its later half, when the
        program is in the caches of the processor again.
    """
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    main = getcurrent()

    def played(name: str, program: Program) -> None:
        times: list[float] = []

        def step() -> None:
            times.append(time.perf_counter())
            if len(times) > steps:
                later = times[steps // 2 :]
                seconds[name].append((later[-1] - later[0]) / (len(later) - 1))
                main.switch()
                times[:] = [time.perf_counter()]

        program(step)

    players = {name: greenlet(played) for name in programs}
    order = list(programs)
    while any(not player.dead for player in players.values()):
        for name in order:
            if not players[name].dead:
                players[name].switch(*(() if players[name] else (name, programs[name])))
        order = order[1:] + order[:1]  # no one is always the first after another one
    return seconds
