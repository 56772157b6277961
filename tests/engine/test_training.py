from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import LBFGS, SGD, AdamW

from lrwidget.engine.training import loss_of, stepper


class Sum(nn.Module):
    """Return its weight times the sum of what it is called with, in some form."""

    def __init__(self, form: Any = lambda loss: loss) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))
        self.form = form

    def forward(self, *args: torch.Tensor, **kwargs: torch.Tensor) -> Any:
        total = sum(x.sum() for x in (*args, *kwargs.values()))
        return self.form(self.weight * total)


_ONE, _TWO, _TEN = torch.tensor(1.0), torch.tensor(2.0), torch.tensor(10.0)


def _difference(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return output - target


@pytest.mark.parametrize(
    ("batch", "loss"),
    [((_ONE, _TEN), -8), ([_ONE, _TEN], -8), ((_ONE, _TWO, _TEN), -4)],
    ids=["tuple", "list", "two inputs"],
)
def test_with_a_loss_function(batch: Any, loss: float) -> None:
    assert loss_of(Sum(), batch, _difference, None).item() == loss


@pytest.mark.parametrize(
    "form",
    [
        lambda loss: loss,
        lambda loss: {"loss": loss, "logits": 0},
        lambda loss: SimpleNamespace(loss=loss),
    ],
    ids=["tensor", "mapping", "object"],
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
    assert loss_of(Sum(form), batch, None, None).item() == loss


def test_a_training_step_is_the_way_out() -> None:
    def training_step(model: nn.Module, batch: Any) -> torch.Tensor:
        loss: torch.Tensor = model(batch["deep"]["x"]) + 1
        return loss

    assert loss_of(Sum(), {"deep": {"x": _ONE}}, None, training_step).item() == 3


@pytest.mark.parametrize(
    ("batch", "shown"),
    [
        (torch.ones(4, 2), r"Tensor\(4, 2\)"),
        ([torch.ones(4)], r"list\(Tensor\(4,\)\)"),
        ({"x": torch.ones(4)}, r"dict\('x': Tensor\(4,\)\)"),
        (None, "NoneType"),
    ],
)
def test_a_batch_that_is_no_pair(batch: Any, shown: str) -> None:
    with pytest.raises(TypeError, match=rf"loss_fn needs .* {shown}; pass training_st"):
        loss_of(Sum(), batch, _difference, None)


@pytest.mark.parametrize(
    "form", [lambda _: None, lambda _: {}, lambda _: "x", lambda _: 1.0]
)
def test_a_model_that_gives_no_loss(form: Any) -> None:
    with pytest.raises(TypeError, match=r"model returned .* no loss; pass loss_fn, or"):
        loss_of(Sum(form), (_ONE,), None, None)


@pytest.mark.parametrize("loss_fn", [None, _difference])
def test_a_model_that_cannot_be_called_with_the_batch(loss_fn: Any) -> None:
    batch = (torch.ones(2, 3), torch.ones(2, 3), torch.ones(2))
    message = r"cannot be called with .* tuple\(Tensor\(2, 3\), .* pass loss_fn=.*, or"
    with pytest.raises(TypeError, match=message) as caught:
        loss_of(nn.Linear(3, 1), batch, loss_fn, None)
    assert isinstance(caught.value.__cause__, TypeError)


def test_a_training_step_that_gives_no_loss() -> None:
    with pytest.raises(TypeError, match=r"training_step returned float.* return a"):
        loss_of(Sum(), _ONE, None, lambda _model, _batch: 1.0)  # type: ignore[arg-type, return-value]  # the point


def test_more_than_one_loss() -> None:
    with pytest.raises(ValueError, match=r"loss_fn returned Tensor\(3,\).*its mean"):
        loss_of(Sum(), (_ONE, torch.ones(3)), _difference, None)
    with pytest.raises(ValueError, match=r"model returned Tensor\(3,\).*pass loss_fn"):
        loss_of(Sum(lambda loss: loss.expand(3)), (_ONE,), None, None)


def test_a_loss_that_cannot_be_differentiated() -> None:
    with pytest.raises(ValueError, match="model returned a loss that depends on no tr"):
        loss_of(Sum(lambda loss: loss.detach()), (_ONE,), None, None)


@pytest.mark.parametrize("make", [SGD, AdamW, LBFGS])
def test_a_step_is_that_of_the_usual_loop(make: Any) -> None:
    torch.manual_seed(0)
    inputs, targets = torch.randn(16, 3), torch.randn(16, 1)

    def trained(*, by_stepper: bool) -> tuple[list[float], torch.Tensor]:
        torch.manual_seed(1)
        model = nn.Linear(3, 1)
        optimizer = make(model.parameters(), lr=0.1)

        def compute() -> torch.Tensor:
            return nn.functional.mse_loss(model(inputs), targets)

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = compute()
            loss.backward()
            return loss

        if by_stepper:
            step = stepper(optimizer)
            losses = [step(compute) for _ in range(5)]
        else:
            losses = [optimizer.step(closure) for _ in range(5)]
        return [loss.item() for loss in losses], model.weight.detach()

    losses, weight = trained(by_stepper=True)
    expected_losses, expected_weight = trained(by_stepper=False)
    assert losses == expected_losses
    assert torch.equal(weight, expected_weight)
