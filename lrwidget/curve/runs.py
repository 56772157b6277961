"""The runs of one widget, which the chart lays over each other."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from lrwidget.curve.checks import invalid
from lrwidget.curve.run_settings import brief, texts_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from lrwidget.curve.history import Plan, RunHistory

_MAX_FORMER = 30  # more lines tell nothing
_PLAIN = (numbers.Number, str, type(None))  # NumPy's numbers, too


class RepeatKey(NamedTuple):
    """The settings that runs which repeat each other have in common."""

    label: str
    plan: Plan | None
    other: Hashable


class Run(NamedTuple):
    """
    One run of a range test.

    Its name is the only one among the runs of the widget. Its number is the lowest
    that is free there; the look of its line depends on it.
    """

    name: str
    number: int
    key: RepeatKey
    history: RunHistory
    settings: Mapping[str, str] = MappingProxyType({})  # all of them, as texts
    pinned: bool = False  # first in the table, and never forgotten
    hidden: bool = False  # from the chart, while another run is opened


def new_run(
    arguments: Mapping[str, Any],
    changes: Mapping[str, Any],
    label: str | None,
    history: RunHistory,
) -> Run:
    """
    Return a run that has changed some arguments of the widget, to be added to others.

    Without a label, its name tells the changes. Runs that repeat each other differ in
    the seed at most. Objects such as optimizers cannot be compared, so runs with other
    objects than the widget's repeat each other only if they have the same label.
    """
    settings = texts_of({**arguments, **changes})
    different = {
        name: value
        for name, value in changes.items()
        if not _same(value, arguments.get(name))
    }
    if label is not None:
        mode = changes.get("step_mode", arguments.get("step_mode"))
        key = RepeatKey(label, history.plan, mode)
        return Run(label, 0, key, history, settings)
    same_seed = {name: x for name, x in different.items() if name != "seed"}
    plain_only = all(isinstance(value, _PLAIN) for value in same_seed.values())
    other = tuple(same_seed.items()) if plain_only else object()
    key = RepeatKey(_named(same_seed), history.plan, other)
    return Run(_named(different), 0, key, history, settings)


def with_added(runs: Iterable[Run], new: Sequence[Run]) -> list[Run]:
    """
    Return runs with those added that begin together now, if there are any.

    Of the former runs that have a step, the last thirty and the pinned ones stay. A new
    run gets a free number, and its name gets one if another run has it.
    """
    if not new:
        return list(runs)
    begun = [run for run in runs if len(run.history)]
    last = [run.name for run in begun if not run.pinned][-_MAX_FORMER:]
    kept = [run for run in begun if run.pinned or run.name in last]
    for run in new:
        kept.append(_unlike(run, kept))
    return kept


def _unlike(run: Run, others: Sequence[Run]) -> Run:
    """Return a run with a name and a number that no other run has."""
    taken, used = {x.name for x in others}, {x.number for x in others}
    names = [run.name, *(f"{run.name} ({n})" for n in range(2, len(taken) + 2))]
    name = next(name for name in names if name not in taken)
    numbers = [run.number, *range(len(others) + 1)]
    number = next(n for n in numbers if n not in used)
    return run._replace(name=name, number=number)


def without_empty(runs: list[Run]) -> list[Run]:
    """Return the runs that have a step; the last one if none has."""
    return [run for run in runs if len(run.history)] or runs[-1:]


def with_restored(runs: list[Run], run: Run, place: int) -> list[Run]:
    """Return runs with a former run again; it gets a free name and number if needed."""
    place = min(place, len(runs) - 1)
    return [*runs[:place], _unlike(run, runs), *runs[place:]]


def with_former(runs: Sequence[Run], former: Run) -> list[Run]:
    """Return the runs, one of them as it was before; it gets a free name if needed."""
    for run in runs:
        if run.history is former.history:
            others = [other for other in runs if other is not run]
            return _replaced(runs, run, _unlike(former, others))
    return list(runs)


def without(runs: list[Run], name: str) -> list[Run]:
    """Return the runs without a former run; raise ValueError if none has the name."""
    former = [run.name for run in runs[:-1]]
    if name not in former:
        hint = f"pass one of {former}" if former else "there is none to remove yet"
        raise invalid(name, "name", f"is no former run; {hint}")
    return [run for run in runs if run.name != name]


def named(runs: Sequence[Run], name: str) -> Run:
    """Return the run of a name; raise ValueError if none has it."""
    for run in runs:
        if run.name == name:
            return run
    raise invalid(name, "name", f"is no run; pass one of {[run.name for run in runs]}")


def with_look(
    runs: Sequence[Run],
    name: str,
    *,
    pinned: bool | None = None,
    hidden: bool | None = None,
) -> list[Run]:
    """Return the runs, the named one pinned or not, and hidden or not."""
    run = named(runs, name)
    pinned = run.pinned if pinned is None else pinned
    hidden = run.hidden if hidden is None else hidden
    return _replaced(runs, run, run._replace(pinned=pinned, hidden=hidden))


def renamed(runs: Sequence[Run], name: str, new: str) -> list[Run]:
    """Return the runs, one of them with a new name that no other run has."""
    run, new = named(runs, name), new.strip()
    if not new:
        raise invalid(new, "new", "must be some text; pass for example 'wd=1e-4'")
    if any(other.name == new for other in runs if other is not run):
        raise invalid(new, "new", "is the name of another run; pass a free one")
    return _replaced(runs, run, run._replace(name=new))


def in_rows(runs: Sequence[Run]) -> list[Run]:
    """Return runs in the order of a table: the pinned ones first, then the newest."""
    newest_first = runs[::-1]
    return sorted(newest_first, key=lambda run: not run.pinned)


def check_label(label: object) -> None:
    """Raise unless a label is text, or None."""
    if label is not None and not (isinstance(label, str) and label):
        problem = "must be some text, or None; pass for example 'wd=1e-4'"
        raise invalid(label, "label", problem, TypeError)


def check_comparison(runs: object) -> None:
    """Raise unless a comparison is a dict of changes by labels."""
    example = "pass for example {'short': {'num_it': 50}, 'long': {'num_it': 200}}"
    if not isinstance(runs, Mapping) or not all(
        isinstance(changes, Mapping) for changes in runs.values()
    ):
        problem = f"must be a dict of dicts; {example}"
        raise invalid(runs, "runs", problem, TypeError)
    if not runs:
        raise invalid(runs, "runs", f"is empty; {example}")
    for label in runs:
        if label is None:
            problem = f"has None for a label; {example}"
            raise invalid(runs, "runs", problem, TypeError)
        check_label(label)


def _same(one: object, other: object) -> bool:
    # Objects of users may compare in any way, or not at all.
    return one is other or (isinstance(one, _PLAIN) and one == other)


def _named(different: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={brief(x)}" for name, x in different.items()) or "run"


def _replaced(runs: Sequence[Run], run: Run, new: Run) -> list[Run]:
    return [new if other is run else other for other in runs]
