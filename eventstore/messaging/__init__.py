"""Integration events: what others are told."""
