"""
The suggestions of other learning-rate finders for the raw losses of a complete sweep.

Each peer is restated with its default settings: its smoothing, its stop rule, the
points that it leaves out, and its suggestion rule. A peer that can be installed can
also be run itself on the same losses.
"""

from __future__ import annotations

import functools
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from benchmarks import called
from lrwidget.curve.rules import min_grad, minimum, slide, steep

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.rules import ClassicRule as Rule

    Floats: TypeAlias = npt.NDArray[Any]  # in single precision for some peers

_BETA = 0.98
_SMOOTH_F = 0.05


class Peer(NamedTuple):
    """
    A finder, as functions of the rates and the raw losses of a sweep without a stop.

    The functions return the suggestion of the finder for that sweep, or None if the
    finder suggests nothing or raises an error.

    Attributes
    ----------
    name:
        Name of the finder, and of its rule if it has several.
    restated:
        The finder as this module restates it.
    called:
        The finder itself; None if it cannot be installed. The rates must grow by equal
        ratios.
    """

    name: str
    restated: Rule
    called: Rule | None


def _answer(finder: Callable[..., float | None], **settings: object) -> Rule:
    """Return the finder as a rule that gives None if there are too few points."""

    @functools.wraps(finder)
    def answer(lrs: FloatArray, losses: FloatArray) -> float | None:
        # A loss that is not finite may give a mean or a slope that is not finite.
        with np.errstate(over="ignore", invalid="ignore"):
            try:
                return finder(lrs, losses, **settings)
            except (IndexError, RuntimeError, ValueError):
                return None

    return answer


def _moving_mean(losses: FloatArray, weight: float, *start: float) -> FloatArray:
    """Return the exponential mean at each loss, from `start` or the first loss."""
    means = accumulate(
        (*start, *losses.tolist()),
        lambda mean, loss: weight * loss + (1 - weight) * mean,
    )
    return np.array([*means][len(start) :])


def _bias(losses: FloatArray, late: int = 0) -> FloatArray:
    """Return the divisor, at each step, of an exponential mean that starts from 0."""
    powers: FloatArray = _BETA ** np.arange(1.0 + late, len(losses) + 1 + late)
    return 1 - powers


def _best(losses: Floats) -> Floats:
    return np.fmin.accumulate(losses)


def _until(stops: npt.NDArray[np.bool_], *, also: int) -> slice:
    """Return the steps before the first stop, and `also` more steps."""
    return slice(int(np.argmax(stops)) + also if stops.any() else None)


def _fastai(
    lrs: FloatArray,
    losses: FloatArray,
    *,
    rule: Callable[[Floats, Floats], float | None],
) -> float | None:
    """
    Apply a rule of fastai 2, without the first tenth of the steps and the last 5.

    All is in single precision. The mean moves towards the loss by a share of their
    difference, so that an infinite loss gives NaN. The points from the first NaN on are
    left out.
    """
    weight = float(np.float32(1) - np.float32(_BETA))
    means = accumulate(
        losses.astype(np.float32),
        # as torch.lerp, which rounds only once, after the product and the difference
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
    """Return fastai's valley; the last rate if it starts before the first point."""
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

    The mean of fastai 1 is in single precision. Here it is in double precision, which
    may choose another rate if two slopes are nearly equal.
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

    Ignite records each loss with the rate of the next step, and suggests this rate.
    """
    smoothed = _moving_mean(losses, _SMOOTH_F)
    recorded = _until(smoothed > 5 * _best(smoothed), also=1)
    falling = smoothed[recorded].astype(np.float32)
    falling = falling[: np.argmin(falling) + 1]
    return float(lrs[1:][np.argmin(falling[2:] - falling[:-2]) + 1])


def _lightning(lrs: FloatArray, losses: FloatArray, *, by_rate: bool) -> float:
    """
    Return the rate at which Lightning's curve falls fastest, per step or per rate.

    The means are divided as if there had been one more step, and each mean is compared
    with the best mean before it. Lightning's own schedule leaves out one rate after the
    first; the given rates are used instead.
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
