"""One field of a line, from text to value: exact, or refused.

Columns repeat their texts (a thousand prices, a few thousand customers in half a million lines), so
each function remembers its last answers; that is what makes a whole file a matter of seconds.
"""

import re
from functools import lru_cache
from reprlib import repr as shown  # a short form: the file may hold anything

from .malformed import BadValue


@lru_cache(8192)
def whole(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise BadValue(f"{shown(text)} is not a whole number of at most seven digits")
    return int(text)


@lru_cache(8192)
def thousandths(text: str) -> int:
    """Pounds to thousandths of a pound, by digits alone: a float would lose some."""
    match = _PRICE.fullmatch(text)
    if not match:
        raise BadValue(f"{shown(text)} is not a price of at most seven digits and three decimals")
    sign, pounds, decimals = match.groups(default="")
    return int(sign + pounds + decimals.ljust(3, "0"))


@lru_cache(8192)
def invoice(text: str) -> str:
    if not _INVOICE.fullmatch(text):
        raise BadValue(f"{shown(text)} is not an invoice number: digits, after a C or an A at most")
    return text


@lru_cache(8192)
def customer(text: str) -> str | None:
    """None for a guest."""
    if not _CUSTOMER.fullmatch(text):
        raise BadValue(f"{shown(text)} is not a customer number")
    return text or None


@lru_cache(8192)
def name(text: str) -> str:
    """A stock code or a country. Blanks around a code would make a charge of goods in silence."""
    if not text or text != text.strip():
        raise BadValue(f"{shown(text)} is empty, or has blanks around it, where a name belongs")
    return text


@lru_cache(8192)
def description(text: str) -> str:
    """Anything, empty too; here only so that equal ones are one object."""
    return text


# Seven digits times seven and three: the value of a line stays well within PostgreSQL's bigint.
_WHOLE = re.compile(r"-?[0-9]{1,7}")
_PRICE = re.compile(r"(-?)([0-9]{1,7})(?:\.([0-9]{1,3}))?")
_INVOICE = re.compile(r"[AC]?[0-9]{1,12}")
_CUSTOMER = re.compile(r"[0-9]{0,12}")
