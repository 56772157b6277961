"""A test on all ranks of a process group."""
