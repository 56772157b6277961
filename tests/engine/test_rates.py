from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import LambdaLR

from lrwidget.engine.rates import apply_rate, rate_ratios, set_rate


def _optimizer(*rates: float | torch.Tensor, **extra: float) -> SGD:
    groups = [
        {"params": [nn.Parameter(torch.zeros(1))], "lr": rate, **extra}
        for rate in rates
    ]
    return SGD(groups, lr=0.1)


def test_groups_keep_their_ratios_to_the_last() -> None:
    optimizer = _optimizer(1e-5, 1e-4, 1e-3)
    ratios = rate_ratios(optimizer)
    assert ratios == pytest.approx([0.01, 0.1, 1])
    set_rate(optimizer, 0.5, ratios)
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == pytest.approx([0.005, 0.05, 0.5])
    assert rates[-1] == 0.5


def test_a_warm_up_from_zero_counts_by_its_initial_rates() -> None:
    optimizer = _optimizer(0.0, 0.0)
    for group, rate in zip(optimizer.param_groups, (0.1, 0.2), strict=True):
        group["initial_lr"] = rate
    assert rate_ratios(optimizer) == pytest.approx([0.5, 1])


def test_a_rate_in_a_tensor_stays_one() -> None:
    rate = torch.tensor(0.1)
    optimizer = _optimizer(rate)
    set_rate(optimizer, 0.25, rate_ratios(optimizer))
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == 0.25


@pytest.mark.parametrize("rates", [(0.0,), (0.1, 0.0), (0.0, 0.1), (float("inf"),)])
def test_rates_without_ratios(rates: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"optimizer has learning rates \[.*give each"):
        rate_ratios(_optimizer(*rates))


def test_a_rate_that_its_optimizer_finds_itself() -> None:
    optimizer = _optimizer(0.1)
    optimizer.param_groups[0]["lr"] = None
    with pytest.raises(ValueError, match=r"optimizer has learning rates \[None\]"):
        rate_ratios(optimizer)


def test_an_applied_rate_is_where_later_schedulers_start() -> None:
    optimizer = _optimizer(0.1, 0.2)
    LambdaLR(optimizer, lambda _: 1.0)
    apply_rate(optimizer, 0.5)
    LambdaLR(optimizer, lambda _: 1.0)
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == pytest.approx([0.25, 0.5])
