"""How a curve is found: torch, no widgets."""
