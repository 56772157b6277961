"""A kernel with a given version of ipykernel, and a cell that keeps it busy."""

from __future__ import annotations

import ast
import os
import queue
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from jupyter_client.manager import KernelManager

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    import zmq
    from jupyter_client.blocking.client import BlockingKernelClient
    from typing_extensions import Self

    Message = dict[str, Any]

SECONDS = 60
_PATIENCE = 5
_ROOT = Path(__file__).parents[2]


class Kernel:
    """
    A kernel that executes cells, and its connection.

    Parameters
    ----------
    version:
        Version of ipykernel; `make test-kernels` installs it.
    folder:
        Working directory of the kernel.

    Attributes
    ----------
    listeners:
        Functions that are called with each message that the kernel publishes.
    """

    def __init__(self, version: str, folder: Path) -> None:
        installed = _ROOT / "build" / "kernels" / version
        if not installed.is_dir():
            msg = f"ipykernel {version} is not in {installed}: run `make test-kernels`"
            raise RuntimeError(msg)
        self.folder = folder
        self.listeners: list[Callable[[Message], object]] = []
        self._published: defaultdict[str, set[str]] = defaultdict(set)
        self._nudging: list[zmq.Socket[bytes]] = []
        self._manager = KernelManager(kernel_name="python3")
        path = os.pathsep.join([str(installed), str(_ROOT)])
        self._manager.start_kernel(cwd=folder, env=os.environ | {"PYTHONPATH": path})
        self._client: BlockingKernelClient = self._manager.client()
        self._client.start_channels(stdin=False, hb=False)
        self._client.wait_for_ready(timeout=SECONDS)

    def features(self) -> list[str]:
        """Return the names of the features that the kernel supports."""
        reply = self._reply_to(self.send("kernel_info_request", {}))
        features: list[str] = reply.get("supported_features", [])
        return features

    def create_subshell(self) -> str:
        """Open a subshell, and return its id."""
        control = self._client.control_channel
        control.send(self._client.session.msg("create_subshell_request", {}))
        subshell: str = control.get_msg(timeout=SECONDS)["content"]["subshell_id"]
        return subshell

    def send(
        self,
        kind: str,
        content: dict[str, Any],
        *,
        subshell: str | None = None,
        buffers: list[Any] | None = None,
    ) -> str:
        """Send a request on the shell channel, and return its id."""
        message = self._client.session.msg(kind, content)
        message["header"]["subshell_id"] = subshell
        message["buffers"] = buffers or []
        self._client.shell_channel.send(message)
        request: str = message["header"]["msg_id"]
        return request

    def start(self, code: str) -> str:
        """Start a cell; return the id of its request once the kernel executes it."""
        cell = self.send("execute_request", {"code": code, "silent": False})
        self.await_true(lambda: "execute_input" in self._published[cell])
        return cell

    def finish(self, cell: str) -> None:
        """Wait for the end of a cell."""
        self.await_true(lambda: self.is_done(cell))
        reply = self._reply_to(cell)
        if reply["status"] != "ok":
            raise RuntimeError("\n".join(reply["traceback"]))

    def execute(self, code: str) -> None:
        """Execute a cell."""
        self.finish(self.start(code))

    def value(self, expression: str) -> Any:
        """Return the value, which must be a literal, of an expression in the kernel."""
        results: list[str] = []

        def listen(message: Message) -> None:
            if message["msg_type"] == "execute_result":
                results.append(message["content"]["data"]["text/plain"])

        self.listeners.append(listen)
        self.execute(expression)
        self.listeners.remove(listen)
        return ast.literal_eval(results[0])

    def is_done(self, request: str) -> bool:
        """Return whether the kernel has published that it is idle after a request."""
        return "idle" in self._published[request]

    def await_true(self, condition: Callable[[], object]) -> None:
        """Read the messages that the kernel publishes until a condition holds."""
        start = time.monotonic()
        nudged = False
        while not condition():
            waited = time.monotonic() - start
            if waited > SECONDS:
                msg = "the kernel has not published what the test waits for"
                raise AssertionError(msg)
            if waited > _PATIENCE and not nudged:
                self._nudge()
                nudged = True
            with suppress(queue.Empty):
                self._take(self._client.get_iopub_msg(timeout=_PATIENCE))

    def _take(self, message: Message) -> None:
        kind, parent = message["msg_type"], message["parent_header"].get("msg_id")
        said = message["content"]["execution_state"] if kind == "status" else kind
        self._published[parent].add(said)
        for listener in list(self.listeners):
            listener(message)

    def _nudge(self) -> None:
        """
        Open another connection to the kernel, so that it looks for requests.

        Before 7.4, ipykernel may leave a request unread that arrives while ipykernel
        sends a reply (ipython/ipykernel#1529).
        """
        self._nudging.append(self._manager.connect_shell())

    def _reply_to(self, request: str) -> dict[str, Any]:
        while True:
            reply = self._client.get_shell_msg(timeout=SECONDS)
            if reply["parent_header"]["msg_id"] == request:
                content: dict[str, Any] = reply["content"]
                return content

    def shut_down(self) -> None:
        """End the kernel."""
        for socket in self._nudging:
            socket.close()
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


class BusyCell:
    """
    A cell that runs until `end` is called.

    Parameters
    ----------
    kernel:
        Kernel that executes the cell.
    code:
        Code that the cell executes first.
    """

    def __init__(self, kernel: Kernel, code: str = "") -> None:
        self._kernel = kernel
        self._end = kernel.folder / uuid4().hex
        self._cell = kernel.start(
            "import pathlib, time\n"
            f"{code}\n"
            f"while not pathlib.Path({str(self._end)!r}).exists():\n"
            "    time.sleep(0.01)"
        )

    @property
    def running(self) -> bool:
        """Whether the kernel has not yet published the end of the cell."""
        return not self._kernel.is_done(self._cell)

    def end(self) -> None:
        """Tell the cell to end, and return at once."""
        self._end.touch()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()
        self._kernel.finish(self._cell)
