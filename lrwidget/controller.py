"""The stage of a widget: what runs there, and how it is shown."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from lrwidget.curve.history import Recordings
from lrwidget.curve.lr_curve import Recording
from lrwidget.curve.race import RaceRecording, neighbours
from lrwidget.curve.runs import NewRun
from lrwidget.curve.suggestion import NO_SUGGESTION
from lrwidget.engine.thread_settings import ThreadSettings
from lrwidget.session import BusyError, Session
from lrwidget.ui import arguments
from lrwidget.ui import messages as status
from lrwidget.ui.layout import Display, Hands
from lrwidget.ui.report import in_detail, in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from lrwidget.backends.base import Planned, Recipe, Source
    from lrwidget.choosing import Choosing
    from lrwidget.curve.suggestion import Suggestion
    from lrwidget.runner import Follower


class Stage:
    """
    The session of a widget with its display, which shows all that happens there.

    It may be used by any threads: by those of the kernel that callbacks of the front
    end come on, and by the worker's.

    Parameters
    ----------
    recipe:
        What makes that which is run.
    choosing:
        Who chooses the rate.
    beta:
        Where the smoothing slider stands at first.
    rule:
        The rule of the suggestion that is shown.

    Attributes
    ----------
    session:
        What runs, and what it has found.
    display:
        What shows it.
    bounds:
        The lowest and the highest rate in the chart.
    """

    def __init__(
        self,
        recipe: Recipe,
        choosing: Choosing,
        beta: float,
        rule: str,
    ) -> None:
        self._recipe = recipe
        self._rule = rule
        self._choosing = choosing
        self._test = recipe.test({})
        self._running: Planned = self._test
        self._room: tuple[float, float, int] | None = None
        self._detail: tuple[BaseException | None, str] = None, ""
        self.bounds = self._test.start_lr, self._test.end_lr
        self.session = Session(self._on_news, self._on_end)
        # A press on Run may come on a thread that lacks this one's settings.
        self._ambient = ThreadSettings()
        self._lock = self.session.lock
        hands = Hands(
            toggle=self._on_toggle,
            race=self._on_race,
            remove=self.remove,
            settings=self._on_settings,
            look=self._look,
            pick=choosing.pick,
            step=choosing.step,
            home=choosing.home,
            apply=choosing.apply,
            export=choosing.export,
        )
        self.display = Display(
            hands,
            recipe.settings,
            beta,
            rule,
            recipe.loss_name,
            controls=recipe.controls,
        )
        self._on_settings()
        self._draw()
        self._show_running()

    @property
    def running(self) -> bool:
        """Whether something is running."""
        return self.session.running

    @property
    def status(self) -> str:
        """How the latest run is, in words."""
        session, running = self.session, self.running
        if session.follower is None and session.error is None:
            test = self._test
            return status.idle(test.start_lr, test.end_lr, test.num_it)
        suggestion = NO_SUGGESTION if running else self.known()
        return in_words(session, suggestion, running=running)

    def suggestion(self) -> Suggestion:
        """Return what the curve of the latest test so far suggests."""
        return self.session.curve.suggestion(self._rule)

    def check_free(self) -> None:
        """Raise where nothing can be written to the optimizer, as `Source` does."""
        self._test.check_free()

    def run(self, label: str | None, changes: Mapping[str, Any]) -> None:
        """Start a test, as `LRWidget.run` does."""
        self._recipe.check_runs()
        self._run(label, changes)

    def follow(self) -> None:
        """Follow the test that runs elsewhere."""
        self._run(None, {})

    def _run(self, label: str | None, changes: Mapping[str, Any]) -> None:
        with self._starting(Recording(0)):
            arguments.check_label(label)
            every = {**self.display.settings.values, **changes}
            test = self._recipe.test(every)
            setting = self._recipe.setting(every, label)
            name = self._recipe.name(every) if label is None else label
            recording = self._recipe.recording(test)
            begun = NewRun(name, setting, recording)
            self.session.run(test, begun, lambda: self._make_room_for(test))

    def compare(self, runs: Mapping[str, Mapping[str, Any]]) -> None:
        """Start several tests, as `LRWidget.compare` does."""
        self._recipe.check_runs()
        with self._starting(Recordings([])):
            arguments.check_comparison(runs)
            settings = self.display.settings.values
            every = [{**settings, **changes} for changes in runs.values()]
            comparison = self._recipe.compare(every)
            begun = [
                NewRun(label, self._recipe.setting(changes, label), Recording(x.num_it))
                for label, changes, x in zip(runs, every, comparison.tests, strict=True)
            ]
            last = comparison.tests[-1]
            self.session.compare(comparison, begun, lambda: self._make_room_for(last))

    def race(self, rates: Sequence[float] | None, steps: int | None) -> None:
        """Start a race, as `LRWidget.race` does."""
        self._recipe.check_runs()
        with self._starting(RaceRecording([], 0)):
            if rates is None:
                suggestion, chosen = self.suggestion(), self._choosing.chosen()
                rates = neighbours(suggestion, chosen, *self.bounds)
                if not rates:
                    msg = "nothing to race: run() and wait() first, or pass rates"
                    raise RuntimeError(msg)
            race = self._recipe.race(self.display.settings.values, rates, steps)
            arguments.check_inside(race.rates, *self.bounds)
            self.session.race(
                race, lambda: self.display.show_race(race.rates, race.steps)
            )

    def stop(self) -> None:
        """Ask what runs to stop, as `LRWidget.stop` does."""
        self.session.stop()
        self._show_status()

    def remove(self, name: str) -> None:
        """Forget a former run, as `LRWidget.remove` does."""
        with self._lock:
            self.session.runs.remove(name)
            self._show_range()
            self._look()

    def show_choice(self) -> None:
        """Show which rate is chosen now."""
        with self._lock:
            self.display.show_rate(self._choosing.chosen())
            self._show_running()

    def show_rule(self, rule: str) -> None:
        """Show what another rule suggests."""
        with self._lock:
            self._rule = rule
            self._draw()
            suggestion = self.known()
        self._choosing.follow(suggestion.lr)

    @contextmanager
    def _starting(self, nothing: Recording | Recordings) -> Iterator[None]:
        """
        Let one thing start, and show that it has, or what kept it from it.

        Parameters
        ----------
        nothing:
            What records nothing of what cannot start.
        """
        busy = False
        try:
            with self.session.starting(nothing):
                yield
        except BusyError:
            busy = True
            raise
        except BaseException as error:
            self._look_into(error)
            raise
        finally:
            if not busy:
                self._show_start()

    def _show_start(self) -> None:
        with self._lock:
            if not self.session.closed:
                self._show_running()
                self._look()

    @property
    def _testing(self) -> bool:
        """Whether a test is running, whose curve will go on."""
        return self.running and not self.session.racing

    def known(self) -> Suggestion:
        """Return the suggestion, unless its curve will go on."""
        return NO_SUGGESTION if self._testing else self.suggestion()

    def _show_running(self) -> None:
        raceable = self._choosing.chosen() is not None or self.known().lr is not None
        self.display.run_bar.show_running(running=self.running, raceable=raceable)

    def _make_room_for(self, test: Planned) -> None:
        self._running, self._room = test, None
        self._make_room()

    def _make_room(self) -> None:
        """Have room for the test that runs, of which more may be known by now."""
        test = self._running
        room = test.start_lr, test.end_lr, test.num_it
        if room != self._room:
            self._room = room
            self.display.view_bar.show_total(test.num_it)
            self._show_range()

    def _show_range(self) -> None:
        """Have all rates in the chart: those to come, those that were, the chosen."""
        ranges = [(self._test.start_lr, self._test.end_lr)]
        settings = [run.setting for run in self.session.runs.all]
        ranges += [(setting.start_lr, setting.end_lr) for setting in settings]
        rate = self._choosing.chosen()
        if rate is not None:
            ranges.append((rate, rate))
        self.bounds = min(low for low, _ in ranges), max(high for _, high in ranges)
        self.display.show_range(*self.bounds)

    def _on_toggle(self) -> None:
        if self.running:
            self.stop()
        else:
            self._press(lambda: self.run(None, {}))

    def _on_race(self) -> None:
        self._press(lambda: self.race(None, None))

    def _press(self, start: Callable[[], object]) -> None:
        """Start something, where what keeps it from that is only shown."""
        try:
            with self._ambient.entered():
                start()
        except BusyError:
            pass  # as is seen
        except Exception as error:
            # What keeps it from starting is in the status, and raised by wait().
            if error is not self.session.error:
                raise

    def _on_settings(self) -> None:
        """Let the chart have room for the next run, if it can be run."""
        settings = self.display.settings
        values, problem = settings.values, ""
        test: Source | None = None
        try:
            # A record is looked at where the test starts: not for each field.
            test = self._recipe.test({**values, "record": None})
        except (TypeError, ValueError) as error:
            problem = str(error)
        with self._lock:
            if settings.values != values:
                return  # the thread of the latest change shows what comes of all
            settings.problem.value = problem
            if test is not None:
                self._test = test
            self._show_range()
            self._show_status()

    def _look(self) -> None:
        """Look anew at all runs."""
        with self._lock:
            runs = self.session.runs
            self.display.show_runs(runs.former, runs.latest, running=self._testing)
            self._draw()

    def _on_news(self) -> None:
        with self._lock:
            if self.session.closed:
                return
            race = self.display.race
            if race is not None and self.session.racing:
                race.draw(self.session.raced.numbered_curves())
            else:
                self._make_room()
                if self.session.comparing:
                    self._look()
                else:
                    self.display.draw(self.session.curve, NO_SUGGESTION)
            self._show_status()

    def _on_end(self, follower: Follower) -> None:
        """Show the end, and tell what is suggested."""
        self._look_into(follower.error)
        try:
            self._choosing.follow(self._shown_end(follower).lr)
        except Exception as error:  # of an observer, for example
            follower.error = follower.error or error
            self._look_into(follower.error)
            self._show_status()
            raise

    def _look_into(self, error: BaseException | None) -> None:
        """Keep the details of an error, for which the files of the source are read."""
        # Outside the lock, under which it is shown then.
        self._detail = error, "" if error is None else in_detail(error)

    def _shown_end(self, follower: Follower) -> Suggestion:
        """Show the end, and return what a test suggests by it."""
        with self._lock:
            # Nothing else starts before the end is seen.
            follower.running = False
            if self.session.closed:
                return NO_SUGGESTION
            race = self.display.race
            if race is not None and self.session.racing:
                self._on_news()
                self._show_running()
                race.show_outcomes()
                return NO_SUGGESTION
            if follower.error is not None or self.session.comparing:
                self.session.runs.forget_empty()
            self._make_room()
            self.display.view_bar.show_total(len(self.session.curve))
            self._look()
            self._show_running()
            return self.suggestion()

    def _draw(self) -> None:
        with self._lock:
            self.display.draw(self.session.curve, self.known())
            self._show_status()

    def _show_status(self) -> None:
        with self._lock:
            if self.session.closed:
                return
            session, bar = self.session, self.display.run_bar
            done, total = len(session.latest), session.latest.total
            error, detail = self._detail
            if session.error is None:
                bar.show(done, total, self.status)
            elif session.error is error:
                bar.show_failure(done, total, self.status, detail)
            else:  # the details follow in a moment
                bar.show_failure(done, total, self.status, "")

    def close(self) -> None:
        """Let nothing be started or shown any more, and stop what runs."""
        with self._lock:
            self.session.closed = True
        self.session.abandon()
