"""The training that finds a curve: torch, no widgets."""
