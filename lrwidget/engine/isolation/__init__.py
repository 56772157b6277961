"""The isolation of a test: afterwards, everything is as before."""
