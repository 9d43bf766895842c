"""Integration events: translated from domain events and published to other systems."""
