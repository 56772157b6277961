"""A real JupyterLab on loopback, and a notebook in it as a person uses it."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import nbformat
from jupyter_client.blocking.client import BlockingKernelClient
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from playwright.sync_api import Browser, Locator, Page, Playwright
    from typing_extensions import Self

SECONDS = 60
MILLISECONDS = 1000 * SECONDS
_CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
_CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str:
    """Return the path of the browser: CHROMIUM, or the system's."""
    named = os.environ.get("CHROMIUM")
    for name in (named,) if named else _CHROMIUM_NAMES:
        path = shutil.which(name)
        if path:
            return path
    msg = (
        f"no browser found as CHROMIUM={named!r} or {_CHROMIUM_NAMES}: install it by "
        "`apt-get install -y chromium`, or set CHROMIUM to the path of a Chromium"
    )
    raise RuntimeError(msg)


def launch(playwright: Playwright) -> Browser:
    """Start the browser without a window."""
    return playwright.chromium.launch(
        executable_path=chromium(), args=list(_CHROMIUM_FLAGS)
    )


class Lab:
    """
    A JupyterLab server with settings, notebooks and kernels of its own.

    Parameters
    ----------
    folder:
        An empty folder for all of that.
    theme:
        The name of a theme of JupyterLab.
    """

    def __init__(self, folder: Path, theme: str = "JupyterLab Light") -> None:
        self.folder = folder / "notebooks"
        self._runtime = folder / "runtime"
        settings = folder / "config" / "lab" / "user-settings" / "@jupyterlab"
        for extension, values in (
            ("apputils-extension/themes", {"theme": theme}),
            ("apputils-extension/notification", {"fetchNews": "false"}),
            ("notebook-extension/tracker", {"windowingMode": "none"}),
        ):
            file = settings / f"{extension}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values))
        self.folder.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._log = folder / "lab.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "jupyterlab", "--no-browser"),
                    *("--allow-root", f"--ServerApp.port={port}"),
                    *("--ServerApp.ip=127.0.0.1", "--IdentityProvider.token="),
                    f"--ServerApp.root_dir={self.folder}",
                ],
                env=os.environ | self._folders(folder),
                stdout=log,
                stderr=log,
            )
        self._await_start()

    def _folders(self, folder: Path) -> dict[str, str]:
        return {
            "IPYTHONDIR": str(folder / "ipython"),
            "JUPYTERLAB_SETTINGS_DIR": str(folder / "config/lab/user-settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(folder / "config/lab/workspaces"),
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_RUNTIME_DIR": str(self._runtime),
        }

    def _await_start(self) -> None:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            try:
                self.api("status")
            except OSError:
                pass
            else:
                return
            try:
                self._process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
            break
        msg = f"JupyterLab did not start:\n{self._log.read_text()}"
        raise RuntimeError(msg)

    def api(self, path: str) -> Any:
        """Return what the server's REST interface says."""
        url = f"{self.url}/api/{path}"
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:  # noqa: S310
            return json.load(answer)

    def open(self, page: Page, cells: list[str]) -> Notebook:
        """Write a notebook and open it in a page."""
        name = f"{uuid4().hex}.ipynb"
        book = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        nbformat.write(book, self.folder / name)
        return self.show(page, name)

    def show(self, page: Page, name: str) -> Notebook:
        """Open a notebook of the folder in a page."""
        page.goto(f"{self.url}/doc/tree/{name}")
        page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=MILLISECONDS)
        return Notebook(page, self._runtime / f"kernel-{self._kernel(name)}.json")

    def _kernel(self, name: str) -> str:
        """Return the kernel of a notebook, once it is idle and a page is connected."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            for session in self.api("sessions"):
                kernel = session["kernel"]
                ready = kernel["execution_state"] == "idle" and kernel["connections"]
                if session["path"] == name and ready:
                    return str(kernel["id"])
        msg = f"no kernel for {name}: {self.api('sessions')}\n{self._log.read_text()}"
        raise RuntimeError(msg)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise


class Notebook:
    """
    A notebook in a page, and a client of its kernel beside it.

    Parameters
    ----------
    page:
        The page that shows it.
    connection_file:
        Where to reach the kernel.
    """

    def __init__(self, page: Page, connection_file: Path) -> None:
        self.page = page
        self._client = BlockingKernelClient(connection_file=str(connection_file))
        self._client.load_connection_file()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=SECONDS)

    def close(self) -> None:
        """Leave the kernel."""
        self._client.stop_channels()

    def prompt(self, index: int) -> Locator:
        """Return the prompt of a code cell, such as ``[2]:`` or ``[*]:``."""
        cell = self.page.locator(".jp-Notebook .jp-CodeCell").nth(index)
        return cell.locator(".jp-InputArea-prompt")

    def start(self, index: int) -> None:
        """Execute a code cell, and return at once."""
        self.prompt(index).click()
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("Control+Enter")

    def execute(self, index: int) -> None:
        """Execute a code cell, and wait for its end."""
        self.start(index)
        self.await_cell(index)

    def await_cell(self, index: int) -> None:
        """Wait for the end of a code cell that was started."""
        done = re.compile(r"\[\d+\]:")
        expect(self.prompt(index)).to_have_text(done, timeout=MILLISECONDS)

    def value(self, expression: str) -> Any:
        """Return the value of an expression in the kernel, which must be a literal."""
        reply = self._client.execute(
            "",
            silent=True,
            store_history=False,
            user_expressions={"value": f"repr({expression})"},
            reply=True,
            timeout=SECONDS,
        )
        answer = reply["content"]["user_expressions"]["value"]
        if answer["status"] != "ok":
            raise RuntimeError("\n".join(answer["traceback"]))
        return ast.literal_eval(ast.literal_eval(answer["data"]["text/plain"]))

    def await_value(self, expression: str, wanted: Callable[[Any], bool]) -> Any:
        """Ask for a value until it is as wanted, and return it."""
        deadline = time.monotonic() + SECONDS
        while not wanted(value := self.value(expression)):
            if time.monotonic() > deadline:
                msg = f"{expression} is still {value!r}"
                raise AssertionError(msg)
        return value
