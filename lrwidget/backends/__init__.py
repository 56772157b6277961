"""The places where a test runs: this process, another one that records it, or Ray."""
