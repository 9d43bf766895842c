"""Failover and restore under the running shop, and what has become of each order: python -m tests.drills."""
