"""Argument types for command lines."""

from argparse import ArgumentTypeError

MAXIMUM = 1_000_000


def count(text: str) -> int:
    """A number from 1 to MAXIMUM. Raises ArgumentTypeError."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:20]) <= MAXIMUM):
        raise ArgumentTypeError(f"expected a number from 1 to {MAXIMUM}, got {text!r}")
    return int(text)
