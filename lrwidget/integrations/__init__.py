"""From the objects of other frameworks to the arguments of a range test."""
