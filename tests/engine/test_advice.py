"""The training steps of error messages, pasted as a user does."""

from __future__ import annotations

import ast
from collections import OrderedDict
from dataclasses import dataclass
from textwrap import dedent
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from lrwidget.engine.batches import structure
from lrwidget.engine.range_test import range_test

_X = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
_Z = torch.randn(8, 4, generator=torch.Generator().manual_seed(1))
_IDS = torch.arange(8) % 3
_REAL = torch.linspace(0, 1, 8)
_TOKENS = torch.arange(24).reshape(8, 3) % 5
_CE, _MSE = nn.CrossEntropyLoss(), nn.MSELoss()


class _Net(nn.Module):
    """A linear layer with some outputs, to subclass with a `forward`."""

    def __init__(self, outputs: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, outputs)


class _Two(_Net):
    def forward(self, left: torch.Tensor, right: torch.Tensor) -> Any:
        return self.layer(left - 2 * right)


class _Any(_Net):
    def forward(self, *inputs: torch.Tensor) -> Any:
        left, right = inputs
        return self.layer(left - 2 * right)


class _Masked(_Net):
    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> Any:
        return self.layer(x if mask is None else x * mask)


class _KeywordOnly(_Net):
    def forward(self, *, x: torch.Tensor) -> Any:
        return self.layer(x)


class _Tuple(_Net):
    def forward(self, x: torch.Tensor) -> Any:
        return self.layer(x), x


class _Dict(_Net):
    def forward(self, x: torch.Tensor) -> Any:
        return {"features": x, "logits": self.layer(x)}


class _Output(OrderedDict[str, Any]):
    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class _Logits(_Net):
    def forward(self, x: torch.Tensor, labels: Any = None) -> Any:
        logits = self.layer(x)
        if labels is None:
            return _Output(logits=logits, hidden=x)
        return _Output(loss=_CE(logits, labels), logits=logits)


class _Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Embedding(5, 5)

    def forward(self, tokens: torch.Tensor) -> Any:
        return SimpleNamespace(logits=self.layer(tokens))


class _Whole(_Net):
    def forward(self, graph: Any) -> Any:
        return self.layer(graph.nodes)


class _Images(_Net):
    def forward(self, images: list[torch.Tensor]) -> Any:
        assert isinstance(images, list)
        rows: torch.Tensor = torch.stack([self.layer(image) for image in images])
        return rows


class _Variational(_Net):
    def forward(self, x: torch.Tensor) -> Any:
        hidden = self.layer(x)
        return hidden, hidden[:, :2], hidden[:, 2:]


def _evidence(
    output: torch.Tensor, x: torch.Tensor, mean: torch.Tensor, log_var: torch.Tensor
) -> torch.Tensor:
    assert x.shape == output.shape
    loss: torch.Tensor = _MSE(output, x) + mean.square().mean() + log_var.exp().mean()
    return loss


def _whole_evidence(outputs: Any, x: torch.Tensor) -> torch.Tensor:
    output, mean, log_var = outputs
    return _evidence(output, x, mean, log_var)


def _several_tasks(outputs: Any, targets: Any) -> torch.Tensor:
    of_kind = _CE(outputs["kind"], targets["kind"])
    loss: torch.Tensor = of_kind + _MSE(outputs["size"], targets["size"])
    return loss


class _Tasks(_Net):
    def forward(self, x: torch.Tensor) -> Any:
        return {"kind": self.layer(x), "size": self.layer(x)[:, 0]}


def _weighted(
    output: torch.Tensor, target: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    losses: torch.Tensor = nn.functional.cross_entropy(output, target, reduction="none")
    mean: torch.Tensor = (losses * weight).mean()
    return mean


class Swapped(NamedTuple):
    label: torch.Tensor
    image: torch.Tensor


@dataclass
class Sample:
    image: torch.Tensor
    meta: Any
    kind: torch.Tensor


class Store:
    """An object that leads back to the batch, as the stores of graphs do."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent


class Cyclic:
    def __init__(self) -> None:
        self.nodes, self.kind, self.store = _X, _IDS, Store(self)


@dataclass
class CyclicSample:
    nodes: torch.Tensor
    kind: torch.Tensor
    parent: Any = None

    def __post_init__(self) -> None:
        self.parent = [self]


class Keyed:
    """A batch with keys that is no mapping, as graphs are."""

    def __init__(self, **parts: Any) -> None:
        self._store = parts

    def keys(self) -> Any:
        return self._store.keys()

    def __getitem__(self, key: str) -> Any:
        return self._store[key]

    def __getattr__(self, key: str) -> Any:
        try:
            return self.__dict__["_store"][key]
        except KeyError:
            raise AttributeError(key) from None


_SHAPES: dict[str, tuple[Any, Any, Any, str, str]] = {
    # the model, the batch, the loss function, and the expected call and loss
    "a tensor": (nn.Linear(4, 4), _X, _MSE, "model(batch)", "outputs, batch"),
    "a list of one": (
        *(nn.Linear(4, 4), [_X], _MSE),
        *("model(batch[0])", "outputs, batch[0]"),
    ),
    "weights": (
        *(nn.Linear(4, 3), (_X, _IDS, torch.ones(8)), _CE),
        *("model(batch[0])", "outputs, batch[1]"),
    ),
    "real targets with weights": (
        *(nn.Linear(4, 1), (_X, _REAL, torch.ones(8, 2)), _MSE),
        *("model(batch[0])", "outputs.squeeze(-1), batch[1]"),
    ),
    "numbers first": (
        *(nn.Linear(4, 3), (torch.arange(8), _X, _IDS), _CE),
        *("model(batch[1])", "outputs, batch[2]"),
    ),
    "texts": (
        *(nn.Linear(4, 3), (["a"] * 8, _X, _IDS), _CE),
        *("model(batch[1])", "outputs, batch[2]"),
    ),
    "a nested tuple": (
        *(_Two(), ((_X, _Z), _IDS), _CE),
        *("model(batch[0][0], batch[0][1])", "outputs, batch[1]"),
    ),
    "any number of inputs": (
        *(_Any(), {"a": _X, "b": _Z, "label": _IDS}, _CE),
        *("model(batch['a'], batch['b'])", "outputs, batch['label']"),
    ),
    "any number of inputs in a tuple": (
        *(_Any(), {"in": (_X, _Z), "kind": _IDS}, _CE),
        *("model(batch['in'][0], batch['in'][1])", "outputs, batch['kind']"),
    ),
    "a mapping in a tuple": (
        *(_Two(), ({"right": _Z, "left": _X}, _IDS), _CE),
        *("model(batch[0]['left'], batch[0]['right'])", "outputs, batch[1]"),
    ),
    "a nested mapping": (
        nn.Linear(4, 3),
        *({"in": {"image": _X}, "out": {"label": _IDS}}, _CE),
        *("model(batch['in']['image'])", "outputs, batch['out']['label']"),
    ),
    "other names": (
        *(_Two(), {"a": _X, "b": _Z, "kind": _IDS}, _CE),
        *("model(batch['a'], batch['b'])", "outputs, batch['kind']"),
    ),
    "names in another order": (
        *(_Two(), {"kind": _IDS, "right": _Z, "left": _X}, _CE),
        *("model(batch['left'], batch['right'])", "outputs, batch['kind']"),
    ),
    "an optional input": (
        *(_Masked(), {"image": _X, "mask": _Z, "id": ["a"], "label": _IDS}, _CE),
        *("model(batch['image'], mask=batch['mask'])", "outputs, batch['label']"),
    ),
    "a keyword": (
        *(_KeywordOnly(), {"x": _X, "kind": _IDS}, _CE),
        *("model(x=batch['x'])", "outputs, batch['kind']"),
    ),
    "a named tuple": (
        *(nn.Linear(4, 3), Swapped(_IDS, _X), _CE),
        *("model(batch[1])", "outputs, batch[0]"),
    ),
    "a dataclass": (
        *(nn.Linear(4, 3), Sample(_X, {"name": "a"}, _IDS), _CE),
        *("model(batch.image)", "outputs, batch.kind"),
    ),
    "a dataclass in a mapping": (
        *(nn.Linear(4, 3), {"sample": Sample(_X, None, _IDS)}, _CE),
        *("model(batch['sample'].image)", "outputs, batch['sample'].kind"),
    ),
    "an object": (
        *(nn.Linear(4, 3), SimpleNamespace(image=_X, label=_IDS), _CE),
        *("model(batch.image)", "outputs, batch.label"),
    ),
    "an object that leads back to itself": (
        *(nn.Linear(4, 3), Cyclic(), _CE),
        *("model(batch.nodes)", "outputs, batch.kind"),
    ),
    "a dataclass that leads back to itself": (
        *(nn.Linear(4, 3), CyclicSample(_X, _IDS), _CE),
        *("model(batch.nodes)", "outputs, batch.kind"),
    ),
    "an object with keys": (
        *(_Two(), Keyed(left=_X, right=_Z, kind=_IDS), _CE),
        *("model(batch.left, batch.right)", "outputs, batch.kind"),
    ),
    "a graph": (
        *(_Two(), Keyed(left=_X, right=_Z, y=_IDS), _CE),
        *("model(batch.left, batch.right)", "outputs, batch.y"),
    ),
    "the whole object": (
        *(_Whole(), Cyclic(), _CE),
        *("model(batch)", "outputs, batch.kind"),
    ),
    "a list of images": (
        *(_Images(), {"images": list(_X), "ids": ["a"], "kind": _IDS}, _CE),
        *("model(batch['images'])", "outputs, batch['kind']"),
    ),
    "tuple outputs": (
        *(_Tuple(), (_X, _IDS), _CE),
        *("model(batch[0])", "outputs[0], batch[1]"),
    ),
    "tuple outputs and weights": (
        *(_Tuple(), (_X, _IDS, _REAL), _CE),
        *("model(batch[0])", "outputs[0], batch[1]"),
    ),
    "dict outputs": (
        *(_Dict(), {"x": _X, "labels": _IDS}, _CE),
        *("model(batch['x'])", "outputs['logits'], batch['labels']"),
    ),
    "outputs with logits": (
        *(_Logits(), {"x": _X, "labels": _IDS}, _CE),
        *("model(batch['x'])", "outputs.logits, batch['labels']"),
    ),
    "token logits": (
        *(_Tokens(), {"tokens": _TOKENS, "labels": _TOKENS}, _CE),
        "model(batch['tokens'])",
        "outputs.logits.flatten(0, -2), batch['labels'].flatten()",
    ),
    "binary targets": (
        nn.Linear(4, 1),
        *({"image": _X, "id": _Z, "label": _IDS % 2}, nn.BCEWithLogitsLoss()),
        *("model(batch['image'])", "outputs.squeeze(-1), batch['label'].float()"),
    ),
    "a loss of several outputs": (
        *(_Variational(4), [_X], _evidence),
        *("model(batch[0])", "outputs[0], batch[0], outputs[1], outputs[2]"),
    ),
    "a loss of the whole tuple": (
        *(_Variational(4), {"image": _X, "id": _IDS}, _whole_evidence),
        *("model(batch['image'])", "outputs, batch['image']"),
    ),
    "a loss of dicts": (
        *(_Tasks(), {"x": _X, "at": {"kind": _IDS, "size": _REAL}}, _several_tasks),
        *("model(batch['x'])", "outputs, batch['at']"),
    ),
    "a loss of a dict and the batch": (
        *(_Tasks(), {"x": _X, "kind": _IDS, "size": _REAL}, _several_tasks),
        *("model(batch['x'])", "outputs, batch"),
    ),
    "a loss with weights": (
        nn.Linear(4, 3),
        *({"x": _X, "id": ["a"], "weight": _REAL, "label": _IDS}, _weighted),
        *("model(batch['x'])", "outputs, batch['label'], batch['weight']"),
    ),
}


def _run(model: Any, batch: Any, **settings: Any) -> list[float]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    curve = range_test(model, optimizer, [batch], **settings, num_it=3)
    return [float(loss) for loss in curve.losses]


def _advice(model: Any, batch: Any, loss_fn: Any) -> str:
    with pytest.raises(TypeError) as caught:
        _run(model, batch, loss_fn=loss_fn)
    return str(caught.value)


def _pasted(advice: str, **names: Any) -> Any:
    exec(dedent(advice.partition("For example:")[2]), names)  # noqa: S102 (as a user does)
    return names["training_step"]


@pytest.mark.parametrize("shape", list(_SHAPES))
def test_the_advice_can_be_pasted(shape: str) -> None:
    model, batch, loss_fn, call, loss = _SHAPES[shape]
    before = {name: x.clone() for name, x in model.state_dict().items()}
    advice = _advice(model, batch, loss_fn)
    assert f"    outputs = {call}\n" in advice
    assert f"    return loss_fn({loss})  # your loss function\n" in advice
    step = _pasted(advice, loss_fn=loss_fn)
    first = _run(model, batch, training_step=step)[0]
    assert first == pytest.approx(step(model, batch).item(), rel=1e-6)
    assert all(torch.equal(model.state_dict()[name], before[name]) for name in before)


@pytest.mark.parametrize(
    ("model", "batch", "call", "loss"),
    [
        (
            *(_Logits(), ({"x": _X, "labels": _IDS}, "a", "b")),
            "model(batch[0]['x'], labels=batch[0]['labels'])",
            "outputs.loss",
        ),
        (nn.Linear(4, 3), (_X, _IDS), "model(batch[0])", "loss_fn(outputs, batch[1])"),
        (nn.Linear(4, 4), (_X, _Z), "model(batch[0])", "loss_fn(outputs, batch[1])"),
    ],
    ids=["of the model", "classes", "real"],
)
def test_without_a_loss_function(model: Any, batch: Any, call: str, loss: str) -> None:
    advice = _advice(model, batch, None)
    assert f"    outputs = {call}\n        return {loss}\n" in advice
    step = _pasted(advice, torch=torch)
    assert _run(model, batch, training_step=step)[0] > 0


@pytest.mark.parametrize(
    ("model", "batch", "shown"),
    [
        (nn.Linear(5, 3), {"a": _X, "b": _IDS}, r"dict\('a': Tensor\(8, 4\), 'b'"),
        (nn.Linear(4, 3), ["a", "b"], r"list\(str, str\)"),
        (nn.Linear(4, 3), None, "NoneType"),
        (
            nn.Linear(4, 3),
            [{"x": x, "kind": kind} for x, kind in zip(_X, _IDS, strict=True)],
            r"list\(list\(dict\('x'",
        ),
    ],
    ids=["sizes that do not fit", "texts", "nothing", "a list of samples"],
)
def test_where_nothing_runs_there_is_no_example(
    model: Any, batch: Any, shown: str
) -> None:
    advice = _advice(model, [batch], _CE)
    assert "For example" not in advice
    assert "there is no example, since every tried example failed" in advice
    with pytest.raises(TypeError, match=shown):
        _run(model, [batch], loss_fn=_CE)


def test_the_search_ends() -> None:
    calls = []

    class Counting(_Net):
        def forward(self, a: Any, b: Any, c: Any) -> Any:
            calls.append((a, b, c))
            raise ValueError

    batch = {f"part {i}": _X for i in range(30)}
    assert "no example" in _advice(Counting(), batch, _CE)
    assert 1 < len(calls) < 200


def test_the_code_is_python() -> None:
    batch = {"it's": _X, 'a "b"': _IDS, 3: ["a"]}
    advice = _advice(nn.Linear(4, 3), batch, _CE)
    ast.parse(dedent(advice.partition("For example:")[2]))
    step = _pasted(advice, loss_fn=_CE)
    assert step(nn.Linear(4, 3), batch) > 0


def test_the_structure_of_a_graph_is_that_of_its_keys() -> None:
    graph = Keyed(x=_X, y=torch.ones(3))
    shown = f"Keyed('x': Tensor{tuple(_X.shape)}, 'y': Tensor(3,))"
    assert structure(graph) == shown
