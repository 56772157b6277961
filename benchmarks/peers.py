"""
What other learning-rate finders suggest for the raw losses of a whole sweep.

Each is restated by its defaults: its smoothing, its stop rule, what it leaves out, and
its rule. Where it installs, the peer itself can be run on the same losses.
"""

from __future__ import annotations

import functools
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from benchmarks import called
from lrwidget.curve.suggest import min_grad, minimum, slide, steep

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.suggest import ClassicRule as Rule

    Floats: TypeAlias = npt.NDArray[Any]  # in double or, as in some peers, single

_BETA = 0.98
_SMOOTH_F = 0.05


class Peer(NamedTuple):
    """
    A finder, as functions of the rates and the raw losses of a sweep without a stop.

    They return what it would suggest had it run that sweep, and None where it suggests
    nothing or raises.

    Attributes
    ----------
    name:
        The finder, and its rule where it has several.
    restated:
        The finder by this module.
    called:
        The finder itself, None where it does not install. The rates have to grow by
        equal ratios.
    """

    name: str
    restated: Rule
    called: Rule | None


def _answer(finder: Callable[..., float | None], **settings: object) -> Rule:
    """Return the finder with None for the errors that too few points raise."""

    @functools.wraps(finder)
    def answer(lrs: FloatArray, losses: FloatArray) -> float | None:
        # What a loss that is not finite makes of a mean or a slope is meant so.
        with np.errstate(over="ignore", invalid="ignore"):
            try:
                return finder(lrs, losses, **settings)
            except (IndexError, RuntimeError, ValueError):
                return None

    return answer


def _moving_mean(losses: FloatArray, weight: float, *start: float) -> FloatArray:
    """Return the exponential mean at each loss, from the start or the first loss."""
    means = accumulate(
        (*start, *losses.tolist()),
        lambda mean, loss: weight * loss + (1 - weight) * mean,
    )
    return np.array([*means][len(start) :])


def _bias(losses: FloatArray, late: int = 0) -> FloatArray:
    """Return what a mean that starts from 0 is divided by at each step."""
    powers: FloatArray = _BETA ** np.arange(1.0 + late, len(losses) + 1 + late)
    return 1 - powers


def _best(losses: Floats) -> Floats:
    return np.fmin.accumulate(losses)


def _until(stops: npt.NDArray[np.bool_], *, also: int) -> slice:
    """Return the steps before the first that stops, and so many more."""
    return slice(int(np.argmax(stops)) + also if stops.any() else None)


def _fastai(
    lrs: FloatArray,
    losses: FloatArray,
    *,
    rule: Callable[[Floats, Floats], float | None],
) -> float | None:
    """
    Apply a rule of fastai 2, which leaves out a tenth of the steps and the last 5.

    All is in single precision. The mean steps towards the loss, so that an infinite one
    leaves NaN; all from the first NaN is left out.
    """
    weight = float(np.float32(1) - np.float32(_BETA))
    means = accumulate(
        losses.astype(np.float32),
        # torch.lerp, which rounds the product and the difference at once
        lambda mean, loss: np.float32(float(mean) - float(mean - loss) * weight),
        initial=np.float32(0),
    )
    smoothed = np.array([*means][1:]) / _bias(losses).astype(np.float32)
    recorded = _until(smoothed > 4 * _best(smoothed), also=1)
    kept = slice(len(losses) // 10, -5)
    rates, smoothed = lrs.astype(np.float32)[recorded][kept], smoothed[recorded][kept]
    numbers = _until(np.isnan(smoothed), also=0)
    return rule(rates[numbers], smoothed[numbers])


def _fastai_valley(lrs: Floats, losses: Floats) -> float:
    """Return fastai's valley; if that starts before the first point, it is the last."""
    lengths = np.ones(len(losses), int)
    for index, loss in enumerate(losses):
        lengths[index] += max(lengths[:index][losses[:index] > loss], default=0)
    end = int(np.argmax(lengths))
    start = end - int(lengths[end]) if end else 0
    third = (end - start) / 3
    return float(lrs[start + int(third) + int(third / 2)])


def _fastai_v1(lrs: FloatArray, losses: FloatArray) -> float:
    """
    Return ``min_grad_lr`` of fastai 1, which stops at NaN too.

    Its mean is in single precision. Here it is in double, which may choose otherwise
    where two slopes are nearly the same.
    """
    smoothed = _moving_mean(losses, 1 - _BETA, 0.0) / _bias(losses)
    stops = (smoothed > 4 * _best(smoothed)) | np.isnan(smoothed)
    recorded = _until(stops, also=1)
    return min_grad(lrs[recorded][10:-5], smoothed[recorded][10:-5])


def _torch_lr_finder(lrs: FloatArray, losses: FloatArray) -> float:
    smoothed = _moving_mean(losses, _SMOOTH_F)
    recorded = _until(smoothed > 5 * _best(smoothed), also=1)
    return min_grad(lrs[recorded][10:-5], smoothed[recorded][10:-5])


def _ignite(lrs: FloatArray, losses: FloatArray) -> float:
    """
    Return Ignite's steepest step before the lowest loss.

    It records each loss with the rate of the next step, and suggests that.
    """
    smoothed = _moving_mean(losses, _SMOOTH_F)
    recorded = _until(smoothed > 5 * _best(smoothed), also=1)
    falling = smoothed[recorded].astype(np.float32)
    falling = falling[: np.argmin(falling) + 1]
    return float(lrs[1:][np.argmin(falling[2:] - falling[:-2]) + 1])


def _lightning(lrs: FloatArray, losses: FloatArray, *, by_rate: bool) -> float:
    """
    Return where Lightning's curve falls fastest, by the step or by the rate itself.

    The means are divided as if there had been a step more, and each is compared with
    the best before it. Lightning's own rates skip a rung after the first; the ones
    given are used instead.
    """
    smoothed = _moving_mean(losses, 1 - _BETA, 0.0) / _bias(losses, late=1)
    stops = smoothed[1:] > 4 * _best(smoothed)[:-1]
    recorded = _until(stops, also=2)
    lrs, smoothed = lrs[recorded][10:-1], smoothed[recorded][10:-1]
    kept: Floats = smoothed.astype(np.float32)
    finite = np.isfinite(kept)
    if by_rate:
        slopes = np.gradient(kept[finite], lrs[finite].astype(np.float32))
        return float(lrs[finite][np.argmin(slopes)])
    return min_grad(lrs, kept[finite])


_RULES = {
    "valley": _fastai_valley,
    "steep": steep,
    "minimum": minimum,
    "slide": slide,
}

PEERS = (
    *(
        Peer(
            f"fastai {name}",
            _answer(_fastai, rule=rule),
            _answer(called.fastai, rule=name),
        )
        for name, rule in _RULES.items()
    ),
    Peer("fastai v1", _answer(_fastai_v1), None),
    Peer("torch-lr-finder", _answer(_torch_lr_finder), _answer(called.torch_lr_finder)),
    Peer(
        "Lightning 2.5.2",
        _answer(_lightning, by_rate=False),
        _answer(called.lightning, package="pytorch_lightning"),
    ),
    Peer(
        "Lightning 2.6.6",
        _answer(_lightning, by_rate=True),
        _answer(called.lightning, package="lightning.pytorch"),
    ),
    Peer("Ignite", _answer(_ignite), _answer(called.ignite)),
)
