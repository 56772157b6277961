"""
The colours of what is drawn: Okabe and Ito's, which the colour-blind tell apart.

Those that stand out too little on white are darker here.

No meaning is in a colour alone: shapes and widths differ, too.
"""

from __future__ import annotations

CURVE = "#0072b2"
SUGGESTION = "#00805c"
CHOICE = "#d55e00"

# For more lines beside these: pink, ochre and grey.
OTHERS = ("#b0558a", "#a66a00", "#6b6b6b")

BAND_OPACITY = 0.15
RAW_OPACITY = 0.5
