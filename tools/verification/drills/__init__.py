"""Failover and restore under the running shop, and what has become of each order."""
