"""A test of another process, followed in the record that it writes."""
