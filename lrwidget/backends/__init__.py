"""Where a test runs: in this process, in another one that records it, or on a Ray cluster."""
