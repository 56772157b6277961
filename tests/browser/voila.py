"""A real Voila on loopback, and a notebook that it shows as a dashboard."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.browser.document import Document
from tests.browser.server import Server

if TYPE_CHECKING:
    from playwright.sync_api import Page


class Dashboard(Document):
    """What Voila makes of a notebook: its outputs, and a kernel of its own."""

    def execute_all(self) -> None:
        """Do nothing: Voila has executed all cells when the page has loaded."""


class Voila(Server[Dashboard]):
    """A Voila server."""

    def _command(self, port: int) -> list[str]:
        return [
            *("voila", f"--Voila.port={port}", "--Voila.ip=127.0.0.1"),
            f"--Voila.root_dir={self.folder}",
            # It does not look at Jupyter's folder of these.
            f"--Voila.connection_dir_root={self._runtime}",
            # It loads whatever extends JupyterLab, also what Notebook 7 alone can load.
            "--VoilaConfiguration.extension_denylist=@jupyter-notebook/lab-extension",
        ]

    def show(self, page: Page, name: str) -> Dashboard:
        """Open a notebook of the folder in a page."""
        page.goto(f"{self.url}/voila/render/{name}")
        config = page.locator("#jupyter-config-data").text_content()
        assert config is not None, self.log()
        return Dashboard(page, self._connection_file(json.loads(config)["kernelId"]))
