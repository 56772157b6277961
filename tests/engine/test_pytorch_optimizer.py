"""Every optimizer of the package pytorch_optimizer: exact, or refused for a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import distributed, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import StepLR

from lrwidget.engine.optimizers import rate_ratios, set_rate
from lrwidget.engine.range_test import RangeTest
from tests.engine.training_parts import data, state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

library = pytest.importorskip("pytorch_optimizer")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Using backward.* with create_graph=True"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
_KINDS: dict[str, Any] = {
    name: kind
    for name, kind in sorted(vars(library).items())
    if isinstance(kind, type)
    and issubclass(kind, Optimizer)
    # The first two are bases. The last one is a loss scaler with a backward() of its
    # own, whose parameters are not the model's.
    and name not in ("Optimizer", "BaseOptimizer", "SafeFP16Optimizer")
}
_REFUSED = {
    "A2Grad": (ValueError, "has learning rates"),  # it has none
    "AliG": (ValueError, "has learning rates"),  # the loss determines its steps
    "AdaLOMO": (RuntimeError, "backward pass itself"),
    "LOMO": (RuntimeError, "backward pass itself"),
    "GSAM": (TypeError, "0-d tensor"),  # its closure returns the outputs, too
}
_WITH_MODEL = ("AdamMini", "LOMO", "AdaLOMO")
_MUONS = ("AdaGO", "AdaMuon", "DistributedMuon", "Muon", "MuonClip", "NorMuon")
_AROUND = ("Lookahead", "Magma", "OrthoGrad", "PCGrad", "ScheduleFreeWrapper", "TRAC")
_DISTRIBUTED = ("DeMo", "DistributedMuon")
# after a backward pass, as their own examples do
_WITH_CLOSURE = ("BSAM", "FriendlySAM", "LookSAM", "SAM")
_BATCHES = list(zip(*(x.split(16) for x in data().tensors), strict=True))


@pytest.fixture(autouse=True)
def _process_group(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """Begin a group of this process alone for the optimizers that communicate."""
    if request.node.name.partition("[")[2].partition("-")[0] not in _DISTRIBUTED:
        yield
        return
    meeting = f"file://{tmp_path}/meeting"
    distributed.init_process_group("gloo", meeting, rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def _training(  # noqa: PLR0911 (a branch for each kind)
    name: str,
) -> tuple[nn.Module, Any]:
    """Return a model with dropout, and its optimizer."""
    torch.manual_seed(0)
    layers = nn.Linear(8, 6, bias=False), nn.Dropout(0.1), nn.Linear(6, 3, bias=False)
    model = nn.Sequential(*layers)
    kind, parameters = _KINDS[name], list(model.parameters())
    if name in _WITH_MODEL:
        return model, kind(model, lr=1e-3)
    if name in _MUONS:
        groups = [{"params": [p], "use_muon": p is parameters[0]} for p in parameters]
        return model, kind(groups, lr=1e-3)
    if name in _AROUND:
        return model, kind(AdamW(parameters, lr=1e-3))
    if name == "BSAM":
        return model, kind(parameters, num_data=96, lr=1e-3)
    if name == "WSAM":
        return model, kind(model, parameters, SGD, lr=1e-3)
    if name == "GSAM":
        base = SGD(parameters, lr=1e-3)
        rho = library.ProportionScheduler(StepLR(base, 10), max_lr=1e-3)
        return model, kind(parameters, base, model, rho)
    if name.endswith("SAM"):
        return model, kind(parameters, SGD, lr=1e-3, momentum=0.9)
    needed = {"num_iterations": 40} if name == "Ranger21" else {}
    return model, kind(parameters, lr=1e-3, **needed)


def _by_hand(name: str, rates: list[float]) -> list[float]:
    """Return the losses of the loop in the examples of the package."""
    model, optimizer = _training(name)
    ratios, losses = rate_ratios(optimizer), []
    if hasattr(optimizer, "train"):
        optimizer.train()
    torch.manual_seed(7)
    for number, rate in enumerate(rates):
        inputs, targets = _BATCHES[number % len(_BATCHES)]
        set_rate(optimizer, rate, ratios)
        evaluated: list[float] = []

        def closure(x: Any = inputs, y: Any = targets, to: Any = evaluated) -> Any:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward(create_graph=name in ("AdaHessian", "SophiaH"))
            to.append(loss.item())
            return loss

        if name not in ("LBFGS", "WSAM"):
            closure()
        wanted = name in ("LBFGS", "WSAM", *_WITH_CLOSURE)
        optimizer.step(*([closure] if wanted else []))
        losses.append(evaluated[0])
    return losses


def _settings(isolation: Any) -> dict[str, Any]:
    return {"num_it": 20, "start_lr": 1e-4, "end_lr": 0.1, "isolation": isolation}


def test_at_most_five_are_refused() -> None:
    assert len(_REFUSED) <= 5
    assert len(_KINDS) > 120


@pytest.mark.parametrize("isolation", ["auto", "restore"])
@pytest.mark.parametrize("name", sorted(_KINDS.keys() - _REFUSED.keys()))
def test_the_losses_are_those_of_its_own_loop(name: str, isolation: Any) -> None:
    if name == "DeMo":
        pytest.importorskip("einops")
    model, optimizer = _training(name)
    loss_fn = nn.CrossEntropyLoss()
    test = RangeTest(model, optimizer, _BATCHES, loss_fn, **_settings(isolation))
    torch.manual_seed(7)
    before = state(model, optimizer)
    steps = list(test)
    assert state(model, optimizer) == before
    expected = _by_hand(name, [step.lr for step in steps])
    assert [step.loss for step in steps] == pytest.approx(expected, abs=1e-6)
    assert len(set(expected)) == len(expected)


@pytest.mark.parametrize("isolation", ["auto", "restore"])
@pytest.mark.parametrize("name", _REFUSED)
def test_other_optimizers_are_refused(name: str, isolation: Any) -> None:
    model, optimizer = _training(name)
    before = state(model, optimizer)
    kind, message = _REFUSED[name]
    loss_fn = nn.CrossEntropyLoss()
    with pytest.raises(kind, match=message):
        list(RangeTest(model, optimizer, _BATCHES, loss_fn, **_settings(isolation)))
    assert state(model, optimizer) == before
