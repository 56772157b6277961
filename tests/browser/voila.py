"""A real Voila server, and a notebook that it shows as a dashboard."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.browser.document import Document
from tests.browser.server import Server

if TYPE_CHECKING:
    from playwright.sync_api import Page


class Dashboard(Document):
    """The page that Voila makes of a notebook: its outputs, with its own kernel."""

    def execute_all(self) -> None:
        """Do nothing: Voila has executed all cells when the page has loaded."""


class Voila(Server[Dashboard]):
    """A Voila server."""

    def _command(self, port: int) -> list[str]:
        return [
            *("voila", f"--Voila.port={port}", "--Voila.ip=127.0.0.1"),
            f"--Voila.root_dir={self.folder}",
            # Voila does not use Jupyter's folder of connection files.
            f"--Voila.connection_dir_root={self._runtime}",
            # Voila loads all extensions of JupyterLab, but this one needs Notebook 7.
            "--VoilaConfiguration.extension_denylist=@jupyter-notebook/lab-extension",
        ]

    def show(self, page: Page, name: str) -> Dashboard:
        """Open a notebook of the folder in a page."""
        page.goto(f"{self.url}/voila/render/{name}")
        config = page.locator("#jupyter-config-data").text_content()
        assert config is not None, self.log()
        return Dashboard(page, self._connection_file(json.loads(config)["kernelId"]))
