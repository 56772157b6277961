"""
The colours of what is drawn: Okabe and Ito's, which the colour-blind tell apart.

No meaning is in a colour alone: shapes and widths differ, too.
"""

from __future__ import annotations

CURVE = "#0072b2"
SUGGESTION = "#009e73"
CHOICE = "#d55e00"

# For more lines beside these. Black and yellow are left out, since not every theme
# shows them.
OTHERS = ("#e69f00", "#cc79a7", "#56b4e9")

BAND_OPACITY = 0.15
RAW_OPACITY = 0.5
