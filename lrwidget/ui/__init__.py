"""The display of curves and the choice of a rate: ipywidgets and bqplot, no torch."""
