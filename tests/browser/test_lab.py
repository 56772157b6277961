"""The widget in a real JupyterLab: its page, and its values in the kernel."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from lrwidget import LRCurve
from lrwidget.curve.ticks import rounded
from tests.browser.cells import LONG, QUICK, SETUP
from tests.browser.chromium import chromium
from tests.browser.finder import Finder
from tests.browser.waiting import await_result
from tests.jobs import job

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.browser.lab import Lab, Notebook

_BUSY = "while not Path('{}').exists():\n    pause.wait(0.01)"
_QUICKSTART = Path(__file__).parents[2] / "notebooks/01-quickstart.ipynb"


def _shown(page: Page, book: Notebook) -> Finder:
    book.execute(0)
    book.execute(1)
    finder = Finder(page)
    finder.await_display()
    return finder


def _is(rate: float, tolerance: float = 0.05) -> Callable[[float | None], bool]:
    return lambda value: value == pytest.approx(rate, rel=tolerance)


def test_run_it_and_watch_it_while_another_cell_runs(
    page: Page, lab: Lab, notebook: Callable[..., Notebook]
) -> None:
    book = notebook(SETUP, LONG, _BUSY.format("go-on"))
    finder = _shown(page, book)
    assert book.value("w.value") is None
    finder.await_status("Run tries")
    finder.button.click()
    finder.await_points(1)
    expect(finder.button).to_have_text("Stop")
    running = r"Running: step \d+ of 3000, \d+ steps/s, .* left. Loss .* at rate"
    finder.await_status(re.compile(running))

    book.start(2)
    busy = book.prompt(2)
    expect(busy).to_have_text("[*]:")
    count = finder.points()
    for _ in range(3):
        count = finder.await_points(count)
    expect(busy).to_have_text("[*]:")
    (lab.folder / "go-on").touch()
    book.await_cell(2)

    finder.button.click()
    finder.await_status("Stopped after")
    expect(finder.button).to_have_text("Run again")
    steps = book.value("len(w.wait())")
    assert book.value("w.curve.stop_reason") == "stopped"
    assert steps >= count
    finder.await_points(steps - 1)
    assert finder.points() == steps


def test_pick_it_by_hand(page: Page, notebook: Callable[..., Notebook]) -> None:
    book = notebook(SETUP, QUICK)
    finder = _shown(page, book)
    finder.button.click()
    finder.await_answer()
    suggestion = book.value("w.wait().suggest()")
    assert book.value("w.value") == rounded(suggestion)
    finder.await_at(finder.suggestion, suggestion)
    finder.await_at(finder.handle, suggestion)
    expect(finder.field).to_have_value(f"{suggestion:.2g}")

    finder.show_all()
    finder.drag(1e-5, 2e-3)
    book.await_value("w.value", _is(2e-3))
    value = book.value("w.value")
    expect(finder.field).to_have_value(re.compile(f"^{value:.3g}"))
    finder.await_at(finder.line, value)

    for rate, height in ((1e-5, 0.2), (0.3, 0.9)):
        finder.click(rate, height)
        value = book.await_value("w.value", _is(rate))
        finder.await_at(finder.handle, rate)
    # Otherwise the page might overwrite the text that is typed next.
    expect(finder.field).to_have_value(f"{value:.3g}")

    finder.field.fill("2.5e-3")
    finder.field.press("Enter")
    book.await_value("w.value", lambda value: value == 0.0025)
    finder.await_at(finder.handle, 0.0025)

    finder.field.press("ArrowUp")
    finder.field.press("Enter")
    book.await_value("w.value", _is(0.00251, 1e-6))

    finder.drag(10.0, 1e6)  # out of the chart
    book.await_value("w.value", lambda value: value == 10)
    finder.await_at(finder.handle, 10)

    def set_rate() -> str:
        # The last place of the drag may arrive after the rate is set.
        book.value("setattr(w, 'value', 0.05)")
        return finder.field.input_value()

    await_result(set_rate, lambda shown: shown == "0.05", "The field has {}".format)
    finder.await_at(finder.handle, 0.05)


def test_clicks_on_the_curve_and_the_suggestion_count(
    page: Page, notebook: Callable[..., Notebook]
) -> None:
    book = notebook(SETUP, QUICK)
    finder = _shown(page, book)
    finder.button.click()
    finder.await_answer()
    suggestion = book.value("w.wait().suggest()")
    rate = finder.click_on(finder.trend)
    assert rate != pytest.approx(suggestion, rel=0.2)
    book.await_value("w.value", _is(rate))
    finder.suggestion.click()
    book.await_value("w.value", lambda value: value == rounded(suggestion))


def test_another_rule_and_a_click_on_the_band(
    page: Page, notebook: Callable[..., Notebook]
) -> None:
    book = notebook(SETUP, QUICK)
    finder = _shown(page, book)
    finder.button.click()
    finder.await_answer()
    low, high = book.value("w.wait().suggestion()[1:3]")
    box = finder.band.bounding_box()
    assert box is not None
    edges = box["x"], box["x"] + box["width"]
    places = [finder._place(rate, 0.5)[0] for rate in (low, high)]
    assert edges == pytest.approx(places, abs=2)

    finder.menu.select_option(label="minimum (fastai)")
    suggestion = book.value("w.suggestions['minimum']")
    book.await_value("w.value", lambda value: value == rounded(suggestion))
    finder.await_at(finder.suggestion, suggestion)
    finder.await_status("a tenth of the rate at the lowest loss")
    expect(finder.band).not_to_be_visible()

    finder.menu.select_option(label="automatic")
    finder.await_answer()
    middle = (low * high) ** 0.5
    finder.click(middle, 0.9)
    book.await_value("w.value", _is(middle))


def test_smooth_it_while_it_runs(page: Page, notebook: Callable[..., Notebook]) -> None:
    book = notebook(SETUP, LONG)
    finder = _shown(page, book)
    finder.button.click()
    finder.await_points(20)
    finder.slider.focus()
    page.keyboard.press("End")
    book.await_value("w._display.view_bar.view.smoothing", lambda value: value == 0.8)
    expect(finder.slider).to_have_attribute("aria-valuetext", "0.8")
    assert book.value("w.running")
    finder.button.click()
    finder.await_status("Stopped")
    finder.await_points(book.value("len(w.wait())") - 1)
    wide = finder.shape()
    finder.slider.focus()
    page.keyboard.press("Home")
    automatic = finder.await_other_shape(wide)
    expect(finder.lower_edge).not_to_have_attribute("d", automatic)
    finder.root.get_by_role("button", name="More").click()
    mean = finder.root.get_by_label("fastai's mean")
    mean.check()
    finder.await_other_shape(automatic)
    assert book.value("w._display.view_bar.view.smoothing") == "fastai"
    # A band without width.
    expect(finder.lower_edge).to_have_attribute("d", finder.shape())
    mean.uncheck()
    await_result(
        finder.shape, lambda seen: seen == automatic, lambda _: "another trend"
    )


def test_links_in_the_browser_follow(
    page: Page, notebook: Callable[..., Notebook]
) -> None:
    linked = """
from ipywidgets import FloatText, interact, jslink
text = FloatText()
link = jslink((w, "value"), (text, "value"))
text
"""
    shown = "interact(lambda lr: print(f'rate {lr:.3g}'), lr=w);"
    book = notebook(SETUP, f"{QUICK.rstrip('w')}w.value = 1e-3\nw", linked, shown)
    finder = _shown(page, book)
    book.execute(2)
    finder.click(0.02)
    value = book.await_value("w.value", _is(0.02))
    text = page.locator(".jp-OutputArea input[type=number]").last
    expect(text).to_have_value(str(value))
    book.execute(3)
    expect(page.get_by_text(f"rate {value:.3g}")).to_be_visible()


def test_check_by_training_and_pick_a_curve(
    page: Page, notebook: Callable[..., Notebook]
) -> None:
    book = notebook(SETUP, QUICK)
    finder = _shown(page, book)
    expect(finder.lanes).to_have_count(0)
    finder.button.click()
    finder.await_answer()
    book.value("w.wait() and None")
    expect(finder.check).to_have_attribute("title", re.compile("up to about .* s"))
    finder.check.click()
    finder.await_status("Check: rate")
    expect(finder.button).to_have_text("Stop")
    finder.await_status("Checked: ")
    rates = book.value("w.wait() and [curve.lr for curve in w.race_curves]")
    suggestion = book.value("w.verification.lr")
    assert book.value("w.value") == rounded(suggestion)
    finder.await_at(finder.handle, suggestion)
    title = finder.root.get_by_text("Checked by training, 100 steps each")
    expect(title).to_be_visible()
    expect(finder.lanes.locator("path.line")).to_have_count(len(rates))
    expect(finder.lanes.locator("text.label")).to_have_count(len(rates))
    # the final losses are at their rates on the axis of the chart
    dots = finder.final.locator("path.dot")
    finder.await_at(dots.first, rates[0])

    # at the last step, the line of the best rate is the lowest
    finder.click_lanes(0.99, 0.99)
    book.await_value("w.value", lambda value: value in {*rates} - {suggestion})
    finder.await_at(finder.handle, book.value("w.value"))
    losses = book.value("[float(curve.smoothed()[-1]) for curve in w.race_curves]")
    best = losses.index(min(losses))
    finder.click_lanes(0.99, 0.01)
    book.await_value("w.value", lambda value: value == rates[best])
    dots.first.click()
    book.await_value("w.value", lambda value: value == pytest.approx(rates[0]))
    finder.click_lanes(0.99, 0.01)
    book.await_value("w.value", lambda value: value == rates[best])
    buttons = finder.root.locator(".lrwidget-rates button")
    expect(buttons).to_have_count(len(rates))
    expect(buttons.nth(best).locator(".fa-check")).to_have_count(1)

    # by the keyboard
    buttons.first.focus()
    page.keyboard.press("Enter")
    book.await_value("w.value", lambda value: value == rates[0])


def test_follow_a_test_of_another_process(
    page: Page, lab: Lab, notebook: Callable[..., Notebook]
) -> None:
    path = lab.folder / "run.jsonl"
    book = notebook(
        "from lrwidget import LRWidget", "w = LRWidget.follow('run.jsonl')\nw"
    )
    finder = _shown(page, book)
    finder.await_status("Waiting for a test to begin in run.jsonl.")
    expect(finder.check).not_to_be_visible()
    with job(path, 1500, 0.01, num_it=3000, start_lr=1e-7, end_lr=10.0) as running:
        count = 0
        for _ in range(3):
            count = finder.await_points(count)
        finder.await_status(re.compile(r"Running: step \d+ of 3000, \d+ steps/s"))
        finder.click(1e-3)
        book.await_value("w.value", _is(1e-3))
        finder.drag(1e-4, 5e-2)
        value = book.await_value("w.value", _is(5e-2))
        assert book.value("w.running")
        finder.button.click()
        assert running.said() == "stopped"
        assert running.ended() == 0
    finder.await_status("Stopped after")
    expect(finder.button).not_to_be_visible()
    assert book.value("w.wait() and w.curve.stop_reason") == "stopped"
    assert book.value("len(w.curve)") == len(LRCurve.load(path))
    assert book.value("w.value") == value
    path.unlink()


def test_a_failure_is_seen(page: Page, notebook: Callable[..., Notebook]) -> None:
    wrong = "w = LRWidget(model, optimizer, [{'x': inputs}], nn.MSELoss())\nw"
    book = notebook(SETUP, wrong, "w.wait()")
    finder = _shown(page, book)
    finder.button.click()
    finder.await_status(
        "Failed before the first step. TypeError: loss_fn needs batches"
    )
    expect(finder.button).to_have_text("Run again")
    book.execute(2)
    expect(page.get_by_text("TypeError").last).to_be_visible()


def test_the_quickstart_by_hand(
    page: Page, lab: Lab, notebook: Callable[..., Notebook]
) -> None:
    shutil.copy(_QUICKSTART, lab.folder)
    book = notebook(name=_QUICKSTART.name)
    codes = page.locator(".jp-Notebook .jp-CodeCell").count()
    display = 3
    for index in range(display + 1):
        book.execute(index)
    finder = Finder(page)
    finder.await_display()
    finder.button.click()
    finder.await_answer()
    finder.drag(0.05)
    book.await_value("widget.value", _is(0.05))
    for index in range(display + 1, codes):
        book.execute(index)
    value = book.value("widget.value")
    assert value == pytest.approx(0.05, rel=0.05)
    assert book.value("optimizer.param_groups[0]['lr']") == value
    last = book.value("{k: sum(x[-20:]) / 20 for k, x in losses_of_adam.items()}")
    assert max(last.values()) == last["ten times"] > 2 * min(last.values())


def test_a_missing_browser_is_one_clear_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CHROMIUM", "no-such-browser")
    with pytest.raises(RuntimeError, match=r"no browser found as CHROMIUM='no-such-br"):
        chromium()
