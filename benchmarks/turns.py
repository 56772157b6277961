"""A function that measures several programs in one thread, a few steps in turn."""

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
    Run some programs by turns, and return the seconds of their steps.

    Other work on the machine, or a change of its clock rate, then affects all programs
    equally.

    Parameters
    ----------
    programs:
        Programs by name. Each is called with a function, and calls this function at
        each step.
    steps:
        Number of steps in a turn.

    Returns
    -------
    :
        Seconds per step in each turn, by the name of the program: the mean of the later
        half of the turn, when the caches of the processor hold the program again.
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
        order = order[1:] + order[:1]  # no program always follows the same one
    return seconds
