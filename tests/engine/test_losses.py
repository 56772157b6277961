from __future__ import annotations

from collections import UserDict
from textwrap import dedent
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from lrwidget.engine.losses import NoLossError, loss_function


class Sum(nn.Module):
    """Return its weight times the sum of what it is called with, in some form."""

    def __init__(self, form: Any = lambda loss: loss) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))
        self.form = form

    def forward(self, *args: torch.Tensor, **kwargs: torch.Tensor) -> Any:
        total = sum(x.sum() for x in (*args, *kwargs.values()))
        return self.form(self.weight * total)


def _loss(
    model: Any, batch: Any, loss_fn: Any = None, training_step: Any = None
) -> torch.Tensor:
    loss = loss_function(model, loss_fn, training_step)(batch)
    assert loss is not None
    return loss


_ONE, _TWO, _TEN = torch.tensor(1.0), torch.tensor(2.0), torch.tensor(10.0)


_IDS = torch.tensor([0, 1, 0, 1])


class Pair(NamedTuple):
    x: torch.Tensor
    y: torch.Tensor


class Swapped(NamedTuple):
    y: torch.Tensor
    x: torch.Tensor


def _raising(_output: torch.Tensor, _target: torch.Tensor) -> torch.Tensor:
    message = "my own"
    raise TypeError(message)


def _difference(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return output - target


@pytest.mark.parametrize(
    ("batch", "loss"),
    [
        ((_ONE, _TEN), -8),
        ([_ONE, _TEN], -8),
        ((_ONE, _TWO, _TEN), -4),
        (Pair(_ONE, _TEN), -8),
        ({"a": _ONE, "b": _TWO, "label": _TEN}, -4),
        ({"labels": _TEN, "a": _ONE}, -8),
        ({"a": _ONE, "target": _TEN}, -8),
        ({"targets": _TEN, "a": _ONE}, -8),
        (UserDict({"a": _ONE, "y": _TEN}), -8),
    ],
    ids=lambda part: str(part)[:60],
)
def test_with_a_loss_function(batch: Any, loss: float) -> None:
    assert _loss(Sum(), batch, _difference).item() == loss


def test_a_mapping_whose_input_has_another_name() -> None:
    model = nn.Linear(3, 1)
    x, y = torch.ones(2, 3), torch.ones(2, 1)
    loss = _loss(model, {"image": x, "label": y}, nn.functional.mse_loss)
    assert loss == nn.functional.mse_loss(model(x), y)


def test_an_object_with_a_target() -> None:
    class Graph(nn.Linear):
        def forward(self, graph: Any) -> Any:
            return super().forward(graph.x) + graph.edges

    model = Graph(3, 1)
    batch = SimpleNamespace(x=torch.ones(2, 3), edges=4, y=torch.ones(2, 1))
    loss = _loss(model, batch, nn.functional.mse_loss)
    assert loss == nn.functional.mse_loss(model(batch), batch.y)


@pytest.mark.parametrize(
    "form",
    [
        lambda loss: loss,
        lambda loss: {"loss": loss, "logits": 0},
        lambda loss: SimpleNamespace(loss=loss),
        lambda loss: (loss, torch.ones(2, 3)),
        lambda loss: {"of boxes": 0.25 * loss, "of classes": 0.75 * loss},
    ],
    ids=["tensor", "mapping", "object", "tuple", "losses"],
)
@pytest.mark.parametrize(
    ("batch", "loss"),
    [
        (_ONE, 2),
        ((_ONE, _TWO), 6),
        ([_TWO], 4),
        ({"a": _ONE, "b": _TEN}, 22),
        ({"model": _ONE, "batch": _TEN}, 22),
    ],
    ids=["tensor", "tuple", "list", "mapping", "mapping with our names"],
)
def test_the_model_gives_the_loss(batch: Any, loss: float, form: Any) -> None:
    assert _loss(Sum(form), batch).item() == loss


def test_a_training_step_is_the_way_out() -> None:
    def training_step(model: nn.Module, batch: Any) -> torch.Tensor:
        loss: torch.Tensor = model(batch["deep"]["x"]) + 1
        return loss

    assert _loss(Sum(), {"deep": {"x": _ONE}}, None, training_step).item() == 3


@pytest.mark.parametrize(
    "form",
    [
        lambda loss: {"loss": loss, "accuracy": 1},
        lambda loss: SimpleNamespace(loss=loss),
    ],
)
def test_a_training_step_may_return_more_than_the_loss(form: Any) -> None:
    assert _loss(Sum(), _ONE, None, lambda model, x: form(model(x))).item() == 2


@pytest.mark.parametrize(
    ("batch", "shown"),
    [
        (torch.ones(4, 2), r"Tensor\(4, 2\)"),
        ([torch.ones(4)], r"list\(Tensor\(4,\)\)"),
        ({"x": torch.ones(4)}, r"dict\('x': Tensor\(4,\)\)"),
        (None, "NoneType"),
        (
            {"x": torch.ones(4), "y": _ONE, "label": _TWO},
            r"dict\('x': Tensor\(4,\), 'y': Tensor\(\), 'label': Tensor\(\)\)",
        ),
        (Swapped(_ONE, torch.ones(4)), r"Swapped\(Tensor\(\), Tensor\(4,\)\)"),
    ],
)
def test_a_batch_that_is_no_pair(batch: Any, shown: str) -> None:
    with pytest.raises(TypeError, match=rf"loss_fn needs .* {shown}; pass training_st"):
        _loss(Sum(), batch, _difference)


def test_inputs_that_the_model_has_other_names_for() -> None:
    batch = {"left": torch.ones(2, 3), "right": torch.ones(2, 3), "y": torch.ones(2)}
    with pytest.raises(TypeError, match=r"loss_fn needs .*'left'.*pass training_step"):
        _loss(nn.Bilinear(3, 3, 1), batch, nn.MSELoss())


@pytest.mark.parametrize(
    ("model", "batch", "expected"),
    [
        (
            nn.Bilinear(3, 3, 2),
            {"left": torch.ones(4, 3), "right": torch.ones(4, 3), "id": _IDS},
            'model(batch["left"], batch["right"])',
        ),
        (
            nn.Linear(3, 2),
            {"y": _IDS, "x": torch.ones(4, 3), "label": torch.ones(4)},
            None,
        ),
        (nn.Linear(3, 2), Swapped(_IDS, torch.ones(4, 3)), "model(batch[1])"),
        (nn.Linear(4, 4), [torch.eye(4)], "model(batch[0])"),
        (
            nn.Linear(4, 4),
            SimpleNamespace(image=torch.eye(4), names=["a"], label=_IDS),
            "model(batch.image)",
        ),
        (
            nn.Linear(4, 4),
            {"id": ["a", "b"], "x": torch.eye(4), "label": _IDS, "y": _IDS},
            "model(batch['x'])",
        ),
        (nn.Linear(4, 4), torch.eye(4), "model(batch)"),
    ],
    ids=[
        *("mapping", "two targets", "named tuple", "list"),
        *("object", "more than tensors", "tensor"),
    ],
)
def test_the_advice_can_be_pasted(model: Any, batch: Any, expected: str | None) -> None:
    with pytest.raises(TypeError) as caught:
        _loss(model, batch, nn.CrossEntropyLoss())
    text = str(caught.value).partition("For example:")[2]
    assert expected is None or expected.replace('"', "'") in text
    names: dict[str, Any] = {"loss_fn": nn.CrossEntropyLoss()}
    exec(dedent(text), names)  # noqa: S102 (as a user does)
    if expected is not None:
        assert _loss(model, batch, None, names["training_step"]).isfinite()


def test_the_advice_keeps_the_loss_function_of_the_user() -> None:
    batch = torch.eye(4)
    with pytest.raises(TypeError, match="returns the loss, instead of loss_fn") as got:
        _loss(nn.Linear(4, 4), batch, nn.MSELoss())
    assert "CrossEntropy" not in str(got.value)
    with pytest.raises(TypeError, match=r"pass loss_fn=\.\.\. for batches") as got:
        _loss(nn.Linear(4, 4), [batch, batch])
    names: dict[str, Any] = {"torch": torch}
    exec(dedent(str(got.value).partition("For example:")[2]), names)  # noqa: S102 (as above)
    loss = _loss(nn.Linear(4, 4), [batch, batch], None, names["training_step"])
    assert loss.isfinite()


def test_a_loss_function_that_does_not_fit_the_outputs() -> None:
    batch = {"a": _ONE, "labels": _TEN}
    message = r"loss_fn cannot .* dict\('logits': Tensor\(\)\): .*; pass training_step"
    with pytest.raises(TypeError, match=message):
        _loss(Sum(lambda loss: {"logits": loss}), batch, nn.MSELoss())


def test_the_errors_of_a_loss_function_are_its_own() -> None:
    with pytest.raises(TypeError, match=r"^my own$"):
        _loss(Sum(), (_ONE, _TEN), _raising)


@pytest.mark.parametrize(
    "form",
    [
        lambda _: None,
        lambda _: {},
        lambda _: "x",
        lambda _: 1.0,
        lambda loss: (torch.ones(2, 3), loss),
        lambda loss: {"of boxes": loss, "accuracy": torch.tensor(0.5)},
        lambda loss: {"of boxes": loss, "count": 3},
    ],
)
def test_a_model_that_gives_no_loss(form: Any) -> None:
    with pytest.raises(TypeError, match=r"model returned .* no loss; pass loss_fn, or"):
        _loss(Sum(form), (_ONE,))


@pytest.mark.parametrize(
    ("loss_fn", "advice"),
    [
        (None, "pass loss_fn=.*, or pass training_step"),
        (_difference, r"were given; pass training_step"),
    ],
)
def test_a_model_that_cannot_be_called_with_the_batch(
    loss_fn: Any, advice: str
) -> None:
    batch = (torch.ones(2, 3), torch.ones(2, 3), torch.ones(2))
    message = rf"cannot be called with .* tuple\(Tensor\(2, 3\), .* {advice}"
    with pytest.raises(TypeError, match=message) as caught:
        _loss(nn.Linear(3, 1), batch, loss_fn)
    assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.parametrize("loss_fn", [None, _difference])
def test_the_errors_inside_a_model_are_its_own(loss_fn: Any) -> None:
    def fail(_loss: torch.Tensor) -> torch.Tensor:
        return _raising(_ONE, _ONE)

    with pytest.raises(TypeError, match=r"^my own$"):
        _loss(Sum(fail), (_ONE, _TWO), loss_fn)


def test_a_training_step_that_gives_no_loss() -> None:
    with pytest.raises(TypeError, match=r"training_step returned float.* return the"):
        _loss(Sum(), _ONE, None, lambda _model, _batch: 1.0)


def test_a_training_step_that_skips_a_batch() -> None:
    def training_step(_model: nn.Module, _batch: Any) -> torch.Tensor:
        raise NoLossError

    assert loss_function(Sum(), None, training_step)(_ONE) is None


def test_more_than_one_loss() -> None:
    with pytest.raises(ValueError, match=r"loss_fn returned Tensor\(3,\).*the mean"):
        _loss(Sum(), (_ONE, torch.ones(3)), _difference)
    with pytest.raises(ValueError, match=r"model returned Tensor\(3,\).*pass loss_fn"):
        _loss(Sum(lambda loss: loss.expand(3)), (_ONE,))


class Autoencoder(nn.Linear):
    """It knows how to compare its output with its input."""

    def forward(self, inputs: torch.Tensor) -> Any:
        return nn.functional.mse_loss(super().forward(inputs), inputs)


def test_an_autoencoder() -> None:
    model, x = Autoencoder(3, 3), torch.ones(4, 3)
    plain = nn.Linear(3, 3)
    plain.load_state_dict(model.state_dict())
    expected = nn.functional.mse_loss(plain(x), x)
    for batch in (x, [x], {"inputs": x}):
        assert _loss(model, batch) == expected
    assert _loss(plain, (x, x), nn.MSELoss()) == expected


class Detector(nn.Module):
    """It takes images of different sizes and returns a loss of each kind."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))

    def forward(self, images: list[torch.Tensor], targets: list[Any]) -> Any:
        if not self.training:
            return [{"boxes": target["boxes"]} for target in targets]
        sizes = [image.shape[-1] * self.weight for image in images]
        boxes = [target["boxes"].sum() * self.weight for target in targets]
        return {"loss_objectness": sum(sizes), "loss_box_reg": sum(boxes)}


def test_a_detection_model() -> None:
    images = [torch.ones(3, 8, 8), torch.ones(3, 4, 4)]
    targets = [{"boxes": torch.ones(1, 4)}, {"boxes": torch.ones(2, 4)}]
    assert _loss(Detector(), (images, targets)).item() == 2 * (12 + 12)
    with pytest.raises(
        TypeError, match=r"model returned list\(.* no loss; pass loss_fn"
    ):
        _loss(Detector().eval(), (images, targets))
