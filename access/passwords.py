"""A password validator, in addition to Django's own."""

from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError

ATTRIBUTES = ("username", "first_name", "last_name", "email")
# A shorter name is part of many words.
SHORTEST_NAME = 3


class LongWithoutTheName:
    """The password must have the minimum length without the user's names.

    Django's UserAttributeSimilarityValidator compares the whole password with a name, and finds
    "ada12345678" dissimilar to "ada".
    """

    def __init__(self, min_length: int) -> None:
        self.min_length = min_length

    def validate(self, password: str, user: AbstractBaseUser | None = None) -> None:
        values = [str(getattr(user, attribute, "") or "").casefold() for attribute in ATTRIBUTES]
        names = {name for value in values for name in (value, value.partition("@")[0])}
        rest = password.casefold()
        for name in sorted(names, key=len, reverse=True):
            if len(name) >= SHORTEST_NAME:
                rest = rest.replace(name, "")
        if rest != password.casefold() and len(rest) < self.min_length:
            raise ValidationError(self.get_help_text(), code="password_of_a_name")

    def get_help_text(self) -> str:
        return f"Without your name, your password must have at least {self.min_length} characters."
