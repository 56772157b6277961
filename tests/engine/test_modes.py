from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD

from lrwidget import RangeTest, race, range_test
from tests.engine.training_parts import loader


class _Net(nn.Module):
    """A backbone with dropout and two normalization layers, and a head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone = nn.Sequential(
            nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.BatchNorm1d(8)
        )
        self.head = nn.Linear(8, 3)
        self.seen: list[dict[str, bool]] = []

    def forward(self, x: torch.Tensor) -> Any:
        modes = {name: module.training for name, module in self.named_modules()}
        self.seen.append(modes)
        return self.head(self.backbone(x))


def _tested(model: _Net, **settings: Any) -> tuple[dict[str, bool], tuple[str, ...]]:
    """Return the modes in a test, which are the same in all steps, and the notices."""
    before = [module.training for module in model.modules()]
    seen: list[dict[str, bool]] = []

    def loss_fn(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(outputs, targets)

    def training_step(model: Any, batch: Any) -> torch.Tensor:
        loss = loss_fn(model(batch[0]), batch[1])
        seen.append(model.seen[-1])
        return loss

    optimizer = SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    test = RangeTest(
        model, optimizer, loader(), training_step=training_step, num_it=3, **settings
    )
    assert test.notices == ()
    assert len(list(test)) == 3
    assert [module.training for module in model.modules()] == before
    assert seen[0] == seen[1] == seen[2]
    return seen[0], test.notices


def test_a_model_in_training_mode_has_no_notice() -> None:
    modes, notices = _tested(_Net())
    assert set(modes.values()) == {True}
    assert notices == ()


@pytest.mark.parametrize("isolation", ["copy", "restore"])
@pytest.mark.parametrize("whole", [True, False])
def test_parts_in_eval_mode_are_trained_as_by_train(
    isolation: str, *, whole: bool
) -> None:
    model = _Net()
    (model if whole else model.backbone).eval()
    modes, notices = _tested(model, isolation=isolation)
    assert set(modes.values()) == {True}
    (notice,) = notices
    # The mode has no effect on linear layers and on the containers.
    assert notice.startswith(
        "3 modules (BatchNorm1d, Dropout) were in eval mode and are trained in training"
    )


def test_one_part_in_eval_mode() -> None:
    model = _Net()
    model.backbone[2].eval()
    modes, notices = _tested(model)
    assert set(modes.values()) == {True}
    assert notices[0].startswith(
        "1 module (Dropout) was in eval mode and is trained in"
    )


def test_modules_on_which_the_mode_has_no_effect_are_not_told() -> None:
    class Noisy(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.dropout(x, 0.1, self.training)

    def notices(*modules: nn.Module) -> tuple[str, ...]:
        model = nn.Sequential(nn.Linear(8, 8), *modules, nn.ReLU(), nn.LayerNorm(8))
        optimizer = SGD(model.eval().parameters(), lr=0.1)
        loss_fn = nn.CrossEntropyLoss()
        test = RangeTest(model, optimizer, loader(), loss_fn, num_it=2)
        assert len(list(test)) == 2
        return test.notices

    assert notices() == ()
    scripted: Any = torch.jit.script(nn.Dropout())
    (notice,) = notices(Noisy(), scripted)
    assert notice.startswith("2 modules (Noisy, RecursiveScriptModule) were in eval")


@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_modes_are_kept_if_the_user_says_so(isolation: str) -> None:
    model = _Net()
    model.backbone.eval()
    modes, notices = _tested(model, keep_modes=True, isolation=isolation)
    assert modes == {name: m.training for name, m in model.named_modules()}
    assert notices == ()


def test_a_frozen_normalization_layer_in_eval_mode_stays_there() -> None:
    model = _Net()
    model.backbone[1].eval().requires_grad_(requires_grad=False)  # on purpose
    model.backbone[3].eval()  # its parameters are trained
    modes, notices = _tested(model)
    assert [name for name, training in modes.items() if not training] == ["backbone.1"]
    first, second = notices
    assert first.startswith("1 module (BatchNorm1d) was in eval mode and is trained")
    assert second == (
        "1 normalization layer with frozen parameters stays in eval mode."
    )


@pytest.mark.parametrize("call", [range_test, race])
def test_a_function_without_a_widget_warns_its_caller(call: Any) -> None:
    model = _Net().eval()
    training = (model, SGD(model.parameters(), lr=0.1), loader())
    rates = {"rates": [0.1], "steps": 2} if call is race else {}
    with pytest.warns(
        UserWarning, match="The test differs from your training. 3 modules"
    ) as w:
        call(*training, nn.CrossEntropyLoss(), **rates)
    assert [warning.filename for warning in w] == [__file__]
    call(*training, nn.CrossEntropyLoss(), keep_modes=True, **rates)  # no warning


def test_a_model_may_have_its_own_train() -> None:
    class Own(_Net):
        def train(self, mode: bool = True) -> Any:  # noqa: FBT001, FBT002 (torch's)
            super().train(mode)
            self.backbone.eval()
            return self

    model = Own()
    model.eval()
    modes, notices = _tested(model)
    assert {name for name, training in modes.items() if training} == {"", "head"}
    assert notices == ()  # of the head, which has no mode of its own


def test_a_bad_switch() -> None:
    with pytest.raises(TypeError, match="keep_modes='yes'"):
        _tested(_Net(), keep_modes="yes")
