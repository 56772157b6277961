"""The script in the page: keys, hovering, names, files, and hints."""

from __future__ import annotations

import csv
import json
import re
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from lrwidget import LRCurve
from tests.browser.cells import LONG, QUICK, SETUP
from tests.browser.finder import Finder
from tests.browser.lab import DarkLab, Lab
from tests.browser.waiting import await_result

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.browser.lab import Notebook

_SERIOUS = {"serious", "critical"}
_BUSY = "w.value = 1e-3\nwhile not Path('{}').exists():\n    pause.wait(0.01)"


def _finished(page: Page, book: Notebook) -> Finder:
    """Return the widget in the page after a complete test."""
    book.execute(0)
    book.execute(1)
    finder = Finder(page)
    finder.await_display()
    finder.button.click()
    finder.await_answer()
    book.value("w.wait() and None")
    return finder


def test_keys_move_the_handle(page: Page, notebook: Callable[..., Notebook]) -> None:
    book = notebook(SETUP, QUICK)
    finder = _finished(page, book)
    suggestion = book.value("w.value")
    finder.chart.focus()
    for keys, tenths in (("ArrowRight", 1), ("ArrowUp", 2), ("PageDown", -8)):
        page.keyboard.press(keys)
        wanted = pytest.approx(suggestion * 10 ** (tenths / 10), rel=0.15)
        value = book.await_value("w.value", wanted.__eq__)
        finder.await_at(finder.handle, value)
    said = re.compile(" than suggested, loss ")
    expect(finder.chart).to_have_attribute("aria-valuetext", said)
    for _ in range(10):  # as fast as a held key repeats
        page.keyboard.press("ArrowLeft")
    wanted = pytest.approx(suggestion * 10**-1.8, rel=0.15)
    book.await_value("w.value", wanted.__eq__)
    page.keyboard.press("Home")
    book.await_value("w.value", lambda value: value == suggestion)
    for keys in ("PageDown", "Home", "ArrowRight"):
        page.keyboard.press(keys)
    wanted = pytest.approx(suggestion * 10**0.1, rel=0.15)
    book.await_value("w.value", wanted.__eq__)
    finder.show_all()
    finder.click(1e-5)
    page.keyboard.press("ArrowRight")
    wanted = pytest.approx(1e-5 * 10**0.1, rel=0.15)
    book.await_value("w.value", wanted.__eq__)
    # The same cell stays selected: the notebook does not get the arrow keys.
    expect(page.locator(".jp-Cell.jp-mod-active .lrwidget")).to_have_count(1)


def test_the_strip_zooms_the_chart(
    page: Page, notebook: Callable[..., Notebook]
) -> None:
    book = notebook(SETUP, QUICK)
    finder = _finished(page, book)

    def window() -> tuple[float, ...]:
        shown: tuple[float, ...] = book.value("w._controller.state.shown.window")
        return shown

    def changed(before: tuple[float, ...]) -> tuple[float, ...]:
        return await_result(window, before.__ne__, "The window is still {}".format)

    first = window()
    lower, upper = finder.edges.nth(0), finder.edges.nth(1)
    expect(lower).to_have_attribute("aria-label", "Lowest shown rate")
    expect(upper).to_have_attribute("aria-valuetext", re.compile(r"^[\d.e-]+$"))
    told = [edge.get_attribute("aria-valuetext") or "" for edge in (lower, upper)]

    def undo() -> None:
        page.keyboard.press("Control+z")
        await_result(window, first.__eq__, "The window is {}".format)
        for edge, rate in zip((lower, upper), told, strict=True):
            expect(edge).to_have_attribute("aria-valuetext", rate)

    finder.drag_edge(0, -90)
    wider = changed(first)
    assert (wider[0] < first[0], wider[1]) == (True, first[1])
    undo()

    upper.focus()
    page.keyboard.press("ArrowRight")
    higher = changed(first)
    assert (higher[0], higher[1] > first[1]) == (first[0], True)
    undo()

    # The rate under the mouse stays there.
    plot = finder.plot()
    x, y = plot["x"] + 0.3 * plot["width"], plot["y"] + 0.5 * plot["height"]
    page.mouse.move(x, y)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    narrower = changed(first)
    (low, high), (left, right) = np.log10(first), np.log10(narrower)
    assert right - left < 0.9 * (high - low)
    under = low + 0.3 * (high - low)
    assert left + 0.3 * (right - left) == pytest.approx(under, abs=0.02)
    rate = book.value("w.value")
    page.mouse.dblclick(x, y)
    expect(finder.everything).to_be_disabled()
    assert book.value("w.value") == rate


def test_undo_at_once_undoes_the_whole_of_a_drag(
    page: Page, lab: Lab, notebook: Callable[..., Notebook]
) -> None:
    book = notebook(SETUP, QUICK, _BUSY.format("dragged"))
    finder = _finished(page, book)
    book.value("setattr(w, 'value', 1e-3)")
    rates = "[*w._controller.state.shown.window, w.value]"
    first = book.value(rates)

    def await_undone(what: str) -> None:
        expect(finder.root.get_by_text(f"Undone: {what}.")).to_be_visible()
        assert book.value(rates) == first
        assert book.value("len(w._controller.state.undo)") == 0

    # By turns, so that each time other words appear.
    finder.drag_edge(0, -90)
    finder.undo.click()
    await_undone("the zoom")
    finder.drag(1e-2, 3e-3)
    page.keyboard.press("Control+z")
    await_undone("the choice of a rate")

    book.start(2)
    expect(book.prompt(2)).to_have_text("[*]:")
    finder.drag_edge(0, 60)
    page.keyboard.press("Control+z")
    (lab.folder / "dragged").touch()
    book.await_cell(2)
    await_undone("the zoom")


def test_the_mouse_tells_the_losses_of_all_runs_at_a_rate(
    page: Page, notebook: Callable[..., Notebook]
) -> None:
    book = notebook(SETUP, QUICK)
    finder = _finished(page, book)
    expect(finder.tip).to_be_hidden()
    x, y = finder.hover(finder.trend)
    rows = finder.tip.locator("div")
    expect(rows).to_have_text(re.compile(r"^trend\S+ ± \S+$"))
    expect(rows).to_have_class("lrwidget-marked")  # the nearest
    loss, _, doubt = rows.locator("span").last.inner_text().split()
    at = finder.tip.locator("b").inner_text().removeprefix("at ")
    told = [float(text) for text in (at, loss, doubt)]
    (fit,), (error,) = book.value(
        f"[x.tolist() for x in w.curve.fit().at(__import__('numpy').array([{x}]))]"
    )
    assert told == pytest.approx([x, fit, 2 * error], rel=0.05)
    shape = finder.shape()
    finder.root.get_by_label("log scale").check()
    finder.await_other_shape(shape)
    finder.hover(finder.trend)
    expect(rows).to_have_text(re.compile(r"^trend\S+ ± \S+$"))
    page.mouse.move(0, y)
    expect(finder.tip).to_be_hidden()
    book.value("w.run('second') or w.wait() and None")
    finder.hover(finder.former)
    expect(rows.filter(has_text=re.compile("^(run|second)"))).to_have_count(2)


def test_a_linear_sweep_is_picked_on_a_linear_axis(
    page: Page, notebook: Callable[..., Notebook]
) -> None:
    linear = QUICK.replace(")\nw", ", step_mode='linear', stop_div=False)\nw")
    book = notebook(SETUP, linear)
    book.execute(0)
    book.execute(1)
    finder = Finder(page)
    finder.await_display()
    book.value("w.run() or w.wait() and None")
    expect(finder.button).to_have_text("Run again")
    finder.show_all()
    plot = finder.plot()
    x = plot["x"] + 0.25 * plot["width"]
    page.mouse.click(x, plot["y"] + 0.5 * plot["height"])
    book.await_value("w.value", lambda value: value == pytest.approx(2.5, rel=0.02))
    expect(finder.card).to_contain_text("2.5")
    handle = finder.handle.bounding_box()
    assert handle is not None
    assert handle["x"] + handle["width"] / 2 == pytest.approx(x, abs=1)


def _in_the_way(page: Page) -> list[Any]:
    """Return the serious accessibility problems that axe finds in the widget."""
    violations = Axe().run(page, context=".lrwidget").response["violations"]
    return [
        (violation["id"], [node["html"] for node in violation["nodes"]])
        for violation in violations
        if violation["impact"] in _SERIOUS
    ]


@pytest.mark.parametrize("kind", [Lab, DarkLab])
def test_nothing_stands_in_the_way_of_anybody(
    kind: type[Lab], serve: Callable[[type[Lab]], Lab], page: Page
) -> None:
    failing = "w.run('fails', training_step=lambda model, batch: 1 / 0)"
    with closing(serve(kind).open(page, [SETUP, QUICK, failing])) as book:
        finder = _finished(page, book)
        assert _in_the_way(page) == []
        finder.button.click()
        finder.await_status("Running")
        assert _in_the_way(page) == []
        finder.await_answer()
        book.value("w.wait() and None")
        finder.root.get_by_role("button", name="Change...").click()
        finder.check.click()
        finder.await_status("Checked: ")
        assert _in_the_way(page) == []
        book.execute(2)
        finder.await_status("Failed")
        finder.root.get_by_text("Traceback", exact=True).click()
        assert _in_the_way(page) == []


def test_the_card_at_the_handle_stays_in_the_chart_and_off_the_handle(
    page: Page, notebook: Callable[..., Notebook]
) -> None:
    book = notebook(SETUP, QUICK)
    finder = _finished(page, book)
    for width in (1400, 480):
        page.set_viewport_size({"width": width, "height": 1000})
        finder.chart.scroll_into_view_if_needed()  # bqplot lays out what is in view
        for rate in (1e-7, 9e-4, 1.1e-3, 5e-3, 10.0):
            book.value(f"setattr(w, 'value', {rate})")
            finder.await_at(finder.handle, rate)
            expect(finder.card).to_contain_text(re.compile("than suggested"))
            card, chart = finder.card.bounding_box(), finder.chart.bounding_box()
            assert card is not None
            assert chart is not None
            assert chart["x"] <= card["x"]
            assert card["x"] + card["width"] <= chart["x"] + chart["width"]
            dot = finder.handle.bounding_box()
            assert dot is not None
            beside = card["x"] > dot["x"] or card["x"] + card["width"] < dot["x"]
            assert beside or card["y"] + card["height"] < dot["y"]


def test_every_control_has_its_turn_by_tab(
    page: Page, notebook: Callable[..., Notebook]
) -> None:
    book = notebook(SETUP, QUICK)
    finder = _finished(page, book)
    expect(finder.slider).to_have_attribute("aria-valuetext", "auto")
    check = finder.check.inner_text()
    # By a key, since a browser draws no focus ring after a press of the mouse.
    finder.root.get_by_role("button", name="More").press("Enter")
    expect(finder.root.get_by_label("include explosion")).to_be_visible()
    # In a narrow display the check is in the second line, below the other actions.
    for width, actions in (1400, (check, "Run again")), (480, ("Run again", check)):
        page.set_viewport_size({"width": width, "height": 1000})
        finder.root.get_by_role("button", name="Apply").focus()
        named = [finder.focused()]
        whole, before, _ = finder.ring()
        while "Change..." not in named:
            assert whole, f"{named[-1]} has no whole focus ring"
            page.keyboard.press("Tab")
            named.append(finder.focused())
            assert len(named) < 40
            whole, top, bottom = finder.ring()
            assert bottom > before, f"{named[-1]} is above {named[-2]}"
            before = top
        assert named == [
            *("Apply to AdamW", "Copy", *actions, "Learning rate"),
            *("A tenth of a decade lower", "A tenth of a decade higher"),
            *("Choose the suggested rate", "Rule"),
            *("Smoothing", "Smoothing, value", "log scale", "More", "Save"),
            *("include explosion", "fastai's mean", "hide first", "hide last"),
            *("Learning rate", "Lowest shown rate", "Highest shown rate"),
            *("Show all", "Run this range again", "Table of the points", "Change..."),
        ]


def test_copy_apply_and_save(page: Page, notebook: Callable[..., Notebook]) -> None:
    book = notebook(SETUP, QUICK)
    finder = _finished(page, book)
    finder.field.fill("0.014")
    finder.field.press("Enter")
    book.await_value("w.value", lambda value: value == 0.014)

    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    finder.root.get_by_role("button", name="Copy").click()
    page.keyboard.press("Enter")
    expect(finder.root.get_by_text("Copied lr=1.4e-2")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "lr=1.4e-2"

    finder.root.get_by_role("button", name="Apply").click()
    expect(finder.root.get_by_text("Applied: AdamW now has lr=1.4e-2.")).to_be_visible()
    assert book.value("optimizer.param_groups[0]['lr']") == 0.014

    files = {}
    for kind in ("JSON", "CSV", "PNG", "SVG"):
        with page.expect_download() as download:
            finder.root.get_by_role("button", name="Save").click()
            finder.root.get_by_role("menuitem", name=kind).click()
        assert download.value.suggested_filename == f"learning-rates.{kind.lower()}"
        files[kind] = download.value.path()
    lrs, losses = book.value("[w.curve.lrs.tolist(), w.curve.losses.tolist()]")
    curve = LRCurve.from_dict(json.loads(files["JSON"].read_text()))
    assert [curve.lrs.tolist(), curve.losses.tolist()] == [lrs, losses]
    rows = csv.DictReader(files["CSV"].read_text().splitlines())
    assert [float(row["loss"]) for row in rows] == losses
    assert files["PNG"].read_bytes().startswith(b"\x89PNG")
    assert files["SVG"].read_text().startswith("<svg")


def test_a_busy_kernel_is_told(
    page: Page, lab: Lab, notebook: Callable[..., Notebook]
) -> None:
    book = notebook(SETUP, QUICK, _BUSY.format("heard"))
    finder = _finished(page, book)
    book.start(2)
    expect(book.prompt(2)).to_have_text("[*]:")
    finder.await_at(finder.handle, 1e-3)  # the rate that the cell has set
    finder.click(0.05)
    notice = finder.root.get_by_text("The kernel is busy with another cell")
    expect(notice).to_be_visible()
    (lab.folder / "heard").touch()
    book.await_cell(2)
    expect(notice).to_be_hidden()
    book.await_value("w.value", lambda value: value == pytest.approx(0.05, rel=0.05))


def test_a_double_click_is_one_press(
    page: Page, notebook: Callable[..., Notebook]
) -> None:
    book = notebook(SETUP, LONG)
    book.execute(0)
    book.execute(1)
    finder = Finder(page)
    finder.await_display()
    finder.button.dblclick()
    finder.await_points(3)
    expect(finder.button).to_have_text("Stop")
    finder.button.dblclick()
    finder.await_status("Stopped after")
    assert book.value("w.wait() and [*w.curves]") == ["run"]
    assert not book.value("w.running")


def test_the_table_opens_names_hides_and_removes_runs(
    page: Page, notebook: Callable[..., Notebook]
) -> None:
    name = "<img src=x onerror=alert(1)>"
    again = f"for label in ({name!r}, 'b', 'c'):\n    w.run(label)\n    w.wait()"
    book = notebook(SETUP, QUICK, again)
    finder = _finished(page, book)
    expect(finder.runs).to_be_hidden()
    book.execute(2)
    names = finder.runs.get_by_role("rowheader")
    expect(names).to_have_count(4)
    expect(finder.former).to_have_count(3)

    # The curve of a row under the mouse is a bolder line, in the page alone.
    bolder = finder.root.locator('path.line[style*="stroke-width: 3;"]')
    expect(bolder).to_have_count(3)  # the trend of the opened run, with its edges
    finder.runs.get_by_text("b", exact=True).hover()
    expect(bolder).to_have_count(4)
    finder.runs.get_by_text("point at a row").hover()
    expect(bolder).to_have_count(3)
    widths = "{x.stroke_width for x in w._display.chart.others.lines}"
    assert book.value(widths) == {1.5}

    finder.runs.get_by_role("button", name=f"Hide {name}").click()
    expect(finder.former).to_have_count(2)
    finder.runs.get_by_role("button", name=name, exact=True).focus()
    page.keyboard.press("Enter")
    finder.await_status(f"Shown: {name}. ")
    expect(finder.former).to_have_count(3)
    page.keyboard.press("F2")
    page.keyboard.type("b")
    page.keyboard.press("Enter")
    expect(finder.runs.get_by_text("Another run is named b.")).to_be_visible()
    page.keyboard.type("aseline")
    page.keyboard.press("Enter")
    renamed = finder.runs.get_by_role("button", name="baseline", exact=True)
    expect(renamed).to_be_focused()
    finder.runs.get_by_role("button", name="Actions for b", exact=True).focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(finder.runs.get_by_role("button", name="Remove")).to_be_hidden()
    page.keyboard.press("Enter")
    finder.runs.get_by_role("button", name="Remove").press("Enter")
    expect(names).to_have_count(3)
    expect(
        finder.runs.get_by_role("button", name="Actions for baseline")
    ).to_be_focused()
    assert book.value("[*w.curves]") == ["run", "baseline", "c"]


def test_settings_hold_for_the_next_runs(
    page: Page, notebook: Callable[..., Notebook]
) -> None:
    book = notebook(SETUP, QUICK)
    finder = _finished(page, book)
    finder.root.get_by_role("button", name="Change...").click()
    for name, text in (("From", "1e-5"), ("Steps", "40"), ("Seed", "3")):
        field = finder.root.get_by_label(name, exact=True)
        field.fill(text)
        field.press("Enter")
    for runs in (2, 3):
        finder.button.click()
        book.await_value("len(w.curves)", runs.__eq__)
        curve = book.value("[w.wait().lrs[0].item(), w.curve.num_it]")
        assert curve == [1e-5, 40]
    first, second = book.value("[c.losses.tolist() for c in w.curves.values()][1:]")
    assert first == second
    finder.root.get_by_label("To", exact=True).fill("1e-6")
    finder.root.get_by_label("To", exact=True).press("Enter")
    expect(finder.root.get_by_text("From = 1e-05 must be below")).to_be_visible()


def _moved(before: list[tuple[float, ...]], after: list[tuple[float, ...]]) -> float:
    """Return the largest change of a place or size, in pixels."""
    return float(np.abs(np.array(after) - before).max())


@pytest.mark.parametrize("width", [1400, 800, 480])
def test_nothing_jumps_when_a_run_starts_and_ends(
    page: Page, notebook: Callable[..., Notebook], width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 1000})
    book = notebook(SETUP, QUICK)
    book.execute(0)
    book.execute(1)
    finder = Finder(page)
    finder.await_display()
    finder.button.click()
    finder.await_answer()
    book.value("w.wait() and None")
    before = finder.places()
    finder.button.click()
    expect(finder.button).to_have_text("Stop")
    finder.await_points(2)
    assert _moved(before, finder.places()) < 1
    finder.await_answer()
    book.value("w.wait() and None")
    assert _moved(before, finder.places()) < 1


def test_a_cell_that_is_executed_again_leaves_nothing(
    page: Page, notebook: Callable[..., Notebook]
) -> None:
    endless = "w = LRWidget(model, optimizer, Paced(), nn.MSELoss(), num_it=10**6)"
    book = notebook(SETUP, f"{endless}\nw.run()\nw")
    opened = "len(__import__('ipywidgets').Widget.widgets)"
    book.execute(0)
    book.execute(1)
    Finder(page).await_display()
    widgets = book.value(opened)
    for _ in range(2):
        book.execute(1)
        Finder(page).await_display()
        assert book.value(opened) == widgets
        running = "[t.name for t in threading.enumerate()].count('lrwidget')"
        assert book.value(running) == 1
    expect(page.locator(".lrwidget")).to_have_count(1)
    book.value("w.close()")
