"""Decide a command from events, and append what it decides."""
