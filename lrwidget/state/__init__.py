"""The state of a widget: one object for each part of it, all under one lock."""
