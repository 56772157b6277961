"""Whatever is tested, however it ends: all is as if there had been no test."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations, product
from threading import Thread
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn
from torch.optim import LBFGS, SGD, Adagrad, AdamW, Optimizer, SparseAdam
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import default_collate

from lrwidget.engine.range_test import RangeTest
from tests.engine.training_parts import state
from tests.engine.zoo import ZOO, Animal

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(
        "ignore:.*weight_norm. is deprecated:FutureWarning",
        "ignore:Lazy modules are a new feature:UserWarning",
        "ignore:Sparse invariant checks are implicitly disabled:UserWarning",
        "ignore:.is_gradient_checkpointing. is deprecated:FutureWarning",  # in peft
    ),
]
_FAULT_AT = 4
_DENSE: dict[str, Any] = {
    "SGD": lambda ps: SGD(ps, lr=0.05, momentum=0.9),
    "AdamW": lambda ps: AdamW(ps, lr=0.003, amsgrad=True),
    "LBFGS": lambda ps: LBFGS(ps, lr=0.1, max_iter=2),
}
_SPARSE: dict[str, Any] = {
    "SGD": lambda ps: SGD(ps, lr=0.05),
    "SparseAdam": SparseAdam,
    "Adagrad": Adagrad,
}
_ENDINGS = (
    "completed",
    "diverged",
    "not finite",
    "stopped",
    "error in the model",
    "error in the loader",
    "error in the loss",
    "second run",
)
_ISOLATIONS = ("copy", "restore")


class _Case(NamedTuple):
    """One combination of what is tested, how it ends, and how it is isolated."""

    animal: str
    optimizer: str
    ending: str
    isolation: Any

    @property
    def refused(self) -> bool:
        """Whether the model cannot be copied, so that no test begins."""
        return self.isolation == "copy" and not ZOO[self.animal].copied

    def pairs(self) -> set[frozenset[str]]:
        """Return which values meet here; no ending does where no test begins."""
        values = [self.animal, self.isolation]
        if not self.refused:
            values += [f"optimizer {self.optimizer}", self.ending]
        return {frozenset(pair) for pair in combinations(values, 2)}


_CASES = [
    _Case(animal, optimizer, ending, isolation)
    for animal, kept in ZOO.items()
    for optimizer in (_SPARSE if kept.sparse else _DENSE)
    for ending in _ENDINGS
    for isolation in _ISOLATIONS
]


def _pairwise() -> list[_Case]:
    """Return some of the cases in which all pairs of values meet that ever meet."""
    met: Counter[frozenset[str]] = Counter()
    chosen: list[_Case] = []

    def choose(case: _Case) -> None:
        chosen.append(case)
        met.update(case.pairs())

    # Each model meets each ending, with what both have met least so far.
    for animal, ending in product(ZOO, _ENDINGS):
        meeting = (
            case
            for case in _CASES
            if (case.animal, case.ending) == (animal, ending) and not case.refused
        )
        choose(min(meeting, key=lambda case: sum(met[x] for x in case.pairs())))
    for case in _CASES:
        if any(not met[pair] for pair in case.pairs()):
            choose(case)
    return chosen


_PAIRWISE = _pairwise()


class _FaultError(Exception):
    pass


class _Fault:
    """What goes wrong in a training at its fourth batch or a little later."""

    def __init__(self, ending: str) -> None:
        self.ending = ending
        self.calls = 0

    def _due(self, *endings: str) -> bool:
        if self.ending not in endings:
            return False
        self.calls += 1
        return self.calls > _FAULT_AT

    def collate(self, animal: Animal) -> Any:
        def collate_fn(samples: Any) -> Any:
            if self._due("error in the loader"):
                raise _FaultError
            return (animal.collate_fn or default_collate)(samples)

        return collate_fn

    def in_model(self, _module: nn.Module, _inputs: Any) -> None:
        if self._due("error in the model"):
            raise _FaultError

    def in_loss(self, loss: torch.Tensor) -> torch.Tensor:
        if self._due("error in the loss"):
            raise _FaultError
        factors = {"diverged": 1e6, "not finite": math.nan}
        return loss * factors[self.ending] if self._due(*factors) else loss


class _Loss(nn.Module):
    """A loss function in which something goes wrong."""

    def __init__(self, loss_fn: Any, fault: _Fault) -> None:
        super().__init__()
        self.loss_fn = loss_fn
        self.faults = [fault]

    def forward(self, outputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return self.faults[0].in_loss(self.loss_fn(outputs, target))


def _training(
    animal: Animal, make: Any, fault: _Fault
) -> tuple[nn.Module, Optimizer, dict[str, Any]]:
    """Return a model in mid-training, its optimizer, and the rest of its training."""
    torch.manual_seed(3)
    model = animal.make()
    parts = [model, animal.loss_fn]
    modules = [part for part in parts if isinstance(part, nn.Module)]
    optimizer = make([p for m in modules for p in m.parameters() if p.requires_grad])
    if animal.warm:

        def closure() -> Any:
            optimizer.zero_grad()
            loss = animal.loss_of(model, batch)
            loss.backward()
            return loss.item()

        for batch in animal.loader():  # noqa: B007 (the closure takes it)
            optimizer.step(closure)
        closure()
    model.register_forward_pre_hook(fault.in_model)
    loader = animal.loader(fault.collate(animal))
    if animal.loss_fn is not None:
        loss_fn = _Loss(animal.loss_fn, fault)
        return model, optimizer, {"dataloader": loader, "loss_fn": loss_fn}

    def training_step(model: nn.Module, batch: Any) -> torch.Tensor:
        return fault.in_loss(animal.loss_of(model, batch))

    return model, optimizer, {"dataloader": loader, "training_step": training_step}


def _run(test: RangeTest, ending: str) -> None:
    """Run a test to the end that is expected of it."""
    if ending.startswith("error"):
        with pytest.raises(_FaultError):
            list(test)
        assert test.curve.stop_reason is None
        return
    if ending == "second run":
        first = list(test)
        assert str(list(test)) == str(first)  # text, since NaN is not equal to itself
    elif ending == "stopped":
        for step in test:
            if step.iteration == _FAULT_AT:
                break
    else:
        list(test)
    reasons = {"not finite": "non_finite", "second run": "completed"}
    assert test.curve.stop_reason == reasons.get(ending, ending)


def test_all_pairs_meet_in_some_of_the_cases() -> None:
    met = set().union(*(case.pairs() for case in _PAIRWISE))
    assert met == set().union(*(case.pairs() for case in _CASES))
    for animal, kept in ZOO.items():
        optimizers = _SPARSE if kept.sparse else _DENSE
        isolations = _ISOLATIONS if kept.copied else ("restore",)
        begun = [x for x in _PAIRWISE if x.animal == animal and not x.refused]
        assert {x.ending for x in begun} == set(_ENDINGS)
        assert {x.optimizer for x in begun} == set(optimizers)
        assert {x.isolation for x in begun} == set(isolations)
    for values in product(_DENSE, _ENDINGS, _ISOLATIONS):  # even any three of these
        assert any(x[1:] == values and not x.refused for x in _PAIRWISE)
    assert len(_PAIRWISE) < len(_CASES) / 5


@pytest.mark.parametrize(
    ("animal", "optimizer", "ending", "isolation"),
    [
        pytest.param(*x, marks=() if x in _PAIRWISE else pytest.mark.exhaustive)
        for x in _CASES
    ],
)
def test_untouched(animal: str, optimizer: str, ending: str, isolation: Any) -> None:
    kept, fault = ZOO[animal], _Fault(ending)
    make = (_SPARSE if kept.sparse else _DENSE)[optimizer]
    model, its_optimizer, parts = _training(kept, make, fault)
    settings: dict[str, Any] = {"num_it": 25, "isolation": isolation}
    # fastai's rule, which needs few losses before the fault
    settings["stop_div"] = "fastai" if ending in ("diverged", "not finite") else False
    scheduler = StepLR(its_optimizer, 1)
    if optimizer != "LBFGS":  # which no scaler can scale for
        settings["grad_scaler"] = torch.amp.GradScaler("cpu", growth_interval=3)
    test = RangeTest(model, its_optimizer, **parts, **settings)
    whole = model, its_optimizer, scheduler, *parts.values(), *settings.values()
    before = state(*whole)
    if isolation == "copy" and not kept.copied:
        with pytest.raises(ValueError, match="isolation='copy' cannot copy the model"):
            iter(test)
    else:
        _run(test, ending)
    assert state(*whole) == before


_ANSWERING = [name for name, kept in ZOO.items() if kept.copied]


@pytest.mark.parametrize("animal", _ANSWERING)
def test_the_model_answers_as_before_while_its_copy_is_tested(animal: str) -> None:
    kept = ZOO[animal]
    make = (_SPARSE if kept.sparse else _DENSE)["SGD"]
    model, optimizer, parts = _training(kept, make, _Fault("none"))
    model.eval()
    batch = next(iter(kept.loader()))
    answers: list[torch.Tensor] = []

    def ask() -> None:
        with torch.no_grad():
            torch.manual_seed(1)
            hidden = getattr(model, "hidden", None)
            answers.append(kept.loss_of(model, batch))
            if hidden is not None:
                model.hidden = hidden

    ask()
    losses = []
    for step in RangeTest(model, optimizer, num_it=10, end_lr=1, **parts):
        losses.append(step.loss)
        ask()
        thread = Thread(target=ask)
        thread.start()
        thread.join()
    assert len(answers) == 21
    assert all(torch.equal(answer, answers[0]) for answer in answers)
    assert len(set(losses)) > 1
