"""Decide commands from events, and append the new events."""
