"""Junk as arguments and as files: lrwidget accepts it, or an error names the fault."""

from __future__ import annotations

import inspect
import json
import re
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ipywidgets.widgets import widget as ipywidgets_widget
from torch import nn
from torch.optim import SGD

from lrwidget import LRCurve, LRWidget, RangeTest
from lrwidget.curve.lr_curve import StopReason
from tests.widget_parts import arguments_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Using backward.* with create_graph=True"),
]
_BATCHES = [(torch.ones(2, 2), torch.zeros(2, 1))]
_MOST_EFFORT = 60  # in batches
_HUGE = [10**30, -(10**30), 10**400, -(10**400)]
_UNPRINTABLE = 10**5000  # too long for Python to convert it to text

_NUMBERS = st.one_of(
    st.integers(-3, 20),
    st.sampled_from(_HUGE),
    st.floats(),
    st.sampled_from([1e-320, 1e-7, 0.01, 0.5, 1.0, 10.0, 1e38, 1e308]),
    st.sampled_from([Fraction(1, 3), Decimal("0.1"), 1j]),
)
_NUMPY_SCALARS = st.one_of(
    st.integers(-3, 20).map(np.int64),
    st.integers(0, 20).map(np.uint8),
    st.floats(width=32).map(np.float32),
    st.floats().map(np.float64),
    st.booleans().map(np.bool_),
    st.sampled_from(["auto", "exp", "descent", "3"]).map(np.str_),
    st.just(np.datetime64("2026")),
)
_TENSORS = st.one_of(
    st.floats(0, 1).map(torch.tensor),
    st.integers(-3, 20).map(torch.tensor),
    st.integers(0, 3).map(torch.ones),
    st.integers(0, 3).map(lambda rows: torch.ones(rows, 2)),
)
_WORDS = st.one_of(
    st.text(max_size=5),
    st.sampled_from(["exp", "linear", "auto", "copy", "restore", "valley", "descent"]),
    st.sampled_from(["cpu", "cpu:0", "cpu:7", "meta", "cuda:99", "mps", "0.1", "nan"]),
)
_OBJECTS = st.sampled_from(
    [
        None,
        True,
        False,
        object(),
        int,
        nn.MSELoss,
        nn.MSELoss(),
        nn.Linear(2, 1),
        len,
        lambda *_: None,
        lambda model, batch: model(batch[0]).mean(),
        torch.float16,
        torch.bfloat16,
        torch.float64,
        torch.device("cpu"),
        torch.device("meta"),
        b"junk",
        range(3),
        _BATCHES,
        torch.amp.GradScaler("cpu"),
        SGD(nn.Linear(2, 1).parameters(), lr=0.1),
    ]
)
_SINGLE = st.one_of(_NUMBERS, _NUMPY_SCALARS, _TENSORS, _WORDS, _OBJECTS)
_JUNK = st.one_of(
    _SINGLE,
    _OBJECTS,  # twice, since most valid arguments are among them
    st.lists(_SINGLE, max_size=3),
    st.lists(_SINGLE, max_size=2).map(tuple),
    st.lists(_SINGLE, max_size=2).map(iter),
    st.dictionaries(st.text(max_size=3), _SINGLE, max_size=2),
)

_OF_A_TEST = list(inspect.signature(RangeTest).parameters)
_OF_A_WIDGET = list(inspect.signature(LRWidget).parameters)
_TRAINING = {"dataloader", "loss_fn", "training_step", "val_loader"}


def _several(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy that gives junk for some of the keywords."""
    return st.dictionaries(st.sampled_from(names), _JUNK, min_size=1, max_size=3)


def _outcome(make: Callable[[], Any], *errors: type[Exception]) -> tuple[Any, str]:
    """Return the result of `make`, or None and the message of one of the errors."""
    try:
        return make(), ""
    except errors as error:
        assert str(error)  # noqa: PT017 (pytest.raises always needs an error)
        return None, str(error)


def _made(make: Callable[..., Any], junk: dict[str, Any]) -> Any:
    """Return the object made with junk for some arguments; None if junk is refused."""
    torch.manual_seed(0)
    model = nn.Linear(2, 1)
    arguments: dict[str, Any] = {
        "model": model,
        "optimizer": SGD(model.parameters(), lr=0.1),
        "dataloader": _BATCHES,
        "num_it": 3,
    }
    if "training_step" not in junk:
        arguments["loss_fn"] = nn.MSELoss()
    arguments |= junk
    made, message = _outcome(lambda: make(**arguments), TypeError, ValueError)
    if made is None:
        assert any(re.search(rf"\b{name}\b", message) for name in junk), message
    return made


def _check_test(junk: dict[str, Any]) -> None:
    test = _made(RangeTest, junk)
    if test is None:
        return
    effort = test.num_it * junk.get("accumulate", 1) * junk.get("steps_per_lr", 1)
    if effort > _MOST_EFFORT:
        return
    model = test._run.components.model
    before = [p.detach().clone() for p in model.parameters()]
    steps, _ = _outcome(lambda: list(test), Exception)
    if steps is None:  # an error in the user's code, or in a call of it
        assert _TRAINING & set(junk)
        assert test.curve.stop_reason is None
    else:
        assert test.curve.stop_reason in get_args(StopReason)
    for now, then in zip(model.parameters(), before, strict=True):
        assert torch.equal(now, then)


def _check_widget(junk: dict[str, Any]) -> None:
    before = set(ipywidgets_widget._instances)
    widget = _made(LRWidget, junk)
    if widget is not None:
        low, high = (arguments_of(widget)[name] for name in ("start_lr", "end_lr"))
        assert widget.value is None or low <= widget.value <= high
        widget.close()
    assert set(ipywidgets_widget._instances) == before


@pytest.mark.parametrize("name", _OF_A_TEST)
@settings(max_examples=100)
@given(junk=_JUNK)
def test_one_bad_argument_of_a_test(name: str, junk: Any) -> None:
    _check_test({name: junk})


@settings(max_examples=400)
@given(_several(_OF_A_TEST))
def test_several_bad_arguments_of_a_test(junk: dict[str, Any]) -> None:
    _check_test(junk)


@pytest.mark.parametrize("name", sorted({*_OF_A_WIDGET} - {*_OF_A_TEST}))
@settings(max_examples=60)
@given(junk=_JUNK)
def test_one_bad_argument_of_a_widget(name: str, junk: Any) -> None:
    _check_widget({name: junk})


@settings(max_examples=250)
@given(_several(_OF_A_WIDGET))
def test_several_bad_arguments_of_a_widget(junk: dict[str, Any]) -> None:
    _check_widget(junk)


@pytest.mark.parametrize("value", [_UNPRINTABLE, -_UNPRINTABLE], ids=["high", "low"])
@pytest.mark.parametrize("name", sorted(_OF_A_WIDGET))
def test_a_number_that_has_no_text(name: str, value: int) -> None:
    before = set(ipywidgets_widget._instances)
    assert _made(LRWidget, {name: value}) is None
    assert set(ipywidgets_widget._instances) == before


@pytest.mark.parametrize(
    ("junk", "message"),
    [
        ({"accumulate": 10**400}, r"accumulate=10+\.\.\. must be at most 1000000"),
        ({"steps_per_lr": 10**6 + 1}, "steps_per_lr=1000001 must be at most 1000000"),
        ({"autocast": np.ones(2)}, r"autocast=array\(\[1., 1.\]\) must be one of"),
        ({"clip_grad_norm": 10**400}, "clip_grad_norm=10.* is too large for a float"),
        ({"device": 10**30}, f"device={10**30} cannot be used here"),
        ({"device": "meta"}, "device='meta' cannot be used here: .* pass None"),
        ({"end_lr": 1e308}, r"end_lr=1e\+308 must be at most 1e\+38"),
        ({"smoothing": 10**400}, "smoothing=10.* is too large for a float"),
        ({"step_mode": np.ones(2)}, r"step_mode=array\(\[1., 1.\]\) is not known"),
    ],
    ids=str,
)
def test_what_was_not_named_once(junk: dict[str, Any], message: str) -> None:
    model = nn.Linear(2, 1)
    with pytest.raises(ValueError, match=message):
        LRWidget(model, SGD(model.parameters()), _BATCHES, **junk)


# numpy warns about every torch tensor, whose class does not know the keyword yet
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("values", [[10**400], torch.ones(1, requires_grad=True), [[]]])
def test_what_no_curve_is_made_of(values: Any) -> None:
    with pytest.raises(ValueError, match="losses"):
        LRCurve([0.1], values)  # type: ignore[arg-type]  # tested here


_DATA = LRCurve(
    np.array([1e-3, 0.01, 0.1]), np.array([2.0, np.nan, 1e-9]), "stopped", 5
).to_dict()
_JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 9),
        st.sampled_from(_HUGE),
        st.floats(),
        st.text(max_size=5),
        st.sampled_from(["nan", "inf", "-inf", "completed", "\ud800", *_DATA]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
    ),
    max_leaves=8,
)
_ANOTHER_VALUE = st.one_of(
    _JSON,
    st.lists(st.floats(), max_size=4),
    st.lists(st.floats(0, 10), max_size=4).map(sorted),
)


@st.composite
def _nearly_right(draw: st.DrawFn) -> dict[str, Any]:
    """Return the data of a curve with a few entries dropped, replaced or nested."""
    data = dict(_DATA)
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from([*_DATA, "more"]))
        inside = data.get(name)
        match draw(st.sampled_from(["drop", "replace", "nest", "inside"])):
            case "drop":
                data.pop(name, None)
            case "nest":
                nests = [[inside], {name: inside}, dict(data)]
                data[name] = draw(st.sampled_from(nests))
            case "inside" if isinstance(inside, list) and inside:
                where = draw(st.integers(0, len(inside) - 1))
                data[name] = [*inside[:where], draw(_JSON), *inside[where + 1 :]]
            case _:
                data[name] = draw(_ANOTHER_VALUE)
    return data


def _check_curve(curve: LRCurve) -> None:
    lrs, losses = curve.lrs, curve.losses
    for values in (lrs, losses):
        assert values.dtype == np.float64
        assert values.ndim == 1
        assert not values.flags.writeable
    assert len(lrs) == len(losses) <= curve.num_it
    assert np.isfinite(lrs).all()
    assert (np.diff(lrs, prepend=0) > 0).all()
    assert curve.stop_reason in (None, *get_args(StopReason))
    assert type(curve.num_it) is int
    again = LRCurve.from_dict(json.loads(json.dumps(curve.to_dict(), allow_nan=False)))
    assert again.to_dict() == curve.to_dict()


@settings(max_examples=500)
@given(st.one_of(_JSON, _nearly_right(), _nearly_right()))
def test_data_is_a_curve_or_refused(data: Any) -> None:
    curve, _ = _outcome(lambda: LRCurve.from_dict(data), ValueError)
    if curve is not None:
        _check_curve(curve)


@pytest.fixture(autouse=True)
def _nothing_of_ours_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run in a temporary folder, since any word may be the path of a record."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "curve.json"


@st.composite
def _scratched(draw: st.DrawFn) -> bytes:
    """Return the bytes of a file in which one piece is replaced."""
    contents = json.dumps(draw(_nearly_right())).encode()
    start, end = sorted(draw(st.integers(0, len(contents))) for _ in range(2))
    piece = draw(st.one_of(st.binary(max_size=8), st.just(contents[start:end] * 2)))
    return contents[:start] + piece + contents[end:]


@settings(max_examples=500)
@given(
    st.one_of(
        st.binary(max_size=80),
        _scratched(),
        _JSON.map(lambda data: json.dumps(data).encode()),
        _nearly_right().map(lambda data: json.dumps(data).encode()),
    )
)
def test_a_file_is_a_curve_or_refused_by_its_path(path: Path, contents: bytes) -> None:
    path.write_bytes(contents)
    curve, message = _outcome(lambda: LRCurve.load(path), ValueError)
    if curve is None:
        assert message.startswith(f"path={str(path)!r} holds no curve")
    else:
        _check_curve(curve)
