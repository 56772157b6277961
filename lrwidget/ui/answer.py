"""The header: the rate, how sure it is, one sentence, and the actions."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import ipywidgets as ipw

from lrwidget.ui.answer_text import unbroken
from lrwidget.ui.controls import show_if

if TYPE_CHECKING:
    from collections.abc import Callable

    from lrwidget.backends.base import Capabilities

# In the page without the style sheet, too.
_WRAPPED = {"flex_flow": "row wrap"}


class Answer(ipw.VBox):  # type: ignore[misc]  # untyped base
    """
    The rate with its range, the status, the progress, and the buttons for actions.

    Before the first run there is one button alone. While a job runs, the headline and
    the status have the room of those before, so that nothing below them moves.
    """

    def __init__(  # noqa: PLR0913 (the commands of the buttons)
        self,
        *,
        on_toggle: Callable[[], object],
        on_check: Callable[[], object],
        on_apply: Callable[[], object],
        on_next: Callable[[], object],
        copy: ipw.Widget,
        can: Capabilities,
    ) -> None:
        self._can = can
        self.headline = ipw.HTML()
        self.status = ipw.HTML()
        self.status.add_class("lrwidget-status")
        self.room = ipw.HTML()  # as high as the latest sentence
        self.headline_room = ipw.HTML()  # as high as the headline before a job
        self._running = False
        self.next = _button("lrwidget-next-step", on_next)
        self.button = _button("lrwidget-toggle", on_toggle)
        self.check = _button("lrwidget-check", on_check)
        self.check.description = "Check by training"
        self.apply = _button("lrwidget-apply", on_apply)
        where = f" to {can.optimizer}" if can.optimizer else ""
        self.apply.description = f"Apply{where}"
        self.apply.tooltip = "Write the rate to the optimizer of your training"
        self.copy = copy
        self.progress = ipw.IntProgress(
            layout={"width": "100%", "height": "6px", "margin": "0"}
        )
        self.progress.add_class("lrwidget-progress")
        headline = _stack("lrwidget-headline", self.headline, self.headline_room)
        sentence = _stack("lrwidget-sentence", self.status, self.room)
        said = ipw.VBox([headline, sentence])
        said.add_class("lrwidget-said")
        buttons = [self.apply, copy, self.check, self.next, self.button]
        actions = ipw.HBox(buttons, layout=_WRAPPED)
        actions.add_class("lrwidget-actions")
        top = ipw.HBox([said, actions], layout=_WRAPPED)
        top.add_class("lrwidget-top")
        super().__init__([top, self.progress])
        self.add_class("lrwidget-answer")
        self.show_running(running=False, begun=False, again=False)
        self.show_next("")
        self.show_rate(None)

    def show_running(self, *, running: bool, begun: bool, again: bool) -> None:
        """
        Label the buttons with their next action; disable a button without one.

        ``begun`` is whether there is a result to use, and ``again`` whether there has
        been a run.
        """
        (self.remove_class if begun else self.add_class)("lrwidget-unbegun")
        show_if(self.apply, shown=begun and self._can.apply)
        show_if(self.copy, shown=begun)
        show_if(self.check, shown=begun and self._can.run)
        show_if(self.button, shown=running or self._can.run)
        self.check.disabled = running
        self.progress.layout.visibility = "visible" if running else "hidden"
        with self.button.hold_sync():
            run = "Run again" if again else "Run"
            self.button.description = "Stop" if running else run
            self.button.tooltip = (
                "Stop, and keep the steps so far" if running else "Run the range test"
            )
            # The primary action is to run, until there is a rate to apply.
            self.button.button_style = "" if running or begun else "primary"

    def show(
        self, done: int, total: int, status: str, traceback: str | None = None
    ) -> None:
        """Show the steps and the status of a job, with the traceback if it failed."""
        with self.progress.hold_sync():
            self.progress.max = total
            self.progress.value = done
        look = "lrwidget-fine" if traceback is None else "lrwidget-failed"
        text = f'<span class="{look}">{unbroken(html.escape(status))}</span>'
        if traceback is not None:
            text += (
                "<details><summary>Traceback</summary>"
                f'<pre tabindex="0">{html.escape(traceback)}</pre></details>'
            )
        self.status.value = text

    def keep_room(self, sentence: str) -> None:
        """Keep the room of a sentence until the next one that is kept."""
        text = unbroken(html.escape(sentence))
        if self.room.value != text:
            self.room.value = text

    def show_headline(self, headline: str, *, running: bool) -> None:
        """Show the rate and how sure it is, in HTML, and whether a job runs."""
        if running != self._running:
            self._running = running
            self.headline_room.value = self.headline.value if running else ""
        if self.headline.value != headline:
            self.headline.value = headline

    def show_rate(self, rate: float | None) -> None:
        """Enable the button that applies a rate, or disable it without one."""
        self.apply.disabled = rate is None
        self.apply.button_style = "" if rate is None else "primary"
        self.next.button_style = "primary" if rate is None else ""

    def show_check(self, words: str, tooltip: str) -> None:
        """Tell the time and the cost of a check at its button."""
        if (self.check.description, self.check.tooltip) != (words, tooltip):
            with self.check.hold_sync():
                self.check.description, self.check.tooltip = words, tooltip

    def show_next(self, words: str) -> None:
        """Offer a run that may do better, or none."""
        if self.next.description != words:
            self.next.description = words
        show_if(self.next, shown=bool(words))


def _stack(name: str, shown: ipw.HTML, room: ipw.HTML) -> ipw.Box:
    """Return a text in at least the room of another one, which is not seen."""
    room.layout.visibility = "hidden"
    for text in (shown, room):
        text.layout.grid_area = "1 / 1"
    room.add_class("lrwidget-room")
    stack = ipw.Box([shown, room], layout={"display": "grid"})
    stack.add_class("lrwidget-stack")
    stack.add_class(name)
    return stack


def _button(name: str, on_click: Callable[[], object]) -> ipw.Button:
    button = ipw.Button(layout={"width": "auto", "height": "auto"})
    button.add_class(name)
    button.on_click(lambda _button: on_click())
    return button
