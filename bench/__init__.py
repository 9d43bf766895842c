"""Benchmarks of the platform and its peers: `make bench`."""
