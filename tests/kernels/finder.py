"""The parts of the widget in a front end, found by the state of their models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lrwidget.curve.fit import local_fit

if TYPE_CHECKING:
    import numpy.typing as npt

    from tests.kernels.front_end import FrontEnd

_HEIGHT = 0.045  # height of the handle, which moves only horizontally


class Finder:
    """
    The parts of a displayed widget, with methods for the actions of a person.

    Parameters
    ----------
    page:
        Front end that displays the widget.
    """

    def __init__(self, page: FrontEnd) -> None:
        self._page = page
        self._widget = page.displayed
        (self._button,) = [
            button
            for said in ("Run", "Run again", "Stop")
            for button in self._models(description=said)
        ]
        (self._slider,) = self._models(description="Smoothing")
        (self._field,) = self._models(description="Learning rate")
        (self._handle,) = self._models(_model_name="ScatterModel", enable_move=True)
        (self._raw,) = self._models(_model_name="LinesModel", labels=["one batch"])
        (self._trend,) = self._models(_model_name="LinesModel", stroke_width=3)

    def _models(self, **looks: object) -> list[str]:
        return [
            model
            for model, state in self._page.models.items()
            if all(state.get(name) == look for name, look in looks.items())
        ]

    def drag(self, *rates: float) -> None:
        """Wait for the handle, drag it over some rates, and release it."""
        self._page.kernel.await_true(self._places)
        self._point("drag_start", *self._places())
        for rate in rates:
            self._point("drag", rate)
            data = memoryview(np.float64(rate).tobytes())
            x = {"value": data, "dtype": "float64", "shape": [1]}
            self._page.change(self._handle, {"x": x})
        self._point("drag_end", rates[-1])

    def slide(self, *indices: int) -> None:
        """Move the smoothing slider over some of its values."""
        for index in indices:
            self._page.change(self._slider, {"index": index})

    def press(self) -> None:
        """Press the button Run or Stop."""
        self._page.send(self._button, {"event": "click"})

    def says(self) -> str:
        """Return the first word of the button: Run or Stop."""
        said: str = self._page.models[self._button]["description"]
        return said.partition(" ")[0]

    def rate(self) -> float | None:
        """Return the value of the widget."""
        value: float | None = self._page.models[self._widget]["value"]
        return value

    def rates(self) -> list[float | None]:
        """Return all values of the widget so far, in order."""
        return self._page.history(self._widget, "value")

    def shown_rates(self) -> list[float]:
        """Return the rate of the handle and the rate in the field."""
        return [*self._places(), self._page.models[self._field]["value"]]

    def points(self) -> int:
        """Return the number of points of the curve."""
        # A single one is sent twice.
        return len(np.unique(_array(self._page.models[self._trend]["x"])))

    def is_fitted(self, width: float) -> bool:
        """Return whether the trend is the fit of the raw losses with this width."""
        lrs = _array(self._page.models[self._raw]["x"])
        raw, trend = _array(self._page.models[self._raw]["y"]), self._trend_losses()
        fit = local_fit(lrs, raw, width).at(lrs)[0]
        return len(fit) == len(trend) and np.allclose(fit, trend)

    def await_points(self, more: int) -> None:
        """Wait until the curve has this number of additional points."""
        wanted = self.points() + more
        self._page.kernel.await_true(lambda: self.points() >= wanted)

    def _places(self) -> list[float]:
        places: list[float] = _array(self._page.models[self._handle]["x"]).tolist()
        return places

    def _trend_losses(self) -> npt.NDArray[np.float64]:
        # The other two lines of the mark are the edges of its band. One point of each
        # is sent in one dimension.
        _low, trend, _high = _array(self._page.models[self._trend]["y"]).reshape(3, -1)
        losses: npt.NDArray[np.float64] = trend
        return losses

    def _point(self, event: str, rate: float) -> None:
        point = {"x": rate, "y": _HEIGHT}
        self._page.send(self._handle, {"event": event, "point": point, "index": 0})


def _array(sent: dict[str, Any]) -> npt.NDArray[np.float64]:
    return np.frombuffer(sent["value"], sent["dtype"])
