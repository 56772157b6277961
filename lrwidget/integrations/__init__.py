"""The arguments of a range test, from the objects of other frameworks."""
