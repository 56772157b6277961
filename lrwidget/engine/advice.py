"""A training step to paste, which has been run on the batch that failed."""

from __future__ import annotations

import copy
import inspect
import math
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import islice, permutations
from textwrap import indent
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, nn

from lrwidget.engine.batches import TARGETS, Part, parts_in, to_device

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Codes: TypeAlias = tuple[str, ...]

_MOST_TRIED = 60  # calls of the model, and losses of each output
_SECONDS = 10.0  # then no further call begins
_DOUBTFUL = 10  # the doubt of shapes that may be broadcast by mistake
_PREDICTIONS = ("logits", "out", "pred", "prediction", "predictions", "output")


def to_paste(model: nn.Module, batch: object, loss_fn: Any = None) -> str:  # noqa: ANN401 (anything callable)
    """
    Return the advice to pass a training step, with an example that runs on a batch.

    The example calls the loss function, if any, ``loss_fn``. The search runs the model
    in the present grad mode; the caller passes a copy, or restores the model later.
    """
    instead = "" if loss_fn is None else ", instead of loss_fn"
    advice = f"pass training_step=..., a function that returns the loss{instead}"
    example = None
    # A model that communicates would wait for the other processes.
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        with suppress(Exception):  # the error of the batch is shown instead
            example = _example(*_on_cpu(model, batch, loss_fn))
    if example is None:
        return f"{advice}; there is no example, since every tried example failed"
    return f"{advice}\n\nFor example:\n\n{indent(example, '    ')}"


def _on_cpu(model: Any, batch: Any, loss_fn: Any) -> tuple[Any, Any, Any]:  # noqa: ANN401 (of any class)
    """Return all on the CPU: some errors on a GPU end its use by the process."""
    cpu = torch.device("cpu")
    if any(parameter.device != cpu for parameter in model.parameters()):
        model, loss_fn = copy.deepcopy((model, loss_fn))
        for module in {model, loss_fn} - {None}:
            getattr(module, "to", id)(cpu)  # a function has no `to`
    return getattr(model, "_orig_mod", model), to_device(batch, cpu), loss_fn


def _example(model: nn.Module, batch: object, loss_fn: Any) -> str | None:  # noqa: ANN401 (as above)
    """Return the code of the least doubtful training step that runs, if any."""
    parts = parts_in(batch, "batch")
    scope = {"model": model, "batch": batch, "loss_fn": loss_fn, "torch": torch}
    comment = "" if loss_fn is None else "  # your loss function"
    example, least = None, math.inf
    end = time.monotonic() + _SECONDS
    for inputs in islice(_inputs(model, parts, loss_fn), _MOST_TRIED):
        if not least or time.monotonic() > end:
            break
        call = f"model({', '.join(inputs)})"
        with suppress(Exception):
            outputs = eval(call, dict(scope))  # noqa: S307 (the code is made here)
            now = {**scope, "outputs": outputs}
            for doubt, defined, loss in _losses(outputs, parts, inputs, loss_fn):
                if doubt < least and _trains(f"{defined}loss = {loss}", now):
                    least, example = (
                        doubt,
                        (
                            f"{defined}def training_step(model, batch):\n"
                            f"    outputs = {call}\n    return {loss}{comment}\n"
                        ),
                    )
    return example


def _trains(code: str, scope: Mapping[str, Any]) -> bool:
    """Whether some code computes a loss that can be trained with."""
    names = dict(scope)
    with suppress(Exception):
        exec(code, names)  # noqa: S102 (the code is made here)
        loss = names["loss"]
        derived = loss.requires_grad or not torch.is_grad_enabled()
        return bool(derived and loss.numel() == 1 and loss.isfinite())
    return False


def _inputs(
    model: nn.Module, parts: Sequence[Part], loss_fn: object
) -> Iterator[Codes]:
    """Yield the codes of the arguments of a model, the least doubtful first."""
    needed = _required_names(model)
    named = _by_name(parts)
    free = [part.code for part in parts if part.name not in TARGETS]
    optional = tuple(
        f"{name}={named[name]}"
        for name in inspect.signature(model.forward).parameters
        if name in named and name not in needed
        if loss_fn is None or name not in TARGETS
    )
    for others in dict.fromkeys([optional, ()]):
        for names in [needed] if needed else [[""] * count for count in range(4)]:
            for codes in _argument_codes(names, named, free):
                yield (*codes, *others)


def _required_names(function: Any) -> list[str]:  # noqa: ANN401 (anything callable)
    """Return the names of the positional parameters without a default."""
    called = function.forward if isinstance(function, nn.Module) else function
    try:
        parameters = inspect.signature(called).parameters.values()
    except (TypeError, ValueError):  # some functions in C have no signature
        return ["", ""]
    return [
        p.name for p in parameters if p.default is p.empty and p.kind < p.VAR_POSITIONAL
    ]


def _argument_codes(
    names: Sequence[str], named: Mapping[str, str], free: Iterable[str]
) -> Iterator[Codes]:
    """Yield codes for parameters: first codes of the same names, then others."""
    own = {name: named[name] for name in names if name in named}
    for known in [own, {}] if own else [{}]:
        others = [code for code in free if code not in known.values()]
        for chosen in permutations(others, len(names) - len(known)):
            rest = iter(chosen)
            yield tuple(known[x] if x in known else next(rest) for x in names)


def _losses(
    outputs: object,
    parts: Sequence[Part],
    inputs: Codes,
    loss_fn: Any,  # noqa: ANN401 (anything callable)
) -> Iterator[tuple[int, str, str]]:
    """Yield the doubt in a loss, the definition of its function, and its code."""
    *inside, whole = parts_in(outputs, "outputs") or [Part("outputs", "", outputs)]
    results = [x for x in (*inside, whole) if _is_real(x.value)]
    if loss_fn is None:  # the model may compute its own loss
        for part in results:
            if part.name == "loss" or part.code in ("outputs", "outputs[0]"):
                yield 0, "", part.code
        if isinstance(outputs, Mapping):
            yield 0, "", "sum(outputs.values())"
    known = (*parts, *results)
    values = {part.code: part.value for part in known}
    names = [] if loss_fn is None else _required_names(loss_fn)[1:]
    used = {x.code for x in parts if any(x.code in code for code in inputs)}
    last = max((i for i, part in enumerate(parts) if part.code in used), default=0)
    # in order: usual names, parts after the inputs, parts before them, the inputs
    after = [*parts[last:], *parts[:last]]
    after.sort(key=lambda part: (part.name not in TARGETS, part.code in used))
    results.sort(key=lambda part: part.name not in _PREDICTIONS)
    # A loss function of tensors refuses the whole of several outputs.
    wholes = [] if loss_fn is None or _is_real(whole.value) else [whole]
    for result in (*wholes, *results):
        others = [] if result is whole else results
        free = [part.code for part in (*after, *others) if part is not result]
        filled = _argument_codes(names or [""], _by_name(known), free)
        for codes in islice(filled, _MOST_TRIED):
            target = values[codes[0]]
            defined = ""
            if loss_fn is None:
                kind = "MSELoss" if _is_real(target) else "CrossEntropyLoss"
                defined = f"loss_fn = torch.nn.{kind}()\n\n"
            for doubt, out, given in _matching_shapes(result, codes, target):
                loss = f"loss_fn({', '.join((out, *given))})"
                yield doubt + len(used.intersection(codes)), defined, loss


def _by_name(parts: Sequence[Part]) -> dict[str, str]:
    """Return the code of the first part of each name."""
    return {part.name: part.code for part in reversed(parts) if part.name}


def _is_real(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _matching_shapes(
    result: Part, codes: Codes, target: object
) -> Iterator[tuple[int, str, Codes]]:
    """Yield a doubt, the code of an output, and codes of targets that fit it."""
    out, value, (code, *others) = result.code, result.value, codes
    if not (isinstance(target, Tensor) and isinstance(value, Tensor)):
        yield 0, out, codes
        return
    real, same = _is_real(target), target.shape == value.shape
    classes = not real and value.numel() > target.numel()
    yield 0 if same or classes else _DOUBTFUL, out, codes
    inner = target.shape == value.shape[:-1]
    if inner and value.shape[-1] == 1:
        out, same = f"{out}.squeeze(-1)", True
        yield 0, out, codes
    if same and not real:
        yield 0, out, (f"{code}.float()", *others)
    if inner and classes:
        yield 0, f"{out}.flatten(0, -2)", (f"{code}.flatten()", *others)
