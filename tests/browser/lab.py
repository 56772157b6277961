"""Real servers of JupyterLab and Notebook 7, and notebooks in their pages."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect

from tests.browser.document import Document
from tests.browser.server import Server
from tests.browser.waiting import MILLISECONDS, await_result

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Locator, Page


# An error in it, or a cell that still runs, shows that the kernel cannot be used again.
# A new notebook finds no settings of the display that another one has left.
_RESET = """
from ipywidgets import Widget
from lrwidget.ui.view_options import session
Widget.close_all()
session.clear()
get_ipython().run_line_magic("reset", "-f")
"""


class Notebook(Document):
    """
    A notebook in a page that can edit and execute it.

    Parameters
    ----------
    page, connection_file:
        As those of `Document`.
    kernel:
        Id of the kernel.
    """

    def __init__(self, page: Page, connection_file: Path, kernel: str) -> None:
        super().__init__(page, connection_file)
        self.kernel = kernel

    def reset(self) -> bool:
        """Close all widgets and forget all variables; False if the kernel cannot."""
        return self.runs(_RESET, seconds=5)

    def prompt(self, index: int) -> Locator:
        """Return the prompt of a code cell, such as ``[2]:`` or ``[*]:``."""
        return self._cells().nth(index).locator(".jp-InputArea-prompt")

    def start(self, index: int) -> None:
        """Execute a code cell, and return at once."""
        self.prompt(index).click()
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("Control+Enter")

    def execute(self, index: int) -> None:
        """Execute a code cell, and wait for its end."""
        self.start(index)
        self.await_cell(index)

    def execute_all(self) -> None:
        """Execute all code cells, one by one."""
        for index in range(self._cells().count()):
            self.execute(index)

    def await_cell(self, index: int) -> None:
        """Wait for the end of a code cell that was started."""
        done = re.compile(r"\[\d+\]:")
        expect(self.prompt(index)).to_have_text(done, timeout=MILLISECONDS)

    def interrupt(self) -> None:
        """Interrupt the kernel by the keyboard shortcut."""
        self._press_twice("i")

    def restart(self) -> None:
        """Restart the kernel by the keyboard shortcut, and return at once."""
        self._press_twice("0")
        self.page.locator(".jp-Dialog .jp-mod-accept").click()

    def save(self) -> None:
        """Save the notebook with its outputs, and wait until the file is written."""
        with self.page.expect_response(
            lambda response: (
                response.request.method == "PUT"
                and "/api/contents/" in response.url
                and response.ok
            )
        ):
            self.page.keyboard.press("Control+s")

    def _press_twice(self, key: str) -> None:
        self.prompt(0).click()
        for pressed in ("Escape", key, key):
            self.page.keyboard.press(pressed)

    def _cells(self) -> Locator:
        return self.page.locator(".jp-Notebook .jp-CodeCell")


class Lab(Server[Notebook]):
    """
    A JupyterLab server.

    Parameters
    ----------
    folder:
        Empty folder for all files of the server.
    """

    _theme = "JupyterLab Light"
    _program = "jupyterlab"
    _address = "doc/tree"

    def __init__(self, folder: Path) -> None:
        for extension, values in (
            ("apputils-extension/themes", {"theme": self._theme}),
            ("apputils-extension/notification", {"fetchNews": "false"}),
            ("notebook-extension/tracker", {"windowingMode": "none"}),
        ):
            settings = folder / f"settings/@jupyterlab/{extension}.jupyterlab-settings"
            settings.parent.mkdir(parents=True, exist_ok=True)
            settings.write_text(json.dumps(values))
        self._free: list[str] = []  # the ids of kernels without a notebook
        super().__init__(folder)

    def _command(self, port: int) -> list[str]:
        return [
            *(self._program, "--allow-root", "--IdentityProvider.token="),
            *(f"--ServerApp.port={port}", "--ServerApp.ip=127.0.0.1"),
            "--ServerApp.disable_check_xsrf=True",
            f"--ServerApp.root_dir={self.folder}",
        ]

    def open(self, page: Page, cells: list[str]) -> Notebook:
        """Write a notebook and open it in a page, with a free kernel if any."""
        name = self.write(cells)
        if self._free:
            kernel = {"id": self._free.pop()}
            session = {"path": name, "name": name, "type": "notebook", "kernel": kernel}
            self.post("api/sessions", session)
        return self.show(page, name)

    def take_back(self, *notebooks: Notebook) -> None:
        """
        Close notebooks, whose kernels other notebooks may then use.

        The start of a kernel and its imports would take most of the time of a test.
        """
        for kernel in {book.kernel for book in notebooks if book.reset()}:
            self._free.append(kernel)
        for book in notebooks:
            book.close()

    def show(self, page: Page, name: str) -> Notebook:
        """Open a notebook of the folder in a page."""
        page.goto(f"{self.url}/{self._address}/{name}")
        return self.shown(page, name)

    def shown(self, page: Page, name: str) -> Notebook:
        """Return the notebook that a page is opening, once the page shows it."""
        page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=MILLISECONDS)
        kernel = self._kernel(name)
        return Notebook(page, self._connection_file(kernel), kernel)

    def _kernel(self, name: str) -> str:
        """Return the id of a notebook's kernel, once it is idle and connected."""

        def ready(sessions: list[Any]) -> list[str]:
            return [
                session["kernel"]["id"]
                for session in sessions
                if session["path"] == name
                and session["kernel"]["execution_state"] == "idle"
                and session["kernel"]["connections"]
            ]

        sessions = await_result(
            self._sessions,
            lambda sessions: bool(ready(sessions)),
            lambda sessions: f"no kernel for {name}: {sessions}\n{self.log()}",
        )
        return ready(sessions)[0]

    def _sessions(self) -> list[Any]:
        sessions: list[Any] = json.loads(self.get("api/sessions"))
        return sessions


class DarkLab(Lab):
    """A JupyterLab server with the dark theme."""

    _theme = "JupyterLab Dark"


class Notebook7(Lab):
    """A Notebook 7 server; its pages consist of JupyterLab's parts."""

    _program = "notebook"
    _address = "notebooks"
