"""How a curve is seen and a rate is picked: ipywidgets and bqplot, no torch."""
