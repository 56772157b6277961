"""The numbers that the scripts in the page write, in a blank page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import lrwidget

if TYPE_CHECKING:
    from playwright.sync_api import Page

_SCRIPT = Path(lrwidget.__file__).with_name("ui").joinpath("numbers.js").read_text()
_SAID: dict[str, list[tuple[list[float], str]]] = {
    "shortRate": [
        *(([0.02], "2.0e-2"), ([0.29], "0.29"), ([0.5], "0.5"), ([1e-7], "1.0e-7")),
        *(([0.0996], "0.1"), ([0.0994], "9.9e-2"), ([3.14159], "3.1"), ([10.0], "10")),
        *(([1234.0], "1.2e3"), ([0.000999], "1.0e-3")),
    ],
    "shortLoss": [
        *(([2.3], "2.30"), ([0.0412345], "0.0412"), ([1.987e-9], "1.99e-9")),
        *(([-0.5], "-0.500"), ([0.0], "0.00"), ([1e7], "1.00e7")),
    ],
    "withMargin": [
        *(([0.7412, 0.1234], "0.74 ± 0.12"), ([0.7412, 0.0123], "0.741 ± 0.012")),
        *(([2.30258, 0.00344], "2.30"), ([2.30258, 0.0], "2.30")),
        *(([812.3, 45.6], "812 ± 46"), ([812.3, 345.6], "812 ± 346")),
        *(([0.0312, 0.0045], "0.0312 ± 0.0045"), ([-1.5, 2.0], "-1.5 ± 2.0")),
        *(([3.21e-5, 4.1e-6], "(3.21 ± 0.41)e-5"), ([1.5e6, 2e4], "(1.50 ± 0.02)e6")),
        *(([3.21e-5, 4e-9], "3.21e-5"), ([0.0, 0.5], "0.00 ± 0.50")),
    ],
    "besideSuggestion": [
        *(([0.01, 0.01], "suggested"), ([0.01004, 0.01], "suggested")),
        *(
            ([0.0102, 0.01], "suggested"),
            ([0.0206, 0.0211], "suggested"),
            ([0.0204, 0.0206], "5% lower than suggested"),
            ([5.03e-3, 0.01339], "2.6x lower than suggested"),  # 1.3e-2 / 5.0e-3
            ([0.02, 0.01], "2x higher"),
        ),
        *(([0.01 / 29, 0.01], "29x lower than"), ([0.01 / 1.5, 0.01], "1.5x lower")),
        ([3.456, 0.01], "350x higher than suggested"),
    ],
    "besideUnstable": [
        *(([0.02, 0.28], "14x lower than the unst"), ([0.3, 0.3], "among the unst")),
        *(
            ([0.3, 0.29], "among the unstable rates"),
            ([0.288, 0.29], "just lower than the"),
        ),
    ],
}


@pytest.mark.parametrize("name", _SAID)
def test_numbers_are_written_with_few_digits(page: Page, name: str) -> None:
    arguments = json.dumps([given for given, _ in _SAID[name]])
    said = page.evaluate(f"{_SCRIPT};\n{arguments}.map((given) => {name}(...given))")
    for text, (given, beginning) in zip(said, _SAID[name], strict=True):
        assert text.startswith(beginning), given
