"""Fixtures for kernels of several versions, with and without a subshell."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.kernels.finder import Finder
from tests.kernels.front_end import FrontEnd
from tests.kernels.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Code that each kernel executes first.
_SETUP = """
import threading
import torch
from torch import nn
from lrwidget import LRWidget
from lrwidget.ui.view_options import session  # settings of the display

torch.set_num_threads(1)
torch.manual_seed(0)
inputs = torch.randn(256, 8)
targets = inputs @ torch.randn(8, 1)
pause, going = threading.Event(), threading.Event()
going.set()

class Paced:
    '''Batches that take some time to load, and wait while there is no going.'''

    def __iter__(self):
        for batch in zip(inputs.split(32), targets.split(32)):
            pause.wait(0.01)
            assert going.wait(60)
            yield batch

def shown(num_it=100_000, **settings):
    '''Display a widget on a new model, and return it.'''
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1))
    parts = model, torch.optim.AdamW(model.parameters()), Paced(), nn.MSELoss()
    w = LRWidget(*parts, num_it=num_it, **settings)
    display(w)
    return w

def threads():
    # pyzmq has one from the first large message on, such as a picture.
    every = [x for x in threading.enumerate() if "zmq" not in type(x).__module__]
    return sorted(thread.name for thread in every)
"""


class Way(NamedTuple):
    """
    A version of ipykernel, with or without a subshell.

    JupyterLab and Notebook 7 open a subshell where the kernel has them.
    """

    version: str
    subshell: bool

    def __str__(self) -> str:
        return f"{self.version}-{'subshell' if self.subshell else 'main'}"

    def is_live(self, written_by: str) -> bool:
        """
        Return whether a person's action takes effect while a cell is busy.

        Parameters
        ----------
        written_by:
            Origin of the last write to the control, or else of its creation: "cell",
            or "page" for an action of a person. The writes of a test have the origin
            of the action that started the test.
        """
        if self.version == "7.4.0":
            return self.subshell and written_by == "page"
        return self.subshell


@pytest.fixture(
    scope="session",
    params=[
        Way("6.31.0", subshell=False),
        Way("7.3.0", subshell=False),
        Way("7.3.0", subshell=True),
        Way("7.4.0", subshell=False),
        Way("7.4.0", subshell=True),
    ],
    ids=str,
)
def way(request: pytest.FixtureRequest) -> Way:
    chosen: Way = request.param
    return chosen


@pytest.fixture(scope="session")
def kernels() -> Iterator[dict[str, Kernel]]:
    """Yield the running kernels by their version, and shut them down at the end."""
    kernels: dict[str, Kernel] = {}
    yield kernels
    for kernel in kernels.values():
        kernel.shut_down()


@pytest.fixture(scope="session")
def kernel(
    way: Way, kernels: dict[str, Kernel], tmp_path_factory: pytest.TempPathFactory
) -> Kernel:
    if way.version not in kernels:
        kernels[way.version] = Kernel(way.version, tmp_path_factory.mktemp("kernel"))
        kernels[way.version].execute(_SETUP)
    return kernels[way.version]


@pytest.fixture(scope="session")
def subshell(way: Way, kernel: Kernel) -> str | None:
    return kernel.create_subshell() if way.subshell else None


@pytest.fixture
def page(kernel: Kernel, subshell: str | None) -> Iterator[FrontEnd]:
    """Yield a page; afterwards `w.close()` must leave no thread and no open model."""
    page = FrontEnd(kernel, subshell)
    threads = kernel.value("threads()")
    try:
        yield page
        kernel.execute("going.set()\nw.close()")
        assert kernel.value("threads()") == threads
        assert not page.models
    finally:
        page.leave()


@pytest.fixture
def show(page: FrontEnd) -> Callable[[str], Finder]:
    """Return a function that executes a cell with a widget, and finds its parts."""

    def show(code: str) -> Finder:
        page.kernel.execute(f"session.clear()\n{code}")
        return Finder(page)

    return show
