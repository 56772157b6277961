"""The page shows a user's text as text, even if it looks like HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.cells import SETUP
from tests.browser.finder import Finder

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.browser.lab import Notebook

_SAID = "<img src=x onerror=window.hacked=1>"
_HACKED = "() => window.hacked !== undefined || document.querySelector('img[src=x]')"
_FAILING = f"""
said = {_SAID!r}
Said = type(said, (ValueError,), {{}})
Named = type(said, (torch.optim.AdamW,), {{}})
named = Named(model.parameters())

def fails(*_):
    raise Said(said)
"""
# The rates end before the loss rises, so that the chart shows the whole curves.
_LABELLED = """
w = LRWidget(model, named, Paced(), nn.MSELoss(), num_it=20, end_lr=0.1)
display(w)
w.run(said)
w.wait()
w.run(optimizer=Named(model.parameters()))
w.wait()
w.run(start_lr=1e-3)
w.wait()
"""


def test_what_others_say_is_text(page: Page, notebook: Callable[..., Notebook]) -> None:
    fails = "w.run(loss_fn=fails)\ntry: w.wait()\nexcept Said: print(repr(w))"
    book = notebook(SETUP + _FAILING, _LABELLED, fails)
    book.execute(0)
    book.execute(1)
    finder = Finder(page)
    finder.await_display()
    for name in (_SAID, f"optimizer={_SAID}"):
        opens = finder.runs.get_by_role("button", name=name, exact=True)
        expect(opens).to_be_visible()
    finder.show_all()
    finder.hover(finder.former.first)
    expect(finder.tip).to_contain_text(_SAID)

    finder.root.get_by_role("button", name="Apply").click()
    expect(finder.root.get_by_text(f"Applied: {_SAID} now has")).to_be_visible()
    book.value("setattr(w, '_write_rate', fails)")
    finder.root.get_by_role("button", name="Apply").click()
    expect(finder.root.get_by_text(_SAID, exact=True).last).to_be_visible()
    book.value("setattr(w._display.save, '_on_export', fails)")
    finder.root.get_by_role("button", name="Save").click()
    finder.root.get_by_role("menuitem", name="CSV").click()
    notice = finder.root.locator(".lrwidget-told")
    expect(notice.filter(has_text=_SAID)).to_be_visible()

    finder.root.get_by_role("button", name="Change...").click()
    seed = finder.root.get_by_label("Seed", exact=True)
    seed.fill(_SAID)
    seed.press("Enter")
    problem = finder.root.locator(".lrwidget-settings .lrwidget-failed")
    expect(problem).to_contain_text(f"Seed = '{_SAID}'")
    finder.button.click()
    finder.await_status(f"Seed = '{_SAID}'")
    seed.fill("")
    seed.press("Enter")
    expect(problem).to_be_empty()

    book.execute(2)
    finder.await_status(f"Failed before the first step. {_SAID}: {_SAID}")
    finder.root.get_by_text("Traceback", exact=True).click()
    expect(finder.status.locator("pre")).to_contain_text(f"{_SAID}: {_SAID}")
    printed = page.locator(".jp-Notebook .jp-CodeCell").nth(2).locator(".jp-OutputArea")
    expect(printed).to_contain_text(_SAID)
    assert not page.evaluate(_HACKED)
