"""How many, on a command line."""

from argparse import ArgumentTypeError

MOST = 1_000_000


def count(text: str) -> int:
    """A type for argparse: at least one, and no more than somebody can mean."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:20]) <= MOST):
        raise ArgumentTypeError(f"{text!r} is no number from 1 to {MOST}")
    return int(text)
