"""Range tests and races that run on a Ray cluster."""
