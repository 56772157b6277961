"""A range test that runs in a notebook while its page or its kernel fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.cells import SETUP
from tests.browser.finder import Finder
from tests.browser.waiting import await_result

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.lab import Lab, Notebook

STEPS = 450  # few enough that the chart draws all points
SOME_STEPS = 20

_PARTS = """
import copy
import multiprocessing
from torch.utils.data import DataLoader, IterableDataset

quick = multiprocessing.Event()

class Slow(IterableDataset):
    '''Batches that take some time to load, until they are to be quick.'''

    def __iter__(self):
        for _ in range(50):
            for batch in zip(inputs.split(32), targets.split(32)):
                quick.wait(0.05)
                yield batch

loader = DataLoader(Slow(), batch_size=None, num_workers={workers})
nn.functional.mse_loss(model(inputs), targets).backward()
optimizer.step()

def state():
    gradients = [parameter.grad for parameter in model.parameters()]
    modes = [module.training for module in model.modules()]
    parts = [model.state_dict(), optimizer.state_dict(), gradients, modes]
    return copy.deepcopy([*parts, torch.get_rng_state()])

def same(one, other):
    if torch.is_tensor(one):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return [*one] == [*other] and same([*one.values()], [*other.values()])
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other

before = state()
"""
# The test trains the original model: only the original could stay half trained.
_SHOWN = f"""
w = LRWidget(
    *(model, optimizer, loader, nn.MSELoss()),
    start_lr=1e-6, end_lr=1, num_it={STEPS}, stop_div=False, isolation="restore",
)
w
"""
_WAITS = "w.running or w.run()\nPath('waits').touch()\nw.wait()"
_WAITING = 2
_RATE = 2e-3


class RunningTest:
    """
    A slow range test, the page that shows its widget, and the kernel where it runs.

    Parameters
    ----------
    lab:
        Server of the notebook.
    page:
        Page that shows the notebook.
    workers:
        Number of processes that load the batches.

    Attributes
    ----------
    book:
        Notebook in the page.
    finder:
        Widget in the page.
    """

    def __init__(self, lab: Lab, page: Page, workers: int) -> None:
        self.lab = lab
        self.page = page
        setup = SETUP + _PARTS.format(workers=workers)
        self.name = lab.write([setup, _SHOWN, _WAITS])
        self.book: Notebook = lab.show(page, self.name)
        self.finder = self._displayed()
        # A notebook that is opened again shows the saved outputs of its cells.
        self.book.execute(0)
        self.book.execute(1)
        self.finder.await_display()
        self.book.save()

    def _displayed(self) -> Finder:
        return Finder(self.page)

    def look_again(self, page: Page | None = None) -> None:
        """Reload the page, or open the notebook in another page."""
        self.book.close()
        if page is None:
            self.page.reload()
            self.book = self.lab.shown(self.page, self.name)
        else:
            self.page = page
            self.book = self.lab.show(page, self.name)
        self.finder = self._displayed()
        self.finder.await_display()

    def run(self) -> list[float]:
        """Press Run, wait for some points, and return the losses."""
        self.finder.button.click()
        self.finder.await_points(SOME_STEPS)
        expect(self.finder.hint).to_be_visible()
        return self.losses()

    def losses(self) -> list[float]:
        losses: list[float] = self.book.value("w.curve.losses.tolist()")
        return losses

    def await_steps(self) -> None:
        """Wait until the test has made some more optimizer steps."""
        steps = self.book.value("len(w.curve)")
        self.book.await_value("len(w.curve)", lambda now: now > steps + SOME_STEPS)

    def await_drawing(self) -> None:
        """Wait until the page draws some more points."""
        self.finder.await_points(self.finder.points() + SOME_STEPS)

    def run_in_a_cell(self) -> list[float]:
        """Run the test in a waiting cell; return [], since the kernel is busy."""
        self.wait_in_a_cell()
        self.finder.await_points(SOME_STEPS)
        return []

    def wait_in_a_cell(self) -> None:
        """Execute a cell that waits for the test."""
        waits = self.lab.folder / "waits"
        waits.unlink(missing_ok=True)
        self.book.start(_WAITING)
        await_result(waits.exists, bool, lambda _: "the cell has not begun")

    def await_cell_interrupted(self) -> None:
        """Wait until the cell that waits for the test ends with KeyboardInterrupt."""
        self.book.await_cell(_WAITING)
        cell = self.page.locator(".jp-Notebook .jp-CodeCell").nth(_WAITING)
        expect(cell.locator(".jp-OutputArea")).to_contain_text("KeyboardInterrupt")

    def processes(self) -> list[int]:
        """Return the process ids of the kernel and of the loader's workers."""
        workers = "[x.pid for x in multiprocessing.active_children()]"
        pids: list[int] = self.book.value(f"[__import__('os').getpid(), *{workers}]")
        return pids

    def execute_again(self) -> None:
        """Execute the cells in a new kernel."""
        self.book.close()
        self.book = self.lab.shown(self.page, self.name)
        self.book.execute(0)
        self.book.execute(1)
        self.finder = self._displayed()
        self.finder.await_display()

    def check_end(self, reason: str, before: list[float]) -> None:
        """Check why the test ends, its losses, and that the page draws all of them."""
        self.book.value("quick.set()")
        assert self.book.value("w.wait().stop_reason") == reason
        losses = self.losses()
        assert len(losses) > SOME_STEPS
        assert losses[: len(before)] == before
        assert (len(losses) == STEPS) == (reason == "completed")
        expect(self.finder.button).to_have_text("Run again")
        status = self.book.value("w.status")
        assert reason == "completed" or f"Stopped after {len(losses)} steps" in status
        await_result(
            lambda: self.finder.status.inner_text().strip(),
            lambda said: bool(said) and said in status,
            lambda said: f"the page says {said!r}, and the kernel {status!r}",
        )
        self.await_all_drawn(len(losses))

    def check_nothing_left(self) -> None:
        """Check that the original is as before, and that no thread of lrwidget runs."""
        assert self.book.value("same(state(), before)")
        names = "[thread.name for thread in threading.enumerate()]"
        left = [x for x in self.book.value(names) if x.startswith("lrwidget")]
        assert left == []

    def check_usable(self) -> None:
        """Run a test from beginning to end, and pick a rate."""
        runs = self.book.value("len(w.curves)")
        self.finder.button.click()
        self.book.await_value("len(w.curves)", (runs + 1).__eq__)
        self.book.value("quick.set()")
        assert self.book.value("w.wait().stop_reason") == "completed"
        expect(self.finder.former).to_have_count(runs)
        self.await_all_drawn(STEPS)
        self.finder.show_all()
        self.finder.click(_RATE)
        self.book.await_value("w.value", lambda rate: abs(rate / _RATE - 1) < 0.05)

    def await_all_drawn(self, steps: int) -> None:
        """Wait until the page draws exactly this number of points."""
        await_result(
            self.finder.points,
            steps.__eq__,
            lambda points: f"{points} of {steps} points are drawn",
        )

    def close(self) -> None:
        """Disconnect from the kernel, and close the page."""
        self.book.close()
        self.page.close()
