"""Convert the text of one field to a value: exact, or refused.

Columns repeat their texts (a thousand prices and a few thousand customers in half a million lines).
So each function caches its results; with the cache a whole file takes seconds.
"""

import re
from functools import lru_cache
from reprlib import repr as short  # the file may hold anything

from .malformed import BadValue


@lru_cache(8192)
def whole(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise BadValue(f"{short(text)} is not a whole number of at most seven digits")
    return int(text)


@lru_cache(8192)
def thousandths(text: str) -> int:
    """Pounds to thousandths of a pound, by digits: a float would be inexact."""
    match = _PRICE.fullmatch(text)
    if not match:
        raise BadValue(f"{short(text)} is not a price of at most seven digits and three decimals")
    sign, pounds, decimals = match.groups(default="")
    return int(sign + pounds + decimals.ljust(3, "0"))


@lru_cache(8192)
def invoice(text: str) -> str:
    if not _INVOICE.fullmatch(text):
        raise BadValue(
            f"{short(text)} is not an invoice number: digits, with an optional C or A before"
        )
    return text


@lru_cache(8192)
def customer(text: str) -> str | None:
    """None for a guest."""
    if not _CUSTOMER.fullmatch(text):
        raise BadValue(f"{short(text)} is not a customer number")
    return text or None


@lru_cache(8192)
def name(text: str) -> str:
    """A stock code or a country. A blank around a code would silently make goods a charge."""
    if not text:
        raise BadValue("a stock code or a country is empty")
    if text != text.strip():
        raise BadValue(f"{short(text)} has blanks around it")
    return text


@lru_cache(8192)
def description(text: str) -> str:
    """Any text; cached so that equal texts are one object."""
    return text


# Seven digits times seven and three: the value of a line stays well within PostgreSQL's bigint.
_WHOLE = re.compile(r"-?[0-9]{1,7}")
_PRICE = re.compile(r"(-?)([0-9]{1,7})(?:\.([0-9]{1,3}))?")
_INVOICE = re.compile(r"[AC]?[0-9]{1,12}")
_CUSTOMER = re.compile(r"[0-9]{0,12}")
