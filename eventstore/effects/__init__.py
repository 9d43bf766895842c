"""Calls to the outside world, each under a lease: made once, or repeated with the same key."""
