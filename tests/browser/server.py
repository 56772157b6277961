"""A server of a front end, with its own files and kernels."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, TypeVar
from uuid import uuid4

import nbformat

from tests.browser.document import Document
from tests.browser.waiting import SECONDS

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from playwright.sync_api import Page
    from typing_extensions import Self

D_co = TypeVar("D_co", bound=Document, covariant=True)


class Server(ABC, Generic[D_co]):
    """
    A process that serves notebooks on loopback, and starts their kernels.

    Parameters
    ----------
    folder:
        Empty folder for the notebooks, the settings and all other files of the server.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "notebooks"
        self.folder.mkdir()
        self._runtime = folder / "runtime"
        self._runtime.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._log = folder / "server.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self._command(port), "--no-browser"],
                env=os.environ
                | {
                    "IPYTHONDIR": str(folder / "ipython"),
                    "JUPYTER_CONFIG_DIR": str(folder / "config"),
                    "JUPYTER_DATA_DIR": str(folder / "data"),
                    "JUPYTER_RUNTIME_DIR": str(self._runtime),
                    "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
                    "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
                },
                stdout=log,
                stderr=log,
            )
        self._await_start()

    @abstractmethod
    def _command(self, port: int) -> list[str]:
        """Return the name of the module to run, and its arguments."""

    @abstractmethod
    def show(self, page: Page, name: str) -> D_co:
        """Open a notebook of the folder in a page."""

    def open(self, page: Page, cells: list[str]) -> D_co:
        """Write a notebook and open it in a page."""
        return self.show(page, self.write(cells))

    def write(self, cells: list[str]) -> str:
        """Write a notebook, and return its name."""
        name = f"{uuid4().hex}.ipynb"
        book = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        nbformat.write(book, self.folder / name)
        return name

    def get(self, path: str) -> bytes:
        """Return the server's answer to a request for a path."""
        with urllib.request.urlopen(  # noqa: S310 (it is on loopback)
            f"{self.url}/{path}", timeout=SECONDS
        ) as answer:
            content: bytes = answer.read()
        return content

    def post(self, path: str, content: object) -> None:
        """Send a request with JSON to a path of the server."""
        request = urllib.request.Request(  # noqa: S310 (it is on loopback)
            f"{self.url}/{path}", data=json.dumps(content).encode(), method="POST"
        )
        urllib.request.urlopen(request, timeout=SECONDS).close()  # noqa: S310 (as above)

    def log(self) -> str:
        """Return the log of the server."""
        return self._log.read_text()

    def _connection_file(self, kernel: str) -> Path:
        """Return the path of a kernel's connection file."""
        return next(self._runtime.rglob(f"kernel-{kernel}.json"))

    def _await_start(self) -> None:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            try:
                self.get("")
            except OSError:
                pass
            else:
                return
            try:
                self._process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
            break
        self._process.kill()
        msg = f"{type(self).__name__} did not start:\n{self.log()}"
        raise RuntimeError(msg)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.terminate()
        self.wait()

    def terminate(self) -> None:
        """Ask the process and its kernels to end, and return at once."""
        self._process.terminate()

    def wait(self) -> None:
        """Wait until the process has ended."""
        try:
            self._process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
