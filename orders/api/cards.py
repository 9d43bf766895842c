"""Refuse card numbers in texts: the log keeps them for ever, and only the payment gateway may have
them."""

import re
import unicodedata
from collections.abc import Iterator

from rest_framework import serializers

NO_CARDS = (
    "This looks like a card number. Send it to the payment gateway only, and the gateway's token"
    " here."
)
# Digits with anything between them but letters, and not much of it.
DIGITS = re.compile(r"\d(?:[^\w]{0,3}_?\d){12,}")
UUID = re.compile(r"(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SHORTEST, LONGEST = 13, 19
# Longer texts are refused for their length.
LONGEST_TEXT = 1000
# The first digits of issuers. A number that begins with a year, such as a time, is none.
ISSUERS = re.compile("[3-6]|220[0-4]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720")


def no_card_number(text: str) -> None:
    """A validator of a text. Raises ValidationError."""
    if has_card_number(text):
        raise serializers.ValidationError(NO_CARDS, "card_number")


def has_card_number(text: str) -> bool:
    """Whether the text has the digits of a payment card (ISO/IEC 7812), however they are written:
    13 to 19 of them, the first ones an issuer's, and the last one right by Luhn's formula."""
    plain = UUID.sub("", unicodedata.normalize("NFKC", text[:LONGEST_TEXT]))
    return any(_is_card(number) for run in DIGITS.findall(plain) for number in _numbers(run))


def _numbers(run: str) -> Iterator[str]:
    """What neighbouring groups of digits make together; a date may stand beside the number."""
    groups = re.findall(r"\d+", run)
    for first in range(len(groups)):
        number = ""
        for group in groups[first:]:
            number += "".join(str(unicodedata.digit(each)) for each in group)
            if len(number) > LONGEST:
                break
            yield number


def _is_card(number: str) -> bool:
    return len(number) >= SHORTEST and bool(ISSUERS.match(number)) and _is_luhn(number)


def _is_luhn(number: str) -> bool:
    digits = [int(each) for each in number]
    doubled = (sum(divmod(2 * each, 10)) for each in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
