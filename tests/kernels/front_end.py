"""A scripted front end that exchanges comm messages as ipywidgets' JavaScript does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

# The functions that encode and decode the buffers have no public name.
from ipywidgets.widgets.widget import _put_buffers, _remove_buffers

if TYPE_CHECKING:
    from tests.kernels.kernel import Kernel, Message

    State = dict[str, Any]


class FrontEnd:
    """
    The page of a notebook, with the models of all widgets that are created later.

    Parameters
    ----------
    kernel:
        Kernel of the notebook.
    subshell:
        Id of the subshell that receives a person's actions; None for the main shell.

    Attributes
    ----------
    models:
        State of each open model, as a view shows it, by the id of the model.
    displayed:
        Id of the model whose view was displayed last.
    """

    def __init__(self, kernel: Kernel, subshell: str | None) -> None:
        self.kernel = kernel
        self.models: dict[str, State] = {}
        self.displayed = ""
        self._subshell = subshell
        self._sent: list[str] = []
        self._came: list[tuple[str, State]] = []
        self._in_flight: dict[str, str] = {}
        self._held_back: dict[str, State] = {}
        self._echoes: dict[tuple[str, str], str] = {}
        kernel.listeners.append(self._take)

    def leave(self) -> None:
        """Close the page; the kernel keeps running."""
        self.kernel.listeners.remove(self._take)

    def history(self, model: str, name: str) -> list[Any]:
        """Return all values that the kernel has sent of one part of a model's state."""
        return [
            state[name] for of, state in self._came if of == model and name in state
        ]

    def change(self, model: str, state: State) -> None:
        """
        Change a model, as its view does.

        While the kernel handles a change, later changes are held back and merged into
        one.
        """
        self.models[model].update(state)
        if model in self._in_flight:
            self._held_back.setdefault(model, {}).update(state)
        else:
            self._update(model, state)

    def send(self, model: str, content: dict[str, Any]) -> None:
        """Send a custom message to a model, before changes that are held back."""
        self._send(model, {"method": "custom", "content": content}, [])

    def await_done(self) -> None:
        """Wait until the kernel has handled all sent and held-back messages."""
        self.kernel.await_true(
            lambda: not self._held_back and all(map(self.kernel.is_done, self._sent))
        )

    def await_subshell(self) -> None:
        """Wait until the subshell, if there is one, has handled its requests."""
        if self._subshell is not None:
            last = self.kernel.send("kernel_info_request", {}, subshell=self._subshell)
            self.kernel.await_true(lambda: self.kernel.is_done(last))

    def _update(self, model: str, state: State) -> None:
        plain, paths, buffers = _remove_buffers(state)
        data = {"method": "update", "state": plain, "buffer_paths": paths}
        request = self._send(model, data, buffers)
        self._in_flight[model] = request
        self._echoes |= {(model, name): request for name in state}

    def _send(self, model: str, data: dict[str, Any], buffers: list[Any]) -> str:
        content = {"comm_id": model, "data": data}
        request = self.kernel.send(
            "comm_msg", content, subshell=self._subshell, buffers=buffers
        )
        self._sent.append(request)
        return request

    def _take(self, message: Message) -> None:
        kind, content = message["msg_type"], message["content"]
        known = content.get("comm_id") in self.models
        if kind == "status" and content["execution_state"] == "idle":
            self._take_done(message["parent_header"].get("msg_id"))
        elif kind == "comm_open":
            self.models[content["comm_id"]] = {}
            self._take_state(message)
        elif kind == "comm_msg" and known and content["data"]["method"] != "custom":
            self._take_state(message)
        elif kind == "comm_close" and known:
            del self.models[content["comm_id"]]
        elif kind == "display_data":
            view = content["data"]["application/vnd.jupyter.widget-view+json"]
            self.displayed = view["model_id"]

    def _take_state(self, message: Message) -> None:
        model, data = message["content"]["comm_id"], message["content"]["data"]
        state = data["state"]
        _put_buffers(state, data["buffer_paths"], message["buffers"])
        if data.get("method") == "echo_update":
            request = message["parent_header"]["msg_id"]
            state = {x: state[x] for x in state if self._is_news(model, x, request)}
        self.models[model].update(state)
        self._came.append((model, state))

    def _is_news(self, model: str, name: str, request: str) -> bool:
        """Return whether to show an echo: not if a newer change was sent or waits."""
        awaited = self._echoes.get((model, name), request)
        if awaited != request:
            return False
        self._echoes.pop((model, name), None)
        return name not in self._held_back.get(model, {})

    def _take_done(self, request: str | None) -> None:
        for model, latest in list(self._in_flight.items()):
            if latest == request:
                del self._in_flight[model]
                if model in self._held_back:
                    self._update(model, self._held_back.pop(model))
