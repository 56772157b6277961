"""A notebook that a front end shows, and a client of its kernel."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from jupyter_client.blocking.client import BlockingKernelClient

from tests.browser.waiting import SECONDS, await_result

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page


class Document(ABC):
    """
    A notebook in a page, with a client of its kernel.

    Parameters
    ----------
    page:
        Page that shows the notebook.
    connection_file:
        Connection file of the kernel.
    """

    def __init__(self, page: Page, connection_file: Path) -> None:
        self.page = page
        self._client = BlockingKernelClient(connection_file=str(connection_file))
        self._client.load_connection_file()
        # The client uses only the shell channel: `wait_for_ready` waits until no more
        # messages arrive on the iopub channel, and a widget that draws sends messages
        # all the time.
        self._client.start_channels(iopub=False, stdin=False, hb=False)

    def close(self) -> None:
        """Disconnect from the kernel."""
        self._client.stop_channels()

    @abstractmethod
    def execute_all(self) -> None:
        """Execute all code cells in the page, and wait for their end."""

    def value(self, expression: str) -> Any:
        """Return the value, which must be a literal, of an expression in the kernel."""
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

    def runs(self, code: str, seconds: float = SECONDS) -> bool:
        """Whether code runs in the kernel to its end within some seconds."""
        try:
            reply = self._client.execute(code, silent=True, reply=True, timeout=seconds)
        except TimeoutError:
            return False
        return bool(reply["content"]["status"] == "ok")

    def await_value(self, expression: str, wanted: Callable[[Any], bool]) -> Any:
        """Return the value of an expression in the kernel, once it is as wanted."""
        return await_result(
            lambda: self.value(expression),
            wanted,
            lambda value: f"{expression} is still {value!r}",
        )
